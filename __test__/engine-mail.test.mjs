/** What JavaScript is told comes in pieces: no turn of the event loop gets all of it, each event once and in order. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { KEY, NEVER_MS, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';
import { makeSpool } from './support/spools.mjs';

const COUNT = 30_000;
const A_TURN = 1_000;

/**
 * Runs `use({ analytics, track, tell, hold, told })` in a process whose loop is held up while the engine works, so that
 * mail piles up. Says what was told, and the most that was told at once and between two ticks of `setImmediate`.
 */
async function tellings(t, segment, use, settings = {}) {
  const program = `async ({ Analytics }, { settings, count }) => {
    const analytics = new Analytics(settings);
    const told = [];
    const seen = { most: 0, at: 0 };
    const most = { atOnce: 0, between: 0 };
    let atOnce = 0;
    let between = 0;
    const tell = (messageId) => {
      told.push(messageId);
      between += 1;
      atOnce += 1;
      // Microtasks run once everything is told that comes at once.
      if (atOnce === 1) queueMicrotask(() => {
        most.atOnce = Math.max(most.atOnce, atOnce);
        atOnce = 0;
      });
    };
    const tick = () => {
      most.between = Math.max(most.between, between);
      between = 0;
      if (told.length < count) watch();
    };
    const watch = () => setImmediate(() => tick());
    const track = (callback) => {
      for (let number = 0; number < count; number += 1)
        analytics.track({ userId: 'u1', event: 'e', messageId: 'm' + number }, callback);
    };
    // The engine has a thread of its own.
    const hold = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const result = await (${use})({ analytics, track, tell, watch, hold });
    while (told.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const inOrder = told.every((messageId, index) => messageId === 'm' + index);
    console.log(JSON.stringify({ told: told.length, inOrder, most, result, stats: analytics.stats() }));
  }`;
  // One request at a time, so that there is one order.
  const defaults = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS, flushAt: 2_500 };
  const { code, stdout, stderr } = await runProgram(t, program, {
    settings: { ...defaults, maxConcurrentRequests: 1, ...settings },
    count: COUNT,
  });
  assert.deepEqual([code, stderr], [0, '']);
  return lastLine(stdout);
}

/** What may be told: its way into JavaScript. */
const WAYS = {
  'listeners of deliveries': ({ analytics, track, tell, watch, hold }) => {
    analytics.on('track', ({ event }) => tell(event.messageId));
    track();
    void analytics.flush();
    hold(2_000);
    watch();
  },
  'callbacks of deliveries': ({ analytics, track, tell, watch, hold }) => {
    track((_error, { event }) => tell(event.messageId));
    void analytics.flush();
    hold(2_000);
    watch();
  },
};

describe('tens of thousands of events are told in pieces', () => {
  for (const [way, use] of Object.entries(WAYS)) {
    test(`to ${way}: not more than a thousand at once, each once and in order`, async (t) => {
      const segment = await startSegment(t, { record: false });
      const { told, inOrder, most, stats } = await tellings(t, segment, use);
      assert.deepEqual([told, inOrder, stats.delivered, stats.pending], [COUNT, true, COUNT, 0]);
      assert.ok(most.atOnce <= A_TURN, `${most.atOnce} at once`);
    });

    test(`to ${way}: not more than a thousand in a round of the loop`, async (t) => {
      const segment = await startSegment(t, { record: false });
      const { most } = await tellings(t, segment, use);
      assert.ok(most.between <= A_TURN, `${most.between} in one round`);
    });
  }

  test('of a closing flush that hands all of it back: complete, in order, and so are callbacks', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
    const use = async ({ analytics, track, tell, watch }) => {
      track((_error, { event }) => tell(event.messageId));
      watch();
      const { unflushed, pending } = await analytics.closeAndFlush({ timeout: 50 });
      const inOrder = unflushed.every(({ messageId }, index) => messageId === `m${index}`);
      return { pending, unflushed: unflushed.length, inOrder };
    };
    const { told, inOrder, most, result, stats } = await tellings(t, segment, use);
    assert.deepEqual(result, { pending: COUNT, unflushed: COUNT, inOrder: true });
    assert.deepEqual([told, inOrder, stats.dropped.unflushed], [COUNT, true, COUNT]);
    assert.ok(most.atOnce <= A_TURN, `${most.atOnce} at once`);
  });

  test('that a closing client leaves on disk, to callbacks', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
    const use = async ({ analytics, track, tell, watch }) => {
      track((_error, { event }) => tell(event.messageId));
      watch();
      const { spooled, unflushed } = await analytics.closeAndFlush({ timeout: 50 });
      return { spooled, unflushed };
    };
    const settings = { spool: makeSpool(t).directory };
    const { told, most, result } = await tellings(t, segment, use, settings);
    assert.deepEqual([told, result], [COUNT, { spooled: COUNT, unflushed: [] }]);
    assert.ok(most.atOnce <= A_TURN, `${most.atOnce} at once`);
  });
});
