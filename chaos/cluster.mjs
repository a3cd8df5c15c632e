// The primary process of a cluster: its workers and its threads track into one spool directory.
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { answerCalls, callsOver } from '../bench/ipc-calls.mjs';
import { channelOf } from './thread-channel.mjs';

const PRODUCER = fileURLToPath(new URL('producer.mjs', import.meta.url));

/** @type {Map<number, Promise<unknown>>} by process id */
const endings = new Map();
/** @type {{ thread: Worker, call: import('../bench/ipc-calls.mjs').Call }[]} */
const threads = [];

answerCalls(process, {
  /** Resolves with its process id, when it is ready if so asked for. */
  fork: async ({ producer, untilReady }) => {
    cluster.setupPrimary({ exec: PRODUCER, args: [JSON.stringify(producer)] });
    const worker = cluster.fork();
    const pid = worker.process.pid ?? 0;
    const ending = new Promise((resolve) => worker.once('exit', (code, signal) => resolve(signal ?? code)));
    endings.set(pid, ending);
    // It says so by itself: a cluster worker drops messages that come before it listens.
    const started = new Promise((resolve) => worker.once('message', resolve));
    if (untilReady) await Promise.race([started, ending]);
    return pid;
  },
  ended: (pid) => endings.get(pid),
  thread: (producer) => {
    const thread = new Worker(new URL('producer-thread.mjs', import.meta.url), { workerData: producer });
    threads.push({ thread, call: callsOver(channelOf(thread), 'a thread') });
  },
  threads: ({ command, argument }) => Promise.all(threads.map(({ call }) => call(command, argument))),
  endThreads: () => Promise.all(threads.map(({ thread }) => thread.terminate())),
});
// Without its judge there is nothing left to do; the workers end with their primary.
process.once('disconnect', () => process.exit());
