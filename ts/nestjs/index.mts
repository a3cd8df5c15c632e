/** The ESM entrance: the one CommonJS implementation, by name. */
// Where these are ES modules themselves, Node 20.19 lets nobody require() them who stands before them in the order of imports.
import '@nestjs/common';
import '@nestjs/core';

export {
  getSegmentToken,
  InjectSegment,
  SegmentContext,
  SegmentContextInterceptor,
  SegmentContextMiddleware,
  SegmentHealthIndicator,
  SegmentModule,
  SegmentService,
  Track,
} from './index.js';
export type * from './index.js';
