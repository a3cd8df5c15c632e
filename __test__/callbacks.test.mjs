/** Callbacks and `deliver.*`: one event's fate, told once, to whoever asked. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { AnalyticsError, Context } from '@companion/segment';

import {
  METHODS,
  MINIMAL,
  NEVER_MS,
  assertConserved,
  assertRefused,
  counted,
  failuresOf,
  messageIdsOf,
  next,
  settled,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

/** Ways to fail, with one attempt only. */
const FAILURES = [
  ['400', { status: 400 }, { code: 'ERR_REJECTED', status: 400, text: /^400 Bad Request/ }],
  ['404', { status: 404 }, { code: 'ERR_REJECTED', status: 404, text: /^404 Not Found/ }],
  ['501', { status: 501 }, { code: 'ERR_REJECTED', status: 501, text: /^501 / }],
  ['401', { status: 401 }, { code: 'ERR_UNAUTHORIZED', status: 401, text: /^401 Unauthorized.*write key/ }],
  ['403', { status: 403 }, { code: 'ERR_UNAUTHORIZED', status: 403, text: /^403 Forbidden/ }],
  ['500', { status: 500 }, { code: 'ERR_SERVER', status: 500, text: /^500 Internal Server Error/ }],
  ['429 without a pause', { status: 429 }, { code: 'ERR_RATE_LIMITED', status: 429, text: /^429 / }],
  [
    'a redirect',
    { redirect: { location: '/v1/batch' } },
    { code: 'ERR_REDIRECT', status: 302, text: /^302 / },
  ],
  [
    'a reset',
    { reset: 'after-body' },
    { code: 'ERR_NETWORK', status: undefined, text: /^Connection failed/ },
  ],
  ['silence', { hang: true }, { code: 'ERR_TIMEOUT', status: undefined, text: /^Network timeout/ }],
];
const once = (fault) => ({ maxRetries: 0, gzip: false, ...(fault.hang && { httpRequestTimeout: 100 }) });
const always = (fault) => ({ faults: [{ ...fault, times: Infinity }] });

describe('callbacks', () => {
  for (const method of METHODS) {
    test(`of ${method} are told of the delivery once, with undefined and the context`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const calls = [];
      for (const messageId of ['m1', 'm2']) {
        analytics[method]({ ...MINIMAL[method], messageId }, (...args) => calls.push(args));
      }
      await analytics.flush();
      await analytics.closeAndFlush();
      assert.equal(calls.length, 2);
      for (const [index, [error, context, ...others]] of calls.entries()) {
        assert.deepEqual([error, others], [undefined, []]);
        assert.ok(context instanceof Context);
        assert.deepEqual(context.event, segment.events[index]);
        assert.deepEqual([context.attempts, context.failedDelivery()], [1, undefined]);
      }
    });
  }

  for (const [what, fault, { code, status, text }] of FAILURES) {
    test(`are told of ${what} once, with the error and the context`, async (t) => {
      const { analytics } = await startPair(t, once(fault), always(fault));
      const calls = [];
      for (const messageId of ['m1', 'm2'])
        analytics.track({ ...MINIMAL.track, messageId }, (...args) => calls.push(args));
      const failures = failuresOf(analytics);
      await analytics.flush();
      assert.deepEqual(
        calls.map(([, context]) => context.event.messageId),
        ['m1', 'm2'],
      );
      for (const [index, [error, context, ...others]] of calls.entries()) {
        assert.ok(error instanceof AnalyticsError);
        assert.deepEqual([error.code, error.status, others], [code, status, []]);
        assert.match(error.message, text);
        assert.equal(context.failedDelivery().reason, error);
        assert.equal(failures[index].ctx, context);
        assert.equal(failures[index].reason, error);
      }
      assertConserved(analytics.stats());
    });
  }

  test('come after the call, never during it', async (t) => {
    const { analytics } = await startPair(t, { disable: true, flushAt: 1 });
    let isOver = false;
    const settling = new Promise((resolve) => analytics.track(MINIMAL.track, () => resolve(isOver)));
    isOver = true;
    await analytics.flush();
    assert.equal(await settling, true);
  });

  test('are told of a call after the close', async (t) => {
    const { analytics } = await startPair(t);
    await analytics.closeAndFlush();
    const failures = failuresOf(analytics);
    const [error, context] = await settled(analytics, 'track', MINIMAL.track);
    assert.deepEqual([error.code, context.event.event, failures], ['ERR_CLOSED', 'Ordered', []]);
  });

  test('that are none: `condition && callback` leaves false', async (t) => {
    const { analytics } = await startPair(t);
    for (const callback of [undefined, null, false])
      assert.equal(analytics.track(MINIMAL.track, callback), true);
    assert.equal((await analytics.flush()).delivered, 3);
  });

  for (const callback of [0, 5, '', 'x', true, {}, [() => {}], Symbol('x'), 5n]) {
    test(`that are ${inspect(callback)} and no function: the call is refused`, async (t) => {
      const { analytics, segment } = await startPair(t);
      for (const method of METHODS) {
        const call = () => analytics[method](MINIMAL[method], callback);
        const { reason } = assertRefused(analytics, call, 'ERR_VALIDATION');
        assert.deepEqual([reason.field, reason.message], ['callback', 'callback is not a function']);
        assert.throws(() => analytics[method]({}, callback), { code: 'ERR_VALIDATION', message: /is nil/ });
      }
      await analytics.flush();
      assert.equal(segment.requestCount, 0);
    });
  }

  test('that throw leave a line in the log of the context', async (t) => {
    const { analytics } = await startPair(t);
    const delivered = next(analytics, 'track');
    analytics.track(MINIMAL.track, () => {
      throw new Error('mine');
    });
    await analytics.flush();
    const [[line]] = [(await delivered)[0].logs()];
    assert.deepEqual(
      [line.level, line.message, line.extras.error.message],
      ['warn', 'Callback Error', 'mine'],
    );
  });

  test('that throw or reject harm nothing, in a process that would die of it', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 401 }] });
    const program = async ({ Analytics: Client }, { host, never }) => {
      let unhandled = 0;
      process.on('unhandledRejection', () => (unhandled += 1));
      const analytics = new Client({ writeKey: 'k', host, flushInterval: never });
      const told = [];
      const track = (callback, properties) =>
        analytics.track({ userId: 'u1', event: 'e', properties }, callback);
      for (let round = 0; round < 2; round += 1) {
        track((error) => {
          told.push(error?.code ?? 'delivered');
          throw new Error('thrown');
        });
        track(async (error) => {
          told.push(error?.code ?? 'delivered');
          throw new Error('rejected');
        });
        track((error) => void told.push(error?.code ?? 'delivered'));
        await analytics.flush();
      }
      track(
        () => {
          told.push('refused');
          throw new Error('thrown');
        },
        { a: 1n },
      );
      await analytics.closeAndFlush();
      await new Promise((resolve) => setImmediate(resolve));
      console.log(JSON.stringify({ unhandled, told, stats: analytics.stats() }));
    };
    const { code, stdout, stderr } = await runProgram(t, program, { host: segment.url, never: NEVER_MS });
    assert.deepEqual([code, stderr], [0, '']);
    const { unhandled, told, stats } = lastLine(stdout);
    assert.equal(unhandled, 0);
    const codes = [
      ...Array.from({ length: 3 }, () => 'ERR_UNAUTHORIZED'),
      ...Array.from({ length: 3 }, () => 'delivered'),
    ];
    assert.deepEqual(told, [...codes, 'refused']);
    assert.deepEqual([stats.delivered, stats.requests, segment.requestCount], [3, 2, 2]);
  });
});

describe('deliver', () => {
  for (const method of METHODS) {
    test(`${method} resolves with a receipt once Segment has the event`, async (t) => {
      const { analytics, segment } = await startPair(t, { flushAt: 1 });
      const receipt = await analytics.deliver[method](MINIMAL[method]);
      assert.deepEqual(receipt, { messageId: segment.events[0].messageId, attempts: 1 });
      const given = await analytics.deliver[method]({ ...MINIMAL[method], messageId: 'mine' });
      assert.deepEqual(given, { messageId: 'mine', attempts: 1 });
    });
  }

  test('counts the attempts', async (t) => {
    const { analytics } = await startPair(t, { flushAt: 1 }, { faults: [{ status: 500 }] });
    assert.equal((await analytics.deliver.track(MINIMAL.track)).attempts, 2);
  });

  for (const [what, fault, { code, status, text }] of FAILURES) {
    test(`rejects with ${code} for ${what}`, async (t) => {
      const { analytics } = await startPair(t, { ...once(fault), flushAt: 1 }, always(fault));
      await assert.rejects(analytics.deliver.track(MINIMAL.track), (error) => {
        assert.ok(error instanceof AnalyticsError);
        assert.deepEqual([error.code, error.status, error.attempts], [code, status, 1]);
        assert.match(error.message, text);
        return true;
      });
    });
  }

  test('rejects with ERR_NETWORK when nobody listens', async (t) => {
    const { analytics, segment } = await startPair(t, { maxRetries: 0, flushAt: 1 });
    await segment.pause();
    await assert.rejects(analytics.deliver.track(MINIMAL.track), { code: 'ERR_NETWORK' });
  });

  test('rejects with ERR_VALIDATION, ERR_NOT_SERIALIZABLE and ERR_EVENT_TOO_LARGE', async (t) => {
    const { analytics } = await startPair(t);
    const rejects = (params, code) => assert.rejects(analytics.deliver.track(params), { code });
    await rejects({ userId: 'u1' }, 'ERR_VALIDATION');
    await rejects({ ...MINIMAL.track, properties: { a: 1n } }, 'ERR_NOT_SERIALIZABLE');
    await rejects({ ...MINIMAL.track, properties: { a: 'x'.repeat(40_000) } }, 'ERR_EVENT_TOO_LARGE');
    assert.deepEqual(counted(analytics.stats().refused), {
      event_too_large: 1,
      invalid: 1,
      not_serializable: 1,
    });
  });

  test('rejects with ERR_CLOSED after the close, and when the close leaves the event behind', async (t) => {
    const { analytics, segment } = await startPair(t, { flushAt: 1 }, always({ hang: true }));
    const left = assert.rejects(analytics.deliver.track(MINIMAL.track), { code: 'ERR_CLOSED' });
    await segment.waitForRequests(1);
    await analytics.closeAndFlush({ timeout: 0 });
    await left;
    await assert.rejects(analytics.deliver.track(MINIMAL.track), { code: 'ERR_CLOSED' });
  });

  test('rejects with ERR_EXPIRED when the event got too old', async (t) => {
    const { analytics } = await startPair(t, { flushAt: 1, maxEventAge: 1 }, always({ status: 500 }));
    await assert.rejects(analytics.deliver.track(MINIMAL.track), { code: 'ERR_EXPIRED' });
    assert.equal(analytics.stats().dropped.expired, 1);
  });
});

describe('a full queue', () => {
  const large = (messageId) => ({ ...MINIMAL.track, messageId, properties: { filler: 'x'.repeat(30_000) } });

  test('refuses the newest event with ERR_QUEUE_FULL', async (t) => {
    const { analytics, segment } = await startPair(t, { maxQueueBytes: 65_536 });
    const failures = failuresOf(analytics);
    assert.deepEqual(
      ['m1', 'm2', 'm3'].map((id) => analytics.track(large(id))),
      [true, true, false],
    );
    await assert.rejects(analytics.deliver.track(large('m4')), { code: 'ERR_QUEUE_FULL' });
    assert.deepEqual(
      failures.map(({ reason }) => reason.code),
      ['ERR_QUEUE_FULL', 'ERR_QUEUE_FULL'],
    );
    assert.deepEqual(
      failures.map(({ ctx }) => ctx.event.messageId),
      ['m3', 'm4'],
    );
    assert.ok(analytics.stats().queueBytes <= 65_536);
    await analytics.flush();
    assert.deepEqual(messageIdsOf(segment.events), ['m1', 'm2']);
    assert.equal(analytics.track(large('m5')), true);
    assert.deepEqual(counted(analytics.stats().refused), { queue_full: 2 });
  });

  test("drops the oldest event with ERR_QUEUE_FULL where overflow is 'drop-oldest'", async (t) => {
    const { analytics, segment } = await startPair(t, { maxQueueBytes: 65_536, overflow: 'drop-oldest' });
    const failure = next(analytics, 'error');
    const settling = settled(analytics, 'track', large('m1'));
    assert.deepEqual(
      ['m2', 'm3'].map((id) => analytics.track(large(id))),
      [true, true],
    );
    const [error, context] = await settling;
    const [{ reason }] = await failure;
    assert.deepEqual(
      [error.code, reason.code, context.event.messageId],
      ['ERR_QUEUE_FULL', 'ERR_QUEUE_FULL', 'm1'],
    );
    const { accepted, delivered, dropped } = await analytics.flush();
    assert.deepEqual([accepted, delivered, counted(dropped)], [3, 2, { queue_full: 1 }]);
    assert.deepEqual(messageIdsOf(segment.events), ['m2', 'm3']);
    assertConserved(analytics.stats());
  });
});

test('many callbacks and promises at once are each told of their own event', async (t) => {
  const poison = ({ messageId }) => messageId.endsWith('7');
  const { analytics } = await startPair(t, {}, { poison });
  const fates = new Map();
  const ids = Array.from({ length: 300 }, (_, index) => `m${index}`);
  for (const messageId of ids) {
    analytics.track({ ...MINIMAL.track, messageId }, (error, { event }) => {
      assert.ok(!fates.has(event.messageId), 'told once');
      fates.set(event.messageId, error?.code);
    });
  }
  trackMany(analytics, 50, 'other');
  await analytics.flush();
  assert.deepEqual([...fates.keys()].toSorted(), ids.toSorted());
  for (const [id, code] of fates) assert.equal(code, id.endsWith('7') ? 'ERR_REJECTED' : undefined, id);
});
