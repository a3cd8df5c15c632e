import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { MINIMAL, onSegment, replace, settled, turns } from '../stage.mjs';

const NOW = Date.parse('2031-02-03T04:05:06.789Z');

/** Requests after a batch's interval has passed on a faked clock. */
async function requestsOnFakedTimers(library, t) {
  const settings = { flushAt: 100, flushInterval: 10_000, httpRequestTimeout: 9_000 };
  const { segment, analytics } = await onSegment(library, t, settings);
  const timers = [];
  const original = globalThis.setTimeout;
  replace(t, globalThis, 'setTimeout', (run, delay, ...args) => {
    return delay === 10_000 ? timers.push(run) : original(run, delay, ...args);
  });
  analytics.track(MINIMAL.track);
  for (let turn = 0; turn < 100 && timers.length === 0; turn += 1) await turns(1);
  for (const run of timers.splice(0)) run();
  if (library.name === '@companion/segment') await turns(50);
  else await segment.waitForRequests(1);
  return segment.requestCount;
}

export const cases = [
  {
    name: 'the default timestamp follows a `Date` that was replaced',
    alone: true,
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const Original = Date;
      class Faked extends Original {
        constructor(...args) {
          if (args.length === 0) super(NOW);
          else super(...args);
        }
      }
      replace(t, globalThis, 'Date', Faked);
      const told = settled(analytics, 'track', MINIMAL.track);
      globalThis.Date = Original;
      const [, { event }] = await told;
      assert.equal(segment.events[0].timestamp, new Date(NOW).toISOString());
      assert.equal(event.timestamp.getTime(), NOW);
    },
  },
  {
    name: 'flushInterval, retries and timeouts with faked timers',
    alone: true,
    run: async (library, t) => assert.equal(await requestsOnFakedTimers(library, t), 0),
    differs: {
      kind: DELIBERATE,
      theirs: 'follow them',
      ours: 'go by the clock of the machine',
      why: 'they are of the engine, on a thread of its own',
      advice: '`await analytics.flush()` instead of advancing the clock, or `RecordingAnalytics`',
      run: async (library, t) => assert.equal(await requestsOnFakedTimers(library, t), 1),
    },
  },
];
