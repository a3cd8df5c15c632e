/** `@companion/segment/aws`: functions on AWS Lambda. */
export { createHandler, createSqsHandler } from './handlers.js';
export { unwrapRecord } from './records.js';
export { withSegment } from './with-segment.js';

export type { LambdaContext, SnsEvent, SnsRecord, SqsBatchResponse, SqsEvent, SqsRecord } from './events.js';
export type { SnsHandler, SqsHandler, SqsHandlerOptions } from './handlers.js';
export type { MetricsLike, RecordsReport } from './metrics.js';
export type { HandlerOptions } from './record-receiver.js';
export type { AwsMessage } from './records.js';
export type { LambdaClient, WithSegmentOptions } from './with-segment.js';
export type { WriteKeySource } from './write-key.js';
