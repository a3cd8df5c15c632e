/** `@companion/segment/testing`: a Segment on loopback, and a client that only records. */
export * from './fake-segment.js';
export { RecordingAnalytics, type WaitOptions } from './recording-analytics.js';
