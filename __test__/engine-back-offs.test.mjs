/** A pause after failures ends as soon as somebody wants events to be sent, or as soon as a request succeeds. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  MINIMAL,
  assertConserved,
  messageIdsOf,
  settled,
  startClient,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { OUTAGES, SOON_MS, untilBackedOff, within } from './support/engine-back-offs.mjs';
import { makeSpool } from './support/spools.mjs';

const COUNT = 100;
const holds =
  (id) =>
  ({ messageIds }) =>
    messageIds.includes(id);

for (const [what, { begin, end }] of Object.entries(OUTAGES)) {
  for (const where of ['in memory', 'in a spool']) {
    describe(`a server that ${what} is well again, with events ${where}`, { concurrency: true }, () => {
      /** A client whose only batch waits for its next attempt while the server is well. */
      async function startBackedOff(t) {
        const segment = await startSegment(t);
        await begin(segment);
        const open = where === 'in memory' ? (s, more) => startClient(t, s, more) : makeSpool(t).open;
        const analytics = open(segment, { flushAt: COUNT });
        const ids = trackMany(analytics, COUNT);
        await untilBackedOff(analytics);
        await end(segment);
        return { segment, analytics, ids };
      }

      test('closeAndFlush() delivers', async (t) => {
        const { segment, analytics, ids } = await startBackedOff(t);
        const report = await analytics.closeAndFlush({ timeout: SOON_MS });
        assert.deepEqual([report.delivered, report.spooled, report.unflushed], [COUNT, 0, []]);
        assert.deepEqual(messageIdsOf(segment.events), ids);
        assertConserved(report);
      });

      test('flush() delivers', async (t) => {
        const { segment, analytics, ids } = await startBackedOff(t);
        const { delivered, pending } = await analytics.flush({ timeout: SOON_MS });
        assert.deepEqual([delivered, pending], [COUNT, 0]);
        assert.deepEqual(messageIdsOf(segment.events), ids);
      });
    });
  }
}

describe('one success', { concurrency: true }, () => {
  test('wakes all batches that wait because of failures', async (t) => {
    const faults = [{ status: 503, times: 5, when: holds('old0') }];
    const { analytics, segment } = await startPair(t, { flushAt: 1 }, { faults });
    const old = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'old0' });
    await untilBackedOff(analytics);
    const fresh = await settled(analytics, 'track', { ...MINIMAL.track, messageId: 'fresh' });
    assert.equal(fresh[0], undefined);
    await within(SOON_MS, 'the old batch', old);
    assert.deepEqual(messageIdsOf(segment.events), ['fresh', 'old0']);
  });

  test('of one of many batches is enough for the others', async (t) => {
    // Each of them fails five times, but for the one that comes last.
    const isOld = ({ messageIds }) => messageIds.some((id) => id.startsWith('old'));
    const faults = [{ status: 503, times: 15, when: isOld }];
    const settings = { flushAt: 1, maxConcurrentRequests: 4 };
    const { analytics, segment } = await startPair(t, settings, { faults });
    trackMany(analytics, 3, 'old');
    await untilBackedOff(analytics, 15);
    trackMany(analytics, 1, 'fresh');
    await within(SOON_MS, 'all of them', segment.waitForEvents(4));
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['fresh0', 'old0', 'old1', 'old2']);
  });
});

describe('what fails after somebody has asked', { concurrency: true }, () => {
  test('is tried again soon: the pauses begin anew', async (t) => {
    const faults = [{ status: 503, times: 6 }];
    const { analytics, segment } = await startPair(t, { flushAt: 1 }, { faults });
    trackMany(analytics, 1);
    await untilBackedOff(analytics);
    const { delivered } = await analytics.flush({ timeout: SOON_MS });
    assert.deepEqual([delivered, segment.requestCount], [1, 7]);
  });

  test('is tried again soon where its request was under way at that moment, too', async (t) => {
    const faults = [
      { status: 503, times: 4 },
      { status: 503, delayMs: 300 },
    ];
    const { analytics, segment } = await startPair(t, { flushAt: 1 }, { faults });
    trackMany(analytics, 1);
    await segment.waitForRequests(5);
    const { delivered } = await analytics.flush({ timeout: SOON_MS });
    assert.deepEqual([delivered, segment.requestCount], [1, 6]);
  });

  test('is tried again soon by a closing client whose request was under way, too', async (t) => {
    const faults = [
      { status: 503, times: 4 },
      { reset: 'after-body', delayMs: 300 },
    ];
    const { analytics, segment } = await startPair(t, { flushAt: 1 }, { faults });
    trackMany(analytics, 1);
    await segment.waitForRequests(5);
    const { unflushed } = await analytics.closeAndFlush({ timeout: SOON_MS });
    assert.deepEqual([unflushed, segment.eventCount], [[], 1]);
  });
});
