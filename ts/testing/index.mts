/** The ESM entrance: the one CommonJS implementation, by name. */
export { RecordingAnalytics, startFakeSegment } from './index.js';
export type * from './index.js';
