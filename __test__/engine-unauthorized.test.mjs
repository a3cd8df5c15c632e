/** A write key that Segment refuses: whoever waits for an event is told at once, all other events are kept. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import {
  KEY,
  MINIMAL,
  assertConserved,
  counted,
  failuresOf,
  messageIdsOf,
  settled,
  startClient,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { within } from './support/engine-back-offs.mjs';
import { makeSpool, recoverAll } from './support/spools.mjs';

/** Far more than a second or two, for a busy machine. */
const PATIENCE_MS = 15_000;
const at = (promise) => within(PATIENCE_MS, 'an answer', promise);
const unauthorized = { code: 'ERR_UNAUTHORIZED', status: 401 };

for (const where of ['in memory', 'in a spool']) {
  describe(`a refused write key, with events ${where}`, { concurrency: true }, () => {
    /** A client and a server that refuses its key until `accept()`. */
    async function start(t, settings) {
      const segment = await startSegment(t, { faults: [{ status: 401, times: Infinity }] });
      const spool = where === 'in memory' ? undefined : makeSpool(t);
      const analytics = spool ? spool.open(segment, settings) : startClient(t, segment, settings);
      return { segment, spool, analytics, accept: () => void segment.clearFaults() };
    }

    test('events are kept, it is told once, and a flush delivers them once the key is taken', async (t) => {
      const { segment, analytics, accept } = await start(t);
      const failures = failuresOf(analytics);
      const ids = trackMany(analytics, 10);
      for (const count of [10, 15]) {
        const report = await at(analytics.flush());
        assertConserved(report);
        const { delivered, pending, spooled, dropped } = report;
        assert.deepEqual([delivered, pending + spooled, counted(dropped)], [0, count, {}]);
        if (count === 10) ids.push(...trackMany(analytics, 5, 'more'));
      }
      await at(analytics.flush());
      assert.equal(failures.length, 1);
      const [{ code, reason, ctx }] = failures;
      assert.deepEqual(
        [code, reason.code, reason.status, ctx],
        ['unknown', 'ERR_UNAUTHORIZED', 401, undefined],
      );
      assert.ok(!inspect(reason).includes(KEY));
      accept();
      const { delivered, pending } = await at(analytics.flush());
      assert.deepEqual([delivered, pending], [15, 0]);
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), ids.toSorted());
      assert.equal(failures.length, 1);
    });

    test('it is told again when it begins again', async (t) => {
      const { segment, analytics, accept } = await start(t);
      const failures = failuresOf(analytics);
      for (const round of [1, 2]) {
        trackMany(analytics, 3, `r${round}-`);
        await at(analytics.flush());
        assert.equal(failures.length, round);
        accept();
        await at(analytics.flush());
        segment.addFaults({ status: 401, times: Infinity });
      }
      assert.equal(segment.eventCount, 6);
    });

    test('callbacks and deliver are told at once, before and after it is known', async (t) => {
      const { analytics, segment } = await start(t, { flushAt: 1 });
      for (const round of [1, 2, 3]) {
        const messageId = `callback${round}`;
        const called = at(settled(analytics, 'track', { ...MINIMAL.track, messageId }));
        await assert.rejects(at(analytics.deliver.track(MINIMAL.track)), unauthorized);
        const [error, context] = await called;
        assert.deepEqual(
          [error.code, error.status, context.event.messageId],
          ['ERR_UNAUTHORIZED', 401, messageId],
        );
      }
      const { dropped, pending, spooled } = analytics.stats();
      assert.deepEqual([pending + spooled, counted(dropped)], [0, { unauthorized: 6 }]);
      assert.equal(segment.eventCount, 0);
    });

    test('whoever waits for an event is told although nothing is due, and its neighbours are kept', async (t) => {
      const { analytics, segment, accept } = await start(t);
      const ids = trackMany(analytics, 5);
      await at(analytics.flush());
      // It is known now, and nobody flushes any more.
      ids.push(...trackMany(analytics, 5, 'more'));
      await assert.rejects(at(analytics.deliver.track(MINIMAL.track)), unauthorized);
      const [error] = await at(settled(analytics, 'track', MINIMAL.track));
      assert.equal(error.code, 'ERR_UNAUTHORIZED');
      const { pending, spooled, dropped } = analytics.stats();
      assert.deepEqual([pending + spooled, counted(dropped)], [10, { unauthorized: 2 }]);
      accept();
      await at(analytics.flush());
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), ids.toSorted());
    });

    test('an event that somebody waits for brings the news that the key is taken again', async (t) => {
      const { analytics, segment, accept } = await start(t);
      trackMany(analytics, 5);
      await at(analytics.flush());
      accept();
      const { attempts } = await at(analytics.deliver.track({ ...MINIMAL.track, messageId: 'asked' }));
      assert.equal(attempts, 1);
      await at(segment.waitForEvents(6));
    });

    test('in one batch, who waits is told and the others are kept', async (t) => {
      const { analytics, segment, accept } = await start(t);
      const failures = failuresOf(analytics);
      const ids = trackMany(analytics, 3, 'before');
      const called = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'asked' });
      ids.push(...trackMany(analytics, 3, 'after'));
      const { pending, spooled, dropped } = await at(analytics.flush());
      assert.equal((await at(called))[0].code, 'ERR_UNAUTHORIZED');
      assert.deepEqual([pending + spooled, counted(dropped)], [6, { unauthorized: 1 }]);
      assert.deepEqual(failures.map(({ code }) => code).toSorted(), ['delivery_failure', 'unknown']);
      accept();
      await at(analytics.flush());
      assert.deepEqual(messageIdsOf(segment.events), ids);
    });

    test('a close does not wait for it, and keeps nothing to itself', async (t) => {
      const { analytics, segment, spool, accept } = await start(t);
      const ids = trackMany(analytics, 20);
      await at(analytics.flush());
      const report = await at(analytics.closeAndFlush());
      assertConserved(report);
      assert.equal(analytics.track(MINIMAL.track), false);
      if (spool) {
        assert.deepEqual([report.spooled, report.unflushed, counted(report.dropped)], [20, [], {}]);
        accept();
        await recoverAll(spool, segment, 20);
        assert.deepEqual(messageIdsOf(segment.events), ids);
      } else {
        assert.deepEqual([report.pending, messageIdsOf(report.unflushed)], [20, ids]);
        assert.deepEqual(counted(analytics.stats().dropped), { unflushed: 20 });
      }
    });
  });
}
