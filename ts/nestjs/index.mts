/** The ESM entrance: the one CommonJS implementation, by name. */
// Where these are ES modules themselves, Node 20.19 lets nobody require() them who stands before them in the order of imports.
// oxlint-disable import/no-unassigned-import -- for the order of their evaluation only
import '@nestjs/common';
import '@nestjs/core';
// oxlint-enable import/no-unassigned-import

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
