import { Body, Controller, Post } from '@nestjs/common';
import { ApiConflictResponse, ApiCreatedResponse } from '@nestjs/swagger';

import { OnboardedDto, OnboardingDto } from './dto/onboarding.dto.js';
import { OnboardingService } from './onboarding.service.js';

@Controller('onboarding')
export class OnboardingController {
  constructor(private readonly onboarding: OnboardingService) {}

  @Post()
  @ApiCreatedResponse({ type: OnboardedDto })
  @ApiConflictResponse({ description: 'The e-mail belongs to a member already.' })
  async onboard(@Body() body: OnboardingDto): Promise<OnboardedDto> {
    const { id } = await this.onboarding.onboard(body);
    return { memberId: id };
  }
}
