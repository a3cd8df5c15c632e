import { SegmentModule, type HttpRequest } from '@companion/segment/nestjs';
import { Module } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';

import type { Environment } from '../config/environment.js';
import type { Member } from '../members/member.js';

type RequestOfMember = HttpRequest & { user?: Member };

/** Two sources at Segment: the product's, and that of the marketing team where it is configured. */
@Module({
  imports: [
    SegmentModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService<Environment, true>) => ({
        writeKey: config.get('SEGMENT_WRITE_KEY', { infer: true }),
        host: config.get('SEGMENT_HOST', { infer: true }),
        shutdownTimeout: config.get('SEGMENT_SHUTDOWN_TIMEOUT', { infer: true }),
      }),
      requestContext: {
        userId: (request: RequestOfMember) => request.user?.id,
        anonymousId: ({ headers }) => headers['x-anonymous-id'],
      },
    }),
    SegmentModule.registerClientAsync({
      name: 'marketing',
      inject: [ConfigService],
      useFactory: (config: ConfigService<Environment, true>) => ({
        enabled: config.get('SEGMENT_MARKETING_WRITE_KEY', { infer: true }) !== undefined,
        writeKey: config.get('SEGMENT_MARKETING_WRITE_KEY', { infer: true }),
        host: config.get('SEGMENT_HOST', { infer: true }),
        shutdownTimeout: config.get('SEGMENT_SHUTDOWN_TIMEOUT', { infer: true }),
      }),
    }),
  ],
})
export class AnalyticsModule {}
