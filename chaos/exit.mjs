// oxlint-disable unicorn/require-post-message-target-origin -- a thread, not a window
// A process that tracks a few events and then ends in the way it is told to.
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

import { monotonicMs } from '../bench/ipc-calls.mjs';
import { trackAndNote } from './tracking.mjs';

const { kind, ...options } = JSON.parse(process.argv[2]);

/** The last words, as the judge reads them. */
function begin() {
  writeSync(1, `${JSON.stringify({ begun: monotonicMs() })}\n`);
}

/** Holds the loop open: only a signal ends it. */
function stay() {
  setInterval(() => {}, 1_000_000);
}

async function runWorker(/** @type {string} */ end, /** @type {number} */ expected) {
  const worker = new Worker(new URL('exit-worker.mjs', import.meta.url), { workerData: { end, ...options } });
  const exited = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise((resolve) => worker.once('message', resolve));
  begin();
  if (end === 'terminate') void worker.terminate();
  else worker.postMessage('end');
  const code = await exited;
  if (code !== expected) throw new Error(`the worker ended with ${code}`);
}

/** @type {Record<string, () => unknown>} */
const ENDS = {
  'process.exit()': () => process.exit(3),
  'uncaught error': () => {
    throw new Error('chaos');
  },
  'unhandled rejection': () => {
    void Promise.reject(new Error('chaos'));
  },
  'empty loop': () => {},
  'SIGTERM, flushOnSignal': () => {
    stay();
    process.kill(process.pid, 'SIGTERM');
  },
  SIGKILL: () => process.kill(process.pid, 'SIGKILL'),
};
/** @type {Record<string, [end: string, code: number]>} */
const WORKER_ENDS = {
  'worker.terminate()': ['terminate', 1],
  'process.exit() in a worker': ['exit', 7],
  'end of a worker': ['none', 0],
};

if (kind in WORKER_ENDS) await runWorker(...WORKER_ENDS[kind]);
else {
  trackAndNote(options);
  begin();
  ENDS[kind]();
}
