// oxlint-disable unicorn/require-post-message-target-origin -- a thread, not a window
// A worker thread that tracks a few events, says so, and ends when and how it is told to.
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';

import { trackAndNote } from './tracking.mjs';

const { end, ...options } = workerData;
trackAndNote(options);
parentPort?.postMessage('tracked');
// Also what holds a worker open that is to be terminated.
if (parentPort) await once(parentPort, 'message');
if (end === 'exit') process.exit(7);
// The port alone would hold it open.
parentPort?.close();
