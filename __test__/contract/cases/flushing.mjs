import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import {
  MINIMAL,
  clientOf,
  fateOf,
  fates,
  next,
  nextFate,
  onSegment,
  replace,
  startCollector,
  trackAll,
} from '../stage.mjs';

const HUNG = { faults: [{ hang: true }] };
const DOWN = { faults: [{ status: 500, times: Infinity }] };

/** One batch that the server does not answer yet, and one event that waits for company. */
async function halfUnderWay(library, t, settings) {
  const { segment, analytics } = await onSegment(library, t, { flushAt: 2, ...settings }, HUNG);
  trackAll(analytics, 2);
  await segment.waitForRequests(1);
  analytics.track({ ...MINIMAL.track, messageId: 'waiting' });
  return { segment, analytics };
}

/** A client whose flush ran out of time, with one event that was tracked since. */
async function afterTimeout(library, t, settings) {
  const { segment, analytics } = await onSegment(library, t, { flushAt: 10, ...settings }, HUNG);
  trackAll(analytics, 1);
  const flushed = analytics.flush({ timeout: 50 });
  await segment.waitForRequests(1);
  await flushed;
  analytics.track({ ...MINIMAL.track, messageId: 'second' });
  return { segment, analytics };
}

/** What console.warn says when two flushes overlap. */
async function overlapping(library, t) {
  const lines = [];
  replace(t, console, 'warn', (line) => lines.push(line));
  const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
  trackAll(analytics, 1);
  const first = analytics.flush();
  await analytics.flush();
  const arrived = segment.eventCount;
  await first;
  return { lines, arrived };
}

/** Events that are left when a client closes on a server that does not answer. */
async function leftOver(library, t) {
  const { analytics } = await onSegment(library, t, { flushAt: 1, flushInterval: 500 }, HUNG);
  const failed = [];
  analytics.on('error', ({ ctx }) => failed.push(ctx.event.messageId));
  trackAll(analytics, 1);
  const report = await analytics.closeAndFlush({ timeout: 100 });
  return { report, failed };
}

export const cases = [
  {
    name: 'flush() sends a batch that is not full',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      trackAll(analytics, 3);
      await analytics.flush();
      assert.deepEqual([segment.eventCount, segment.requestCount], [3, 1]);
    },
  },
  {
    name: 'flush() without events resolves',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      await analytics.flush();
      assert.equal(segment.requestCount, 0);
    },
  },
  {
    name: 'flush() waits for the retries of a batch',
    async run(library, t) {
      const { segment, analytics } = await onSegment(
        library,
        t,
        { flushAt: 10 },
        { faults: [{ status: 503 }] },
      );
      trackAll(analytics, 2);
      await analytics.flush();
      assert.deepEqual([segment.requestCount, segment.eventCount], [2, 2]);
    },
  },
  {
    name: 'flush() resolves when events fail',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { maxRetries: 0 }, DOWN);
      const fate = nextFate(analytics);
      analytics.track(MINIMAL.track);
      await analytics.flush();
      assert.ok((await fate).reason instanceof Error);
    },
  },
  {
    name: 'a client goes on after flush()',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      for (let round = 0; round < 3; round += 1) {
        trackAll(analytics, 1);
        await analytics.flush();
      }
      assert.equal(segment.eventCount, 3);
    },
  },
  {
    name: 'flush({ timeout }) resolves when the time is up',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, {}, HUNG);
      analytics.track(MINIMAL.track);
      await analytics.flush({ timeout: 20 });
    },
  },
  {
    name: 'a request that is under way when the time is up goes on',
    async run(library, t) {
      const { url } = await startCollector(t);
      const gate = holding(url);
      const analytics = clientOf(library, t, { host: url, httpClient: gate.httpClient });
      const fate = fateOf(analytics);
      await gate.asked;
      await analytics.flush({ timeout: 20 });
      gate.open();
      assert.equal((await fate).reason, undefined);
    },
  },
  {
    name: 'flush({ close: true }) closes',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      trackAll(analytics, 1);
      await analytics.flush({ close: true });
      const refused = next(analytics, 'call_after_close');
      analytics.track(MINIMAL.track);
      await refused;
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'closeAndFlush() delivers what was tracked before, and nothing that comes later',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      trackAll(analytics, 2);
      const closing = analytics.closeAndFlush();
      const refused = next(analytics, 'call_after_close');
      analytics.track({ ...MINIMAL.track, messageId: 'late' });
      await Promise.all([closing, refused]);
      assert.deepEqual(
        segment.events.map(({ messageId }) => messageId),
        ['m0', 'm1'],
      );
    },
  },
  {
    name: 'closeAndFlush() without events resolves',
    run: async (library, t) => void (await clientOf(library, t).closeAndFlush()),
  },
  {
    name: 'closeAndFlush() may be called again',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      trackAll(analytics, 1);
      await analytics.closeAndFlush();
      await analytics.closeAndFlush();
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'closeAndFlush() delivers several batches',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 5 });
      const ends = fates(analytics, 10);
      trackAll(analytics, 10);
      await analytics.closeAndFlush();
      await ends;
      assert.equal(segment.eventCount, 10);
    },
  },
  {
    name: 'flush() while a request is under way',
    async run(library, t) {
      const { segment, analytics } = await halfUnderWay(library, t);
      void analytics.flush();
      const requests = await segment.waitForRequests(2);
      assert.deepEqual(requests[1].messageIds, ['waiting']);
    },
    differs: {
      kind: DEFECT,
      theirs:
        'leaves the batch that is not full until `flushInterval`; `closeAndFlush()` may return without it',
      ours: 'sends everything that was accepted before',
      why: 'they compare the batch with everything that is pending',
      advice: 'delete waits and second flushes',
      async run(library, t) {
        const { segment, analytics } = await halfUnderWay(library, t, { flushInterval: 1_000 });
        await analytics.flush({ timeout: 100 });
        assert.equal(segment.requestCount, 1);
        // It leaves by the timer.
        const requests = await segment.waitForRequests(2);
        assert.deepEqual(requests[1].messageIds, ['waiting']);
      },
    },
  },
  {
    name: 'flush() after one whose time was up',
    alone: true,
    async run(library, t) {
      const { segment, analytics } = await afterTimeout(library, t);
      void analytics.flush();
      const requests = await segment.waitForRequests(2);
      assert.deepEqual(requests[1].messageIds, ['second']);
    },
    differs: {
      kind: DEFECT,
      theirs: 'does nothing until all that was pending has ended',
      ours: 'sends',
      why: 'they take the first for still going on',
      advice: 'delete repeated flushes',
      async run(library, t) {
        replace(t, console, 'warn', () => {});
        const { segment, analytics } = await afterTimeout(library, t, { flushInterval: 1_000 });
        await analytics.flush();
        await analytics.flush();
        assert.equal(segment.requestCount, 1);
        // It leaves by the timer.
        const requests = await segment.waitForRequests(2);
        assert.deepEqual(requests[1].messageIds, ['second']);
      },
    },
  },
  {
    name: 'a second flush() while one is under way',
    alone: true,
    async run(library, t) {
      assert.deepEqual(await overlapping(library, t), { lines: [], arrived: 1 });
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`console.warn`, and resolves at once',
      ours: 'resolves with the first',
      why: 'whoever waits wants the events to be delivered',
      advice: 'delete locks around `flush()`',
      async run(library, t) {
        const { lines, arrived } = await overlapping(library, t);
        assert.match(lines[0], /^Overlapping flush calls detected/);
        assert.deepEqual([lines.length, arrived], [1, 0]);
      },
    },
  },
  {
    name: 'a batch that waits for its next attempt when the time of flush() is up',
    async run(library, t) {
      const { segment, analytics } = await pausing(library, t);
      const fate = nextFate(analytics);
      await analytics.flush({ timeout: 20 });
      assert.equal((await fate).reason, undefined);
      assert.equal(segment.eventCount, 1);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'fails: `Flush timeout`',
      ours: 'is tried again later; only `closeAndFlush()` ends it',
      why: 'a timeout is about waiting, not about the events',
      advice: 'delete code that tracks such events again',
      async run(library, t) {
        const { segment, analytics } = await pausing(library, t);
        const fate = nextFate(analytics);
        await analytics.flush({ timeout: 20 });
        assert.equal((await fate).reason.message, 'Flush timeout');
        assert.equal(segment.eventCount, 0);
      },
    },
  },
  ...[
    [
      'a timeout of flush() that is no number',
      { timeout: '5s' },
      'timeout',
      'is up at once: the batches are given up',
      'nobody means to wait for ever, or not at all',
      'milliseconds',
    ],
    [
      'an option of flush() that does not exist',
      { timeoutMs: 5 },
      'timeoutMs',
      'ignored',
      'a slip is found when it is made',
      'see `field`; listeners and hooks may be given anything but a plain object',
    ],
  ].map(([name, options, field, theirs, why, advice]) => ({
    name,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      await assert.rejects(analytics.flush(options), { code: 'ERR_OPTION_INVALID', field });
    },
    differs: {
      kind: DELIBERATE,
      theirs,
      ours: 'rejects with `ERR_OPTION_INVALID`; nothing is closed',
      why,
      advice,
      async run(library, t) {
        const { analytics } = await onSegment(library, t);
        assert.equal(await analytics.flush(options), undefined);
      },
    },
  })),
  {
    name: 'what is under way when the time of closeAndFlush() is up',
    async run(library, t) {
      const { report, failed } = await leftOver(library, t);
      const unflushed = report.unflushed.map(({ messageId }) => messageId);
      assert.deepEqual([unflushed, failed], [['m0'], ['m0']]);
    },
    differs: {
      kind: DEFECT,
      theirs: 'is neither delivered nor reported',
      ours: 'is in `unflushed` of the report, and in `error`',
      why: 'nobody learns of it',
      advice: 'log or keep `unflushed`, or use `spool`',
      async run(library, t) {
        const { report, failed } = await leftOver(library, t);
        assert.deepEqual([report, failed], [undefined, []]);
      },
    },
  },
];

/** A batch whose first attempt has failed, before its second. */
async function pausing(library, t) {
  const { segment, analytics } = await onSegment(library, t, {}, { faults: [{ status: 500 }] });
  const answered = next(analytics, 'http_response');
  analytics.track(MINIMAL.track);
  await answered;
  // The answer has to be dealt with before there is a pause.
  await new Promise((resolve) => setImmediate(resolve));
  return { segment, analytics };
}

/** An `httpClient` whose requests wait for `open()`. */
function holding(url) {
  let open;
  let begun;
  const opened = new Promise((resolve) => (open = resolve));
  const asked = new Promise((resolve) => (begun = resolve));
  const httpClient = async (_url, { method, headers, body }) => {
    begun();
    await opened;
    return fetch(url, { method, headers, body });
  };
  return { httpClient, asked, open };
}
