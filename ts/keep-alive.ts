/** Holds the event loop open while somebody awaits a promise of ours; the engine itself never does. */
import { clearInterval, setInterval } from './clock.js';

const waiting = new Set<object>();
let timer: NodeJS.Timeout | undefined;
/** The longest a timer can be; it has nothing to do but exist. */
const FOREVER_MS = 2_147_483_647;

/** Holds the loop open until the promise settles. */
export function heldOpen<Value>(promise: Promise<Value>, owner: object): Promise<Value> {
  const ticket = { owner };
  waiting.add(ticket);
  timer ??= setInterval(() => {}, FOREVER_MS);
  const release = () => {
    waiting.delete(ticket);
    if (waiting.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  promise.then(release, release);
  return promise;
}
