import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics, AnalyticsError, Context } from '@companion/segment';

import {
  KEY,
  METHODS,
  MINIMAL,
  failuresOf,
  messageIdsOf,
  next,
  onTheWire,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';

const listensTo = (analytics, events) => {
  const heard = [];
  for (const event of events) analytics.on(event, (...args) => heard.push([event, ...args]));
  return heard;
};
const ALL = [
  ...METHODS,
  'error',
  'http_request',
  'http_response',
  'drained',
  'call_after_close',
  'initialize',
  'register',
  'deregister',
];

describe('type events', () => {
  for (const method of METHODS) {
    test(`${method} is told once per delivered event, with its context`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const heard = listensTo(analytics, METHODS);
      analytics[method]({ ...MINIMAL[method], messageId: 'm1' });
      analytics[method]({ ...MINIMAL[method], messageId: 'm2' });
      await analytics.flush();
      assert.deepEqual(
        heard.map(([event]) => event),
        [method, method],
      );
      for (const [index, [, context, ...others]] of heard.entries()) {
        assert.deepEqual(others, []);
        assert.ok(context instanceof Context);
        assert.deepEqual(onTheWire(context.event), segment.events[index]);
        assert.deepEqual([context.attempts, context.failedDelivery()], [1, undefined]);
      }
      assert.notEqual(heard[0][1].id, heard[1][1].id);
    });
  }

  test('attempts count the requests that carried the event', async (t) => {
    const { analytics } = await startPair(t, {}, { faults: [{ status: 500 }] });
    const delivered = next(analytics, 'track');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal((await delivered)[0].attempts, 2);
  });
});

describe('error', () => {
  test('is told once per event, not per batch, with a typed reason', async (t) => {
    const { analytics } = await startPair(t, {}, { faults: [{ status: 404 }] });
    const failures = failuresOf(analytics);
    const ids = trackMany(analytics, 3);
    await analytics.flush();
    assert.deepEqual(messageIdsOf(failures.map(({ ctx }) => ctx.event)), ids);
    for (const { code, reason, ctx } of failures) {
      assert.equal(code, 'delivery_failure');
      assert.ok(reason instanceof AnalyticsError && reason instanceof Error);
      assert.deepEqual(
        [reason.name, reason.code, reason.status, reason.attempts],
        ['AnalyticsError', 'ERR_REJECTED', 404, 1],
      );
      assert.match(reason.message, /^404 Not Found/);
      assert.equal(ctx.failedDelivery().reason, reason);
      assert.equal(ctx.attempts, 1);
    }
  });

  test('without a listener throws nothing, and events are counted all the same', async (t) => {
    const { analytics } = await startPair(t, {}, { faults: [{ status: 404 }] });
    analytics.track(MINIMAL.track);
    assert.equal(analytics.track({ ...MINIMAL.track, properties: { a: 1n } }), false);
    analytics.emit('error', { code: 'unknown', reason: new Error('mine') });
    await analytics.flush();
    const { dropped, refused } = analytics.stats();
    assert.deepEqual([dropped.rejected, refused.not_serializable], [1, 1]);
  });

  test('of a poison event costs exactly that event', async (t) => {
    const poison = ({ messageId }) => messageId === 'm7';
    const { analytics, segment } = await startPair(t, {}, { poison });
    const failures = failuresOf(analytics);
    trackMany(analytics, 20);
    const { delivered, dropped } = await analytics.flush();
    assert.deepEqual([delivered, dropped.rejected, segment.eventCount], [19, 1, 19]);
    assert.deepEqual(
      failures.map(({ ctx, reason }) => [ctx.event.messageId, reason.code, reason.status]),
      [['m7', 'ERR_REJECTED', 400]],
    );
  });
});

describe('http_request and http_response', () => {
  test('are told for every attempt, with the body less the key, and no authorization', async (t) => {
    const { analytics, segment } = await startPair(
      t,
      {},
      { faults: [{ status: 500, headers: { 'X-Kind': 'Odd' } }] },
    );
    const heard = listensTo(analytics, ['http_request', 'http_response']);
    analytics.track({ ...MINIMAL.track, messageId: 'm1' });
    await analytics.flush();
    assert.deepEqual(
      heard.map(([event]) => event),
      ['http_request', 'http_response', 'http_request', 'http_response'],
    );
    const url = `${segment.url}/v1/batch`;
    for (const [index, [event, message]] of heard.entries()) {
      const members =
        event === 'http_request'
          ? ['body', 'headers', 'method', 'url']
          : ['body', 'headers', 'status', 'statusText', 'url'];
      assert.deepEqual(Object.keys(message).toSorted(), members);
      assert.equal(message.url, url);
      const { batch, sentAt, ...others } = JSON.parse(message.body);
      assert.deepEqual(others, {});
      assert.deepEqual(batch, segment.events);
      assert.equal(sentAt, segment.requests[Math.floor(index / 2)].sentAt);
      assert.ok(!JSON.stringify(message).toLowerCase().includes('authorization'));
      assert.ok(!JSON.stringify(message).includes(KEY));
    }
    const [[, first], [, failed], [, second], [, ok]] = heard;
    assert.deepEqual(
      [first.method, first.headers['X-Retry-Count'], second.headers['X-Retry-Count']],
      ['POST', undefined, '1'],
    );
    assert.equal(first.headers['Content-Encoding'], 'gzip');
    assert.deepEqual(
      [failed.status, failed.statusText, failed.headers['x-kind']],
      [500, 'Internal Server Error', 'Odd'],
    );
    assert.deepEqual([ok.status, ok.statusText], [200, 'OK']);
  });

  test('an attempt without an answer has no http_response', async (t) => {
    const { analytics } = await startPair(t, { maxRetries: 0 }, { faults: [{ reset: 'after-body' }] });
    const heard = listensTo(analytics, ['http_request', 'http_response']);
    analytics.track(MINIMAL.track);
    assert.equal((await analytics.flush()).dropped.network, 1);
    assert.deepEqual(
      heard.map(([event]) => event),
      ['http_request'],
    );
  });

  test('what a listener changes does not reach the wire', async (t) => {
    const { analytics, segment } = await startPair(t);
    analytics.on('http_request', (request) => {
      request.headers['X-Added'] = 'x';
      request.body = '{}';
    });
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal(segment.requests[0].headers['x-added'], undefined);
    assert.equal(segment.eventCount, 1);
  });
});

describe('drained', () => {
  test('comes once for each time that nothing is pending any more', async (t) => {
    const { analytics } = await startPair(t);
    const heard = listensTo(analytics, ['drained']);
    for (const round of [1, 2, 3]) {
      const drained = next(analytics, 'drained');
      trackMany(analytics, 5);
      await analytics.flush();
      await drained;
      await analytics.flush();
      assert.equal(heard.length, round);
    }
  });

  test('comes after everything else about the last event', async (t) => {
    const { analytics } = await startPair(t);
    const heard = listensTo(analytics, ['http_request', 'http_response', 'track', 'drained']);
    const drained = next(analytics, 'drained');
    analytics.track(MINIMAL.track, () => heard.push(['callback']));
    await analytics.flush();
    await drained;
    const order = heard.map(([event]) => event);
    assert.deepEqual(order, ['http_request', 'http_response', 'callback', 'track', 'drained']);
  });

  test('comes after a failure too', async (t) => {
    const { analytics } = await startPair(t, {}, { faults: [{ status: 404 }] });
    const heard = listensTo(analytics, ['error', 'drained']);
    const drained = next(analytics, 'drained');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    await drained;
    const order = heard.map(([event]) => event);
    assert.deepEqual(order, ['error', 'drained']);
  });
});

describe('the life of a client', () => {
  test('call_after_close is told at once, with the event, and nothing else', async (t) => {
    const { analytics, segment } = await startPair(t);
    await analytics.closeAndFlush();
    const heard = listensTo(analytics, ALL);
    assert.equal(analytics.track({ ...MINIMAL.track, properties: { a: 1 } }), false);
    assert.equal(heard.length, 1);
    const [[event, { type, event: name, properties }]] = heard;
    assert.deepEqual([event, type, name, properties], ['call_after_close', 'track', 'Ordered', { a: 1 }]);
    assert.equal(analytics.stats().refused.closed, 1);
    assert.throws(() => analytics.track({}), { code: 'ERR_VALIDATION' });
    assert.equal(segment.requestCount, 0);
  });

  test('initialize is told in the constructor, without the write key', async (t) => {
    const segment = await startSegment(t);
    const heard = [];
    class Watched extends Analytics {
      emit(event, ...args) {
        heard.push([event, ...args]);
        return super.emit(event, ...args);
      }
    }
    const analytics = new Watched({ writeKey: KEY, host: segment.url, flushAt: 7 });
    t.after(() => analytics.closeAndFlush());
    assert.deepEqual(heard, [['initialize', { host: segment.url, flushAt: 7 }]]);
  });

  test('register and deregister are told with names', async (t) => {
    const { analytics } = await startPair(t);
    const heard = listensTo(analytics, ['register', 'deregister']);
    const plugin = (name) => ({ name, type: 'before', isLoaded: () => true, load: async () => {} });
    await analytics.register(plugin('a'), plugin('b'));
    await analytics.deregister('a', 'unknown');
    assert.deepEqual(heard, [
      ['register', ['a', 'b']],
      ['deregister', ['a', 'unknown']],
    ]);
  });

  test('ready resolves, VERSION is the version', async (t) => {
    const { analytics } = await startPair(t);
    assert.equal(await analytics.ready, undefined);
    assert.match(analytics.VERSION, /^\d+\.\d+\.\d+/);
  });
});
