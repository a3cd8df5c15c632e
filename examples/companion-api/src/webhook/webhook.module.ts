import type { SnsVerifierOptions } from '@companion/segment/commercetools';
import {
  CommercetoolsWebhookModule,
  type WebhookAuthentication,
} from '@companion/segment/commercetools/nestjs';
import { Module, type DynamicModule } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';

import type { Environment } from '../config/environment.js';

/** For those who test with an SNS of their own: who issues its certificates, and how they are fetched. */
export type SnsTrust = Pick<SnsVerifierOptions, 'certificateAuthorities' | 'fetchBytes'>;

/** `POST /api/webhook`: Commercetools tells of customers, and Segment hears of them. */
@Module({})
export class WebhookModule {
  static forRoot(trust: SnsTrust = {}): DynamicModule {
    const webhook = CommercetoolsWebhookModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService<Environment, true>) => ({
        authentication: authenticationFrom(config, trust),
        callTimeout: config.get('WEBHOOK_TIMEOUT', { infer: true }),
      }),
    });
    return { module: WebhookModule, imports: [webhook] };
  }
}

/** The environment has one of the two, or the application does not start. */
function authenticationFrom(
  config: ConfigService<Environment, true>,
  trust: SnsTrust,
): WebhookAuthentication {
  const topicArns = config.get('WEBHOOK_TOPIC_ARNS', { infer: true });
  if (topicArns !== undefined) return { sns: { ...trust, topicArns } };
  return { secret: config.get('WEBHOOK_SECRET', { infer: true }) ?? '' };
}
