/** The ESM entrance: the one CommonJS implementation, by name. */
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
