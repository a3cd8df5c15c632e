// A worker thread that tracks as it is told, until it has finished.
import { parentPort, workerData } from 'node:worker_threads';

import { answerCalls } from '../bench/ipc-calls.mjs';
import { channelOf } from './thread-channel.mjs';
import { Tracking } from './tracking.mjs';

if (parentPort === null) throw new Error('this is for a worker thread');
const tracking = new Tracking(workerData);
answerCalls(channelOf(parentPort), {
  stop: () => tracking.stop(),
  look: () => tracking.look(),
  finish: (options) => tracking.finish(options),
});
