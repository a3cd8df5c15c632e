/** Clients whose next attempt is seconds away, although the server may be well again. */
import { untilStats } from './spools.mjs';

/** After so many failures in a row a batch waits for 4 to 8 s. */
export const FAILURES = 5;
/** Less than the shortest of these pauses, and far more than an attempt takes. */
export const SOON_MS = 3_500;

/** What a server may do that is worth another attempt: how it begins, and how it ends. */
export const OUTAGES = {
  'answers 503': {
    begin: (segment) => void segment.addFaults({ status: 503, times: Infinity }),
    end: (segment) => void segment.clearFaults(),
  },
  'resets connections': {
    begin: (segment) => void segment.addFaults({ reset: 'after-body', times: Infinity }),
    end: (segment) => void segment.clearFaults(),
  },
  'refuses connections': {
    begin: (segment) => segment.pause(),
    end: (segment) => segment.resume(),
  },
};

/** Waits until so many attempts have failed, and their answers are known. */
export const untilBackedOff = (analytics, failures = FAILURES) =>
  untilStats(analytics, 'it backs off', (stats) => stats.consecutiveFailures >= failures && stats);

/** Rejects when that takes longer than any machine needs. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
