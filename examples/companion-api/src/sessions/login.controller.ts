import { Body, Controller, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { ApiOkResponse, ApiUnauthorizedResponse } from '@nestjs/swagger';

import { LoginDto, SessionDto } from './dto/login.dto.js';
import { SessionsService } from './sessions.service.js';

@Controller('login')
export class LoginController {
  constructor(private readonly sessions: SessionsService) {}

  @Post()
  @HttpCode(HttpStatus.OK)
  @ApiOkResponse({ type: SessionDto })
  @ApiUnauthorizedResponse()
  async login(@Body() { email, password }: LoginDto): Promise<SessionDto> {
    const { token, member } = await this.sessions.signIn(email, password);
    return { memberId: member.id, token };
  }
}
