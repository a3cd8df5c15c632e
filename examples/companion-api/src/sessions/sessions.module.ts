import { Module } from '@nestjs/common';

import { MembersModule } from '../members/members.module.js';
import { LoginController } from './login.controller.js';
import { SessionsService } from './sessions.service.js';

@Module({
  imports: [MembersModule],
  controllers: [LoginController],
  providers: [SessionsService],
  exports: [SessionsService],
})
export class SessionsModule {}
