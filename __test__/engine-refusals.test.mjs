/** A server that refuses everything is no reason to send everything again in pieces, nor to give it up. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  assertConserved,
  counted,
  failuresOf,
  messageIdsOf,
  startClient,
  startPair,
  startSegment,
  sum,
  trackMany,
} from './support/clients.mjs';
import { within } from './support/engine-back-offs.mjs';
import { makeSpool, until, untilStats } from './support/spools.mjs';

const COUNT = 2_000;
/** For a busy machine. */
const PATIENCE_MS = 60_000;
const outagesOf = (failures) => failures.filter(({ code }) => code === 'unknown');
const always = (fault) => ({ faults: [{ ...fault, times: Infinity }] });

describe('a server that refuses everything', { concurrency: 2 }, () => {
  for (const status of [400, 413, 422]) {
    for (const where of ['in memory', 'in a spool']) {
      test(`with ${status} gets few requests, and all that is kept once it is well, ${where}`, async (t) => {
        const segment = await startSegment(t, always({ status }));
        const open = where === 'in memory' ? (s, more) => startClient(t, s, more) : makeSpool(t).open;
        const analytics = open(segment, { flushAt: 2_500 });
        const failures = failuresOf(analytics);
        const ids = trackMany(analytics, COUNT);
        const flushing = analytics.flush();
        await until('something is told', () => failures.length > 0);
        await until('it is known', () => outagesOf(failures).length > 0 || analytics.stats().pending === 0);
        const { requests } = analytics.stats();
        // It is still asked, now and then.
        await untilStats(analytics, 'two more requests', (stats) => stats.requests >= requests + 2);

        const kept = analytics.stats();
        assertConserved(kept);
        assert.ok(segment.requestCount < 200, `${segment.requestCount} requests`);
        assert.ok(kept.pending > 1_800, `${kept.pending} are kept`);
        const [{ reason }] = outagesOf(failures);
        assert.deepEqual(
          [outagesOf(failures).length, reason.code, reason.status],
          [1, 'ERR_REJECTED', status],
        );

        segment.clearFaults();
        await within(PATIENCE_MS, 'a flush', analytics.flush());
        await flushing;
        const { delivered, pending, dropped } = analytics.stats();
        assert.deepEqual([pending, delivered + sum(dropped)], [0, COUNT]);
        assert.deepEqual(counted(dropped), COUNT === delivered ? {} : { rejected: COUNT - delivered });
        assert.ok(delivered > 1_800, `${delivered} are delivered`);
        const arrived = messageIdsOf(segment.events);
        assert.deepEqual([arrived.length, new Set(arrived).size], [delivered, delivered]);
        assert.ok(arrived.every((id) => ids.includes(id)));
        assert.equal(outagesOf(failures).length, 1);
      });
    }
  }

  test('hears of what is tracked meanwhile later', async (t) => {
    const { analytics, segment } = await startPair(t, { flushInterval: 1 }, always({ status: 400 }));
    const failures = failuresOf(analytics);
    trackMany(analytics, COUNT, 'first');
    await until('it is known', () => outagesOf(failures).length > 0 || analytics.stats().pending === 0);
    trackMany(analytics, COUNT, 'second');
    const { requests } = analytics.stats();
    await untilStats(analytics, 'two more requests', (stats) => stats.requests >= requests + 2);
    assert.ok(segment.requestCount < 200, `${segment.requestCount} requests`);
    segment.clearFaults();
    await within(PATIENCE_MS, 'a flush', analytics.flush());
    const second = messageIdsOf(segment.events).filter((id) => id.startsWith('second'));
    assert.equal(second.length, COUNT);
  });

  test('is closed in time, with what is kept handed back in order', async (t) => {
    const { analytics } = await startPair(t, {}, always({ status: 400 }));
    const failures = failuresOf(analytics);
    trackMany(analytics, COUNT);
    void analytics.flush();
    await until('it is known', () => outagesOf(failures).length > 0 || analytics.stats().pending === 0);
    const { unflushed, pending, dropped } = await analytics.closeAndFlush({ timeout: 500 });
    assert.equal(unflushed.length, pending);
    assert.equal(unflushed.length + sum(dropped), COUNT);
    assert.ok(unflushed.length > 1_800, `${unflushed.length} are handed back`);
    const numbers = messageIdsOf(unflushed).map((id) => Number(id.slice(1)));
    assert.deepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    );
  });
});

describe('compression', () => {
  test('is taken back once where everything is refused, not for every request', async (t) => {
    const segment = await startSegment(t, always({ status: 400 }));
    const analytics = startClient(t, segment, { maxConcurrentRequests: 1 });
    const failures = failuresOf(analytics);
    trackMany(analytics, COUNT);
    void analytics.flush();
    await until('it is known', () => outagesOf(failures).length > 0 || analytics.stats().pending === 0);
    const compressed = segment.requests.filter(({ encoding }) => encoding === 'gzip').length;
    assert.equal(compressed, 1, `${compressed} of ${segment.requestCount} requests`);
  });

  test('that only is refused, with 400, costs no event, however many requests are under way', async (t) => {
    const isCompressed = ({ encoding }) => encoding === 'gzip';
    // All of them are under way before the first one is answered.
    const faults = [{ status: 400, delayMs: 200, when: isCompressed, times: Infinity }];
    const settings = { flushAt: 1, maxConcurrentRequests: 4 };
    const { analytics, segment } = await startPair(t, settings, { faults });
    const ids = trackMany(analytics, 4);
    const { delivered, dropped } = await analytics.flush();
    assert.deepEqual([delivered, counted(dropped)], [4, {}]);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), ids.toSorted());
  });
});

describe('bad events among good ones', { concurrency: 2 }, () => {
  for (const [what, bad, atMost] of [
    ['one costs itself and at most 30 requests', ['m1234'], 30],
    [
      'ten cost themselves only',
      ['m0', 'm1', 'm250', 'm700', 'm701', 'm1024', 'm1500', 'm2000', 'm2498', 'm2499'],
      Infinity,
    ],
  ]) {
    test(what, async (t) => {
      const poison = ({ messageId }) => bad.includes(messageId);
      const { analytics, segment } = await startPair(t, {}, { poison });
      const failures = failuresOf(analytics);
      const ids = trackMany(analytics, 2_500);
      const { delivered, dropped } = await analytics.flush();
      assert.deepEqual([delivered, counted(dropped)], [2_500 - bad.length, { rejected: bad.length }]);
      const expected = ids.filter((id) => !bad.includes(id));
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected.toSorted());
      assert.deepEqual(messageIdsOf(failures.map(({ ctx }) => ctx.event)).toSorted(), bad.toSorted());
      assert.ok(segment.requestCount <= atMost, `${segment.requestCount} requests`);
    });
  }

  test('a hundred in a row, in front of good ones, hold up none of those', async (t) => {
    const poison = ({ messageId }) => messageId.startsWith('bad');
    const { analytics, segment } = await startPair(t, {}, { poison });
    trackMany(analytics, 100, 'bad');
    const good = trackMany(analytics, 1_000, 'good');
    const flushing = analytics.flush();
    await within(PATIENCE_MS, 'the good ones', segment.waitForEvents(1_000, { timeoutMs: PATIENCE_MS }));
    await within(PATIENCE_MS, 'the end of the bad ones', flushing);
    const { delivered, dropped } = analytics.stats();
    assert.deepEqual([delivered, counted(dropped)], [1_000, { rejected: 100 }]);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), good.toSorted());
  });
});
