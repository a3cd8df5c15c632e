/** The ESM entrance: the one CommonJS implementation, by name. */
export { createHandler, createSqsHandler, unwrapRecord, withSegment } from './index.js';
export type * from './index.js';
