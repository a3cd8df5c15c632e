import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { KEY, MINIMAL, clientOf, fateOf, fates, onSegment, startSegment, trackAll } from '../stage.mjs';

/** Three events in one batch, of which Segment can not read the second. */
async function poisoned(library, t) {
  const poison = ({ messageId }) => messageId === 'm1';
  const { segment, analytics } = await onSegment(library, t, { flushAt: 3 }, { poison });
  const ends = fates(analytics, 3);
  trackAll(analytics, 3);
  await ends;
  return segment.events.map(({ messageId }) => messageId);
}

async function failed(library, t, status) {
  const { analytics } = await onSegment(library, t, {}, { faults: [{ status, times: Infinity }] });
  return (await fateOf(analytics)).reason;
}

/** The write key must not turn up where an application logs. */
const withoutKey = (text) => assert.ok(!text.includes(KEY));

export const cases = [
  {
    name: 'the reason of a status',
    async run(library, t) {
      const { code, status, message } = await failed(library, t, 404);
      assert.deepEqual([code, status], ['ERR_REJECTED', 404]);
      withoutKey(message);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'the text `[404] Not Found`',
      ours: '`ERR_REJECTED` with `status` 404',
      why: 'codes are stable, texts may change',
      advice: 'read `reason.code` and `reason.status`',
      run: async (library, t) => assert.equal((await failed(library, t, 404)).message, '[404] Not Found'),
    },
  },
  {
    name: 'a 401',
    run: async (library, t) => assert.equal((await failed(library, t, 401)).code, 'ERR_UNAUTHORIZED'),
    differs: {
      kind: DELIBERATE,
      theirs: 'dropped: `[401] Unauthorized`',
      ours: '`ERR_UNAUTHORIZED` at once for a call with a callback; all other events are kept until the key works',
      why: 'a wrong key is a mistake that somebody can mend',
      advice: 'check the key and the region',
      run: async (library, t) => assert.equal((await failed(library, t, 401)).message, '[401] Unauthorized'),
    },
  },
  {
    name: 'one event of a batch that makes the server answer 400',
    run: async (library, t) => assert.deepEqual((await poisoned(library, t)).toSorted(), ['m0', 'm2']),
    differs: {
      kind: DEFECT,
      theirs: 'the whole batch is dropped',
      ours: 'only that event is dropped',
      why: 'the others are lost for nothing; here the batch is divided until the event is alone',
      run: async (library, t) => assert.deepEqual(await poisoned(library, t), []),
    },
  },
  {
    name: 'a connection that is reset is tried again',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, {}, { faults: [{ reset: 'after-body' }] });
      assert.equal((await fateOf(analytics)).reason, undefined);
      assert.equal(segment.requestCount, 2);
    },
  },
  {
    name: 'a server that is not there counts as an attempt',
    async run(library, t) {
      const segment = await startSegment(t);
      await segment.pause();
      const analytics = clientOf(library, t, { host: segment.url, maxRetries: 0 });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
    },
  },
  {
    name: 'a server that comes back gets what was tracked while it was away',
    async run(library, t) {
      const segment = await startSegment(t);
      await segment.pause();
      const analytics = clientOf(library, t, { host: segment.url, maxRetries: 5 });
      analytics.on('http_request', () => void segment.resume());
      const { reason } = await fateOf(analytics);
      assert.deepEqual([reason, segment.eventCount], [undefined, 1]);
    },
  },
  {
    name: 'every event of a failed batch fails, with the same reason',
    async run(library, t) {
      const settings = { flushAt: 3, maxRetries: 0 };
      const faults = [{ status: 500, times: Infinity }];
      const { analytics } = await onSegment(library, t, settings, { faults });
      const ends = fates(analytics, 3);
      trackAll(analytics, 3);
      const reasons = (await ends).map(({ reason }) => reason.message);
      assert.deepEqual([reasons.length, new Set(reasons).size], [3, 1]);
    },
  },
  {
    name: 'a failed batch does not keep the next one',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, {}, { faults: [{ status: 404 }] });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
      assert.equal(
        (await fateOf(analytics, 'track', { ...MINIMAL.track, messageId: 'm2' })).reason,
        undefined,
      );
      assert.deepEqual(
        segment.events.map(({ messageId }) => messageId),
        ['m2'],
      );
    },
  },
  {
    name: 'a dozen batches that wait for their next attempt',
    alone: true,
    run: async (library, t) => assert.deepEqual(await warningsOfRetries(library, t), []),
    differs: {
      kind: DEFECT,
      theirs: 'a `MaxListenersExceededWarning` of Node',
      ours: 'no warning',
      why: 'each wait leaves a listener behind',
      run: async (library, t) =>
        assert.deepEqual(await warningsOfRetries(library, t), ['MaxListenersExceededWarning']),
    },
  },
  {
    name: 'an attempt that times out',
    run: async (library, t) => assert.equal((await timedOut(library, t)).code, 'ERR_TIMEOUT'),
    differs: {
      kind: DELIBERATE,
      theirs: 'an `AbortError`',
      ours: '`ERR_TIMEOUT`',
      why: 'codes are stable, texts may change',
      run: async (library, t) => assert.equal((await timedOut(library, t)).name, 'AbortError'),
    },
  },
];

async function timedOut(library, t) {
  const settings = { httpRequestTimeout: 50, maxRetries: 0 };
  const { analytics } = await onSegment(library, t, settings, { faults: [{ hang: true }] });
  return (await fateOf(analytics)).reason;
}

/** What Node warns of while twelve batches fail once and are delivered then. */
async function warningsOfRetries(library, t) {
  const faults = [{ status: 500, times: 12 }];
  const { segment, analytics } = await onSegment(library, t, { maxRetries: 20 }, { faults });
  const names = [];
  const listener = ({ name }) => names.push(name);
  process.on('warning', listener);
  t.after(() => process.off('warning', listener));
  const ends = fates(analytics, 12);
  trackAll(analytics, 12);
  await ends;
  assert.equal(segment.eventCount, 12);
  return names;
}
