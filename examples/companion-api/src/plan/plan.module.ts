import { Module } from '@nestjs/common';

import { SessionsModule } from '../sessions/sessions.module.js';
import { PlanController } from './plan.controller.js';
import { PlanService } from './plan.service.js';

@Module({ imports: [SessionsModule], controllers: [PlanController], providers: [PlanService] })
export class PlanModule {}
