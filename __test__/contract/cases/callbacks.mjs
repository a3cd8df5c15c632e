import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import {
  METHODS,
  MINIMAL,
  boom,
  deferred,
  fates,
  next,
  onSegment,
  replace,
  settled,
  trackAll,
  turns,
} from '../stage.mjs';

const OUTAGE = { faults: [{ status: 404, times: Infinity }] };

/** The lines that a callback's mistake leaves in its context. */
async function linesAfter(library, t, callback) {
  const { analytics } = await onSegment(library, t);
  const told = next(analytics, 'track');
  analytics.track(MINIMAL.track, callback);
  const [context] = await told;
  await turns(2);
  return context.logs().filter(({ message }) => message === 'Callback Error');
}

/** Delays of timers between a tenth and half a second that a call with a callback waits for. */
async function delays(library, t) {
  const { analytics } = await onSegment(library, t);
  const original = globalThis.setTimeout;
  const asked = [];
  replace(t, globalThis, 'setTimeout', (run, delay, ...args) => {
    if (delay > 100 && delay < 500) asked.push(delay);
    return original(run, delay, ...args);
  });
  await settled(analytics, 'track', MINIMAL.track);
  return asked;
}

/** What the callback of a call after close gets; undefined if it is never called. */
async function afterClose(library, t) {
  const { analytics } = await onSegment(library, t);
  await analytics.closeAndFlush();
  let told;
  analytics.track(MINIMAL.track, (error) => (told = error));
  await turns(5);
  return told;
}

export const cases = [
  ...METHODS.map((method) => ({
    name: `${method}() tells its callback (undefined, context) once`,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const calls = [];
      const told = next(analytics, method);
      analytics[method](MINIMAL[method], (...args) => calls.push(args));
      await told;
      await analytics.flush();
      assert.equal(calls.length, 1);
      const [[error, context]] = calls;
      assert.deepEqual([calls[0].length, error, context.event.type], [2, undefined, method]);
      assert.ok(context instanceof library.Context);
    },
  })),
  {
    name: 'a failure is told as (reason, context)',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, {}, OUTAGE);
      const calls = [];
      const failed = next(analytics, 'error');
      analytics.track(MINIMAL.track, (...args) => calls.push(args));
      await failed;
      assert.equal(calls.length, 1);
      const [[error, context]] = calls;
      assert.ok(error instanceof Error);
      assert.equal(context.failedDelivery().reason, error);
    },
  },
  {
    name: 'each callback of a batch gets its own event',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 3 });
      const told = Array.from({ length: 3 }, (_, index) =>
        settled(analytics, 'track', { ...MINIMAL.track, messageId: `m${index}` }),
      );
      const messageIds = (await Promise.all(told)).map(([, { event }]) => event.messageId);
      assert.deepEqual([messageIds, segment.requestCount], [['m0', 'm1', 'm2'], 1]);
    },
  },
  {
    name: 'the callback comes before the event of that name, and drained after both',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const order = [];
      analytics.on('track', () => order.push('track'));
      const drained = next(analytics, 'drained');
      analytics.track(MINIMAL.track, () => order.push('callback'));
      await drained;
      assert.deepEqual(order, ['callback', 'track']);
    },
  },
  {
    name: 'the callback comes before the error event',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, {}, OUTAGE);
      const order = [];
      const failed = next(analytics, 'error').then(() => order.push('error'));
      analytics.track(MINIMAL.track, () => order.push('callback'));
      await failed;
      assert.deepEqual(order, ['callback', 'error']);
    },
  },
  {
    name: 'disable calls callbacks too',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { disable: true });
      const [error, context] = await settled(analytics, 'track', MINIMAL.track);
      assert.deepEqual([error, context.event.event], [undefined, MINIMAL.track.event]);
    },
  },
  {
    name: 'flush() waits for callbacks',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { flushAt: 10 });
      let isTold = false;
      analytics.track(MINIMAL.track, () => (isTold = true));
      await analytics.flush();
      assert.equal(isTold, true);
    },
  },
  {
    name: 'flush() waits for the promises of callbacks',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { flushAt: 10 });
      let isDone = false;
      analytics.track(MINIMAL.track, async () => {
        await turns(3);
        isDone = true;
      });
      await analytics.flush();
      assert.equal(isDone, true);
    },
  },
  {
    name: 'a callback whose promise never settles holds nothing up for ever',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      analytics.track(MINIMAL.track, () => new Promise(() => {}));
      await analytics.flush();
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'a callback that throws leaves a line in its context, and harms nothing else',
    async run(library, t) {
      const [{ level, extras }] = await linesAfter(library, t, boom);
      assert.deepEqual([level, extras.error.message], ['warn', 'boom']);
    },
  },
  {
    name: 'a callback that rejects leaves a line in its context, and harms nothing else',
    async run(library, t) {
      const [{ level, extras }] = await linesAfter(library, t, async () => boom());
      assert.deepEqual([level, extras.error.message], ['warn', 'boom']);
    },
  },
  {
    name: 'an event whose callback throws is delivered all the same',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 2 });
      const ends = fates(analytics, 2);
      analytics.track(MINIMAL.track, boom);
      trackAll(analytics, 1);
      assert.deepEqual(
        (await ends).map(({ reason }) => reason),
        [undefined, undefined],
      );
      assert.equal(segment.eventCount, 2);
    },
  },
  {
    name: 'a callback may track',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const second = deferred();
      analytics.track(MINIMAL.track, () => analytics.page(MINIMAL.page, second.resolve));
      await second.promise;
      assert.deepEqual(
        segment.events.map(({ type }) => type),
        ['track', 'page'],
      );
    },
  },
  {
    name: 'how early a callback comes',
    alone: true,
    run: async (library, t) => assert.deepEqual(await delays(library, t), []),
    differs: {
      kind: DELIBERATE,
      theirs: '300 ms after the call at the earliest, and `flush()` takes as long',
      ours: 'when the fate is known',
      why: 'the delay has no use',
      async run(library, t) {
        const [delay] = await delays(library, t);
        assert.ok(delay <= 300, `${delay}`);
      },
    },
  },
  {
    name: 'the callback of a call after close',
    run: async (library, t) => assert.equal((await afterClose(library, t)).code, 'ERR_CLOSED'),
    differs: {
      kind: DELIBERATE,
      theirs: 'is never called',
      ours: 'gets `ERR_CLOSED`',
      why: 'whoever waits for it would wait for ever',
      run: async (library, t) => assert.equal(await afterClose(library, t), undefined),
    },
  },
];
