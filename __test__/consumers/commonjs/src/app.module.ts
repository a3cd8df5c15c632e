import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { SegmentModule } from '@companion/segment/nestjs';

import { OrdersController } from './orders.controller';
import { OrdersService } from './orders.service';
import { SegmentOptions } from './segment-options';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    SegmentModule.forRootAsync({ useClass: SegmentOptions }),
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
