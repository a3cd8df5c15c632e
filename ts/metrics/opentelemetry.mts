/** The ESM entrance: the one CommonJS implementation, by name. */
export { registerSegmentInstruments } from './opentelemetry.js';
export type * from './opentelemetry.js';
