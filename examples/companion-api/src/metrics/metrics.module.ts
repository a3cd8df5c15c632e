import { registerSegmentMetrics } from '@companion/segment/prometheus';
import { Module } from '@nestjs/common';
import { collectDefaultMetrics, Registry } from 'prom-client';

import { MetricsController } from './metrics.controller.js';

@Module({
  controllers: [MetricsController],
  providers: [
    {
      provide: Registry,
      useFactory: () => {
        const registry = new Registry();
        collectDefaultMetrics({ register: registry });
        registerSegmentMetrics(registry);
        return registry;
      },
    },
  ],
})
export class MetricsModule {}
