/** The ESM entrance: the one CommonJS implementation, by name. */
export {
  createSegmentClient,
  extractCustomerFromPayload,
  getEnvironmentConfig,
  getSegmentClientFromEnvironment,
  identifyCustomer,
  LATENCY_BOUNDS_S,
  NotificationReceiver,
  parseNotification,
  sendCustomerToSegment,
  sendCustomerToSegmentWithClient,
  SnsVerifier,
  transformCustomerToSegment,
} from './index.js';
export type * from './index.js';
