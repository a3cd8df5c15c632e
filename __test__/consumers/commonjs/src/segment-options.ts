import { Injectable } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import type { SegmentModuleOptions, SegmentOptionsFactory } from '@companion/segment/nestjs';

@Injectable()
export class SegmentOptions implements SegmentOptionsFactory {
  constructor(private readonly config: ConfigService) {}

  createSegmentOptions(): SegmentModuleOptions {
    return { writeKey: this.config.getOrThrow<string>('SEGMENT_WRITE_KEY') };
  }
}
