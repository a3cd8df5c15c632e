/** The ESM entrance: the one CommonJS implementation, by name. */
export { RecordingSegmentService, SegmentTestingModule } from './testing.js';
export type * from './testing.js';
