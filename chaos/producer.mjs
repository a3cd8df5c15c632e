// A process that tracks as it is told, over its channel to the judge.
import { answerCalls } from '../bench/ipc-calls.mjs';
import { Tracking } from './tracking.mjs';

let finished = false;
const tracking = new Tracking(JSON.parse(process.argv[2]));
answerCalls(process, {
  ready: () => true,
  pace: (rate) => tracking.pace(rate),
  stop: () => tracking.stop(),
  track: (plan) => tracking.track(plan),
  look: () => tracking.look(),
  drain: () => tracking.drain(),
  finish: async (options) => {
    const result = await tracking.finish(options);
    finished = true;
    return result;
  },
});
process.send?.({ started: true });
// Without its judge there is nothing left to do, whatever waits.
process.once('disconnect', () => {
  if (!finished) process.kill(process.pid, 'SIGKILL');
});
