/** The ESM entrance: the one CommonJS implementation, by name. */
export { registerNotificationMetrics, registerSegmentMetrics } from './prometheus.js';
export type * from './prometheus.js';
