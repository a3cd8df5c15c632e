// oxlint-disable unicorn/require-post-message-target-origin -- these are threads, not windows
/** A worker thread with a client of its own: tracks, tells so, and ends in the way it is told to. */
import { parentPort, workerData } from 'node:worker_threads';

import { Analytics } from '@companion/segment';

const { host, prefix, count, end, settings } = workerData;
const usesFetch = settings.httpClient === 'fetch';
const analytics = new Analytics({
  writeKey: 'worker',
  host,
  flushInterval: 2_147_483_647,
  ...settings,
  httpClient: usesFetch ? (url, request) => fetch(url, request) : undefined,
});
if (end === 'listen') {
  for (const event of ['track', 'error', 'http_request', 'http_response', 'drained'])
    analytics.on(event, () => {});
}
for (let index = 0; index < count; index += 1) {
  const params = { userId: 'u1', event: 'e', messageId: `${prefix}-${index}` };
  analytics.track(params, end === 'listen' ? () => {} : undefined);
}
parentPort.postMessage({ tracked: count });

if (end === 'flush') parentPort.postMessage({ stats: await analytics.closeAndFlush() });
if (end === 'exit') process.exit(7);
if (end === 'throw') throw new Error('the worker fails');
// Holds the worker open until it is terminated.
if (end === 'listen') void analytics.flush();
if (end === 'stay' || end === 'listen') parentPort.on('message', () => {});
