/** `@companion/segment/nestjs`: tracking from a NestJS application. */
export { SegmentContext } from './ambient-context.js';
export { SegmentHealthIndicator } from './health.js';
export { SegmentModule } from './module.js';
export { SegmentContextInterceptor, SegmentContextMiddleware } from './request-scope.js';
export { SegmentService } from './service.js';
export { getSegmentToken, InjectSegment } from './tokens.js';
export { Track } from './track.js';

export type { AmbientContext, AmbientParams } from './ambient-context.js';
export type { HealthThresholds, SegmentHealth } from './health.js';
export type { Named, SegmentModuleAsyncOptions, SegmentModuleSyncOptions } from './module.js';
export type { SegmentModuleExtras, SegmentModuleOptions, SegmentOptionsFactory } from './options.js';
export type { HttpRequest, RequestContextOptions, RequestFact } from './request-context.js';
export type { TrackOptions } from './track.js';
