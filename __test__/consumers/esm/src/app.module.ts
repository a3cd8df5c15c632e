import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { SegmentModule } from '@companion/segment/nestjs';

import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    SegmentModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({ writeKey: config.getOrThrow<string>('SEGMENT_WRITE_KEY') }),
    }),
    SegmentModule.registerClientAsync({
      name: 'marketing',
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        writeKey: config.getOrThrow<string>('MARKETING_WRITE_KEY'),
        host: config.get<string>('MARKETING_SEGMENT_HOST'),
      }),
    }),
  ],
  controllers: [OrdersController],
  providers: [OrdersService],
})
export class AppModule {}
