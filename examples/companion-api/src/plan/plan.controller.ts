import { Body, Controller, Patch, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiConflictResponse, ApiOkResponse } from '@nestjs/swagger';

import type { Member } from '../members/member.js';
import { CurrentMember, SessionGuard } from '../sessions/session.guard.js';
import { ChangePlanDto, PlanChangeDto } from './dto/plan.dto.js';
import { PlanService } from './plan.service.js';

@Controller('plan')
@UseGuards(SessionGuard)
@ApiBearerAuth()
export class PlanController {
  constructor(private readonly plans: PlanService) {}

  @Patch()
  @ApiOkResponse({ type: PlanChangeDto })
  @ApiConflictResponse({ description: 'The member has this plan already.' })
  change(@CurrentMember() member: Member, @Body() { plan }: ChangePlanDto): PlanChangeDto {
    return this.plans.change(member, plan);
  }
}
