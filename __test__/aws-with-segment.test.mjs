/** `withSegment`: what any function tracks is delivered before it is stopped. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { withSegment } from '@companion/segment/aws';
import { RecordingAnalytics } from '@companion/segment/testing';

import {
  MINIMAL,
  assertConserved,
  messageIdsOf,
  startClient,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { contextWith, powertoolsLogger, useClock } from './support/lambda.mjs';

const CONTEXT = contextWith(30_000);
const track = (analytics, messageId) => analytics.track({ ...MINIMAL.track, messageId });

describe('a handler', () => {
  test('gets the event and the context, and its result is the same object', async (t) => {
    const { segment, analytics } = await startPair(t);
    const result = { statusCode: 200 };
    const calls = [];
    const handler = withSegment(
      async (...args) => {
        calls.push(args);
        track(analytics, 'm1');
        return result;
      },
      { client: analytics },
    );
    const event = { path: '/' };
    assert.equal(await handler(event, CONTEXT), result);
    assert.deepEqual(messageIdsOf(segment.events), ['m1']);
    assert.ok(calls.length === 1 && calls[0].length === 2);
    assert.ok(calls[0][0] === event && calls[0][1] === CONTEXT);
  });

  for (const [what, error] of Object.entries({
    'an Error': new RangeError('boom'),
    'a text': 'text',
    null: null,
    undefined,
    'an object': { code: 5 },
  })) {
    test(`fails with what it throws itself, and what it tracked is delivered: ${what}`, async (t) => {
      const { segment, analytics } = await startPair(t);
      for (const fails of [
        async () => {
          track(analytics, 'm1');
          throw error;
        },
        () => {
          track(analytics, 'm2');
          throw error;
        },
      ]) {
        const failure = await withSegment(fails, { client: analytics })({}, CONTEXT).then(
          () => assert.fail('it resolved'),
          (reason) => ({ reason }),
        );
        assert.ok(Object.is(failure.reason, error));
      }
      assert.deepEqual(messageIdsOf(segment.events), ['m1', 'm2']);
    });
  }

  test('may be synchronous', async (t) => {
    const { segment, analytics } = await startPair(t);
    const handler = withSegment(() => track(analytics, 'm1'), { client: analytics });
    assert.equal(await handler({}, CONTEXT), true);
    assert.equal(segment.eventCount, 1);
  });

  test('may track nothing', async (t) => {
    const { segment, analytics } = await startPair(t);
    assert.equal(await withSegment(() => 'over', { client: analytics })({}, CONTEXT), 'over');
    assert.equal(segment.requestCount, 0);
  });

  for (const [what, context] of [
    ['no context', undefined],
    ['a context of null', null],
    ['a context without a clock', {}],
    ['a context with another clock', contextWith('1')],
  ]) {
    test(`may be called with ${what}`, async (t) => {
      const { segment, analytics } = await startPair(t);
      await withSegment(() => track(analytics, 'm1'), { client: analytics })({}, context);
      assert.equal(segment.eventCount, 1);
    });
  }
});

describe('events are delivered before the answer', () => {
  test('all of them, whatever the client waits for', async (t) => {
    const { segment, analytics } = await startPair(t);
    const ids = Array.from({ length: 500 }, (_, index) => `m${index}`);
    await withSegment(() => void trackMany(analytics, 500), { client: analytics })({}, CONTEXT);
    assert.deepEqual(messageIdsOf(segment.events), ids);
    assert.ok(segment.requestCount <= 5, `${segment.requestCount} requests`);
  });

  test('at every invocation, over the same connection', async (t) => {
    const { segment, analytics } = await startPair(t);
    const handler = withSegment((id) => track(analytics, id), { client: analytics });
    for (const id of ['m1', 'm2', 'm3']) {
      await handler(id, CONTEXT);
      assert.equal(segment.events.at(-1).messageId, id);
    }
    assert.deepEqual([segment.requestCount, segment.connectionCount], [3, 1]);
  });

  test('over a new connection at every invocation with maxIdle 0', async (t) => {
    const { segment, analytics } = await startPair(t);
    const handler = withSegment((id) => track(analytics, id), { client: analytics, maxIdle: 0 });
    for (const id of ['m1', 'm2', 'm3']) await handler(id, CONTEXT);
    assert.deepEqual([segment.requestCount, segment.connectionCount], [3, 3]);
  });

  test('over a new connection after four seconds', async (t) => {
    const clock = useClock(t);
    const { segment, analytics } = await startPair(t);
    const handler = withSegment((id) => track(analytics, id), { client: analytics });
    const connections = [];
    for (const pause of [0, 3_999, 4_000]) {
      clock.pass(pause);
      await handler(`after-${pause}`, CONTEXT);
      connections.push(segment.connectionCount);
    }
    assert.deepEqual(connections, [1, 1, 2]);
  });

  test('of several clients, whether in a service or not', async (t) => {
    const [one, two] = [await startPair(t), await startPair(t)];
    const service = { client: two.analytics };
    const handler = withSegment(
      () => {
        track(one.analytics, 'm1');
        track(two.analytics, 'm2');
      },
      { client: [one.analytics, service] },
    );
    await handler({}, CONTEXT);
    assert.deepEqual(messageIdsOf(one.segment.events), ['m1']);
    assert.deepEqual(messageIdsOf(two.segment.events), ['m2']);
  });

  test('of a service alone', async (t) => {
    const { segment, analytics } = await startPair(t);
    const service = { client: analytics, track: (id) => track(analytics, id) };
    await withSegment((id) => service.track(id), { client: service })('m1', CONTEXT);
    assert.deepEqual(messageIdsOf(segment.events), ['m1']);
  });

  test('to a client that only remembers them, in a test', async () => {
    const client = new RecordingAnalytics();
    assert.equal(await withSegment(() => track(client, 'm1'), { client })({}, CONTEXT), true);
    assert.deepEqual(messageIdsOf(client.events), ['m1']);
  });

  test('unless Segment refuses them, which is no error of the handler', async (t) => {
    const faults = [{ status: 400, times: Infinity }];
    const { segment, analytics } = await startPair(t, {}, { faults });
    const handler = withSegment(() => track(analytics, 'm1'), { client: analytics });
    assert.equal(await handler({}, CONTEXT), true);
    assert.deepEqual([segment.eventCount, analytics.stats().pending], [0, 0]);
  });

  test('unless the client was closed, which is no error either', async (t) => {
    const { analytics } = await startPair(t);
    const handler = withSegment(() => 'over', { client: analytics });
    await analytics.closeAndFlush();
    assert.equal(await handler({}, CONTEXT), 'over');
  });
});

describe('when time runs out', () => {
  for (const [remaining, reserve] of [
    [550, undefined],
    [300, 250],
    [50, 0],
    [300, 5_000],
  ]) {
    test(`of ${remaining} ms with a reserve of ${reserve}, the answer is the handler's and events wait`, async (t) => {
      const faults = [{ hang: true, times: Infinity }];
      const settings = { httpRequestTimeout: 500 };
      const { segment, analytics } = await startPair(t, settings, { faults });
      const logger = powertoolsLogger();
      const handler = withSegment((id) => track(analytics, id), { client: analytics, logger, reserve });
      assert.equal(await handler('m1', contextWith(remaining)), true);
      const warning = {
        level: 'warn',
        message: 'segment: time ran out; events wait for the next invocation',
        fields: { pending: 1 },
      };
      assert.deepEqual(logger.lines, [warning]);
      assert.deepEqual([analytics.stats().pending, segment.eventCount], [1, 0]);
      // They leave with the next.
      segment.clearFaults();
      assert.equal(await handler('m2', CONTEXT), true);
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['m1', 'm2']);
      assert.deepEqual(logger.lines, [warning]);
      assertConserved(analytics.stats());
    });
  }

  test("the error is the handler's too", async (t) => {
    const faults = [{ hang: true, times: Infinity }];
    const { analytics } = await startPair(t, {}, { faults });
    const fails = () => {
      track(analytics, 'm1');
      throw new RangeError('boom');
    };
    await assert.rejects(withSegment(fails, { client: analytics })({}, contextWith(550)), RangeError);
    assert.equal(analytics.stats().pending, 1);
  });

  test('of one client, the others have delivered', async (t) => {
    const slow = await startPair(t, {}, { faults: [{ hang: true, times: Infinity }] });
    const { segment, analytics } = await startPair(t);
    const logger = powertoolsLogger();
    const client = [slow.analytics, analytics];
    const handler = withSegment(() => client.forEach((each) => track(each, 'm1')), { client, logger });
    await handler({}, contextWith(550));
    assert.equal(segment.eventCount, 1);
    assert.deepEqual(
      logger.lines.map(({ fields }) => fields),
      [{ pending: 1 }],
    );
  });

  test('because the server is down, what is tracked leaves once it is up again', async (t) => {
    const segment = await startSegment(t);
    const analytics = startClient(t, segment);
    const handler = withSegment((id) => track(analytics, id), { client: analytics });
    await segment.pause();
    for (const id of ['m1', 'm2', 'm3']) await handler(id, contextWith(510));
    assert.equal(analytics.stats().pending, 3);
    await segment.resume();
    await handler('m4', CONTEXT);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['m1', 'm2', 'm3', 'm4']);
    assert.equal(segment.duplicates().size, 0);
  });
});

describe('what can not be used is refused when the function is made', () => {
  for (const handler of [
    undefined,
    null,
    'handler',
    {},
    (_event, _context, callback) => callback(null),
    async (_event, _context, _callback) => {},
  ]) {
    test(`the handler ${inspect(handler)} of ${handler?.length ?? 'no'} parameters`, async (t) => {
      const { analytics } = await startPair(t);
      const refused = { code: 'ERR_OPTION_INVALID', field: 'handler' };
      assert.throws(() => withSegment(handler, { client: analytics }), refused);
    });
  }

  for (const client of [
    undefined,
    null,
    5,
    'client',
    [],
    {},
    { client: {} },
    [undefined],
    [{}],
    { flush: () => Promise.resolve({ pending: 0 }) },
  ]) {
    test(`the client ${inspect(client, { depth: 0 })}`, () => {
      const refused = { name: 'AnalyticsError', code: 'ERR_OPTION_INVALID', field: 'client' };
      assert.throws(() => withSegment(() => {}, { client }), refused);
    });
  }

  test('a wrong client among good ones', async (t) => {
    const { analytics } = await startPair(t);
    const refused = { code: 'ERR_OPTION_INVALID', field: 'client' };
    assert.throws(() => withSegment(() => {}, { client: [analytics, {}] }), refused);
  });

  for (const options of [
    { reserve: -1 },
    { reserve: '5' },
    { reserve: Number.NaN },
    { reserve: null },
    { maxIdle: -1 },
    { maxIdle: '0' },
    { maxIdle: null },
    { logger: {} },
  ]) {
    test(inspect(options), async (t) => {
      const { analytics } = await startPair(t);
      const [field] = Object.keys(options);
      const refused = { code: 'ERR_OPTION_INVALID', field };
      assert.throws(() => withSegment(() => {}, { client: analytics, ...options }), refused);
    });
  }
});
