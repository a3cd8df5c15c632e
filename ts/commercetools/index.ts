/** `@companion/segment/commercetools`: customers of Commercetools become users of Segment. */
export { createSegmentClient, getEnvironmentConfig, getSegmentClientFromEnvironment } from './client.js';
export { LATENCY_BOUNDS_S } from './counters.js';
export { identifyCustomer, sendCustomerToSegment, sendCustomerToSegmentWithClient } from './integration.js';
export { extractCustomerFromPayload, parseNotification } from './notification.js';
export { NotificationReceiver } from './receiver.js';
export { SnsVerifier } from './sns-verifier.js';
export { transformCustomerToSegment } from './transformation.js';

export type { EnvironmentConfig, SegmentClientOptions } from './client.js';
export type { NotificationStats } from './counters.js';
export type { NotificationOrigin, ReceiverOptions } from './receiver.js';
export type { SnsMessage, SnsRefusal, SnsVerifierOptions } from './sns-verifier.js';
export type * from './types.js';
