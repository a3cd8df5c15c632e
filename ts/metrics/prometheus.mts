/** The ESM entrance: the one CommonJS implementation, by name. */
export { registerSegmentMetrics } from './prometheus.js';
export type * from './prometheus.js';
