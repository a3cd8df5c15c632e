import { Module, type DynamicModule } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { WinstonModule } from 'nest-winston';

import { AnalyticsModule } from './analytics/analytics.module.js';
import { AppointmentsModule } from './appointments/appointments.module.js';
import { validateEnvironment } from './config/environment.js';
import { logging } from './config/logging.js';
import { HealthModule } from './health/health.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { OnboardingModule } from './onboarding/onboarding.module.js';
import { PlanModule } from './plan/plan.module.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { WebhookModule, type SnsTrust } from './webhook/webhook.module.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, validate: validateEnvironment }),
    WinstonModule.forRoot(logging),
    AnalyticsModule,
    OnboardingModule,
    SessionsModule,
    AppointmentsModule,
    PlanModule,
    HealthModule,
    MetricsModule,
  ],
})
export class AppModule {
  static forRoot(trust?: SnsTrust): DynamicModule {
    return { module: AppModule, imports: [WebhookModule.forRoot(trust)] };
  }
}
