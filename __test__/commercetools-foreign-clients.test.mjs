/** The integration service with clients that are not this package's: analytics-node, and the doubles of tests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { sendCustomerToSegmentWithClient } from '@companion/segment/commercetools';
import { Analytics as NodeAnalytics } from '@segment/analytics-node';

import { NEVER_MS, startSegment } from './support/clients.mjs';
import { KEY, PAYLOAD, assertFailed, customers } from './support/pipeline.mjs';

const SUCCESS = { success: true };

/** analytics-node that waits for no interval: only a flush makes it send. */
function startNode(t, segment, settings) {
  const client = new NodeAnalytics({
    writeKey: KEY,
    host: segment.url,
    flushInterval: NEVER_MS,
    maxRetries: 0,
    ...settings,
  });
  client.on('error', () => {});
  t.after(() => client.closeAndFlush({ timeout: 1 }));
  return client;
}

describe('a client that is analytics-node', () => {
  test('delivers without waiting for its interval', async (t) => {
    const segment = await startSegment(t);
    const client = startNode(t, segment);
    const payload = { ...PAYLOAD, messageId: 'ct:shop:1' };
    assert.deepEqual(await sendCustomerToSegmentWithClient(client, payload), SUCCESS);
    const [{ type, userId, traits, messageId }] = segment.events;
    assert.deepEqual({ type, userId, traits, messageId }, { type: 'identify', ...payload });
  });

  for (const [what, fault, message] of [
    ['400', { status: 400 }, /Bad Request/],
    ['500', { status: 500 }, /Internal Server Error/],
    ['a reset', { reset: 'after-body' }, /fetch failed/],
  ]) {
    test(`is told to have failed on ${what}`, async (t) => {
      const segment = await startSegment(t, { faults: [fault] });
      const client = startNode(t, segment);
      assertFailed(await sendCustomerToSegmentWithClient(client, PAYLOAD), undefined, message);
      assert.deepEqual(await sendCustomerToSegmentWithClient(client, PAYLOAD), SUCCESS);
    });
  }

  test('makes callers that overlap neither wait nor warn', async (t) => {
    const warn = t.mock.method(console, 'warn', () => {});
    const segment = await startSegment(t, { poison: ({ userId }) => userId === 'poison' });
    const client = startNode(t, segment, { flushAt: 100 });
    const send = (payload) => sendCustomerToSegmentWithClient(client, payload);
    const first = customers(50).map(send);
    await segment.waitForRequests(1);
    const poison = send({ userId: 'poison', traits: {} });
    for (const result of await Promise.all(first)) assert.deepEqual(result, SUCCESS);
    assertFailed(await poison, undefined, /Bad Request/);
    assert.equal(segment.requestCount, 2);
    // It would ignore this while it flushes, and say so.
    await client.closeAndFlush();
    assertFailed(await send(PAYLOAD), 'ERR_CLOSED', /^The client was closed/);
    assert.equal(warn.mock.callCount(), 0);
  });

  test('serves customers while the application tracks other things', async (t) => {
    const warn = t.mock.method(console, 'warn', () => {});
    const hang = { hang: true, when: ({ messageIds }) => messageIds.includes('slow') };
    const segment = await startSegment(t, { faults: [hang] });
    const client = startNode(t, segment, { flushAt: 1 });
    client.track({ userId: 'u', event: 'Ordered', messageId: 'slow' });
    await segment.waitForRequests(1);
    for (const customer of customers(3)) {
      assert.deepEqual(await sendCustomerToSegmentWithClient(client, customer), SUCCESS);
    }
    assert.ok(warn.mock.callCount() > 0);
    await segment.close();
  });
});

describe('a client that is a double', () => {
  test('gets the very payload, then a flush, and nothing else', async () => {
    const calls = [];
    const record = (name) => {
      return (...args) => {
        calls.push([name, args]);
      };
    };
    const client = { identify: record('identify'), flush: record('flush'), closeAndFlush: record('close') };
    assert.deepEqual(await sendCustomerToSegmentWithClient(client, PAYLOAD), SUCCESS);
    assert.deepEqual(calls, [
      ['identify', [PAYLOAD]],
      ['flush', []],
    ]);
    assert.equal(calls[0][1][0], PAYLOAD);
  });

  test('is flushed only once it has identified', async () => {
    const order = [];
    const client = {
      async identify() {
        await new Promise(setImmediate);
        order.push('identified');
      },
      async flush() {
        order.push('flush');
        await new Promise(setImmediate);
        order.push('flushed');
      },
    };
    assert.deepEqual(await sendCustomerToSegmentWithClient(client, PAYLOAD), SUCCESS);
    assert.deepEqual(order, ['identified', 'flush', 'flushed']);
  });

  test('need not flush, may return anything and answer to any method', async () => {
    assert.deepEqual(await sendCustomerToSegmentWithClient({ identify: () => false }, PAYLOAD), SUCCESS);
    const anything = new Proxy({}, { get: (_, name) => (name === 'then' ? undefined : () => anything) });
    assert.deepEqual(await sendCustomerToSegmentWithClient(anything, PAYLOAD), SUCCESS);
  });

  test('keeps its this', async () => {
    class Client {
      #count = 0;
      identify() {
        this.#count += 1;
      }
      flush() {
        assert.equal(this.#count, 1);
      }
    }
    assert.deepEqual(await sendCustomerToSegmentWithClient(new Client(), PAYLOAD), SUCCESS);
  });

  const coded = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const numbered = Object.assign(new Error('refused'), { code: 111 });
  const throwing = (property) =>
    Object.defineProperty(new Error('hidden'), property, {
      get() {
        throw new Error('no');
      },
    });
  const fails = () => {
    throw new Error('no');
  };
  for (const [what, thrown, error] of [
    ['an Error', new Error('401 Unauthorized'), { message: '401 Unauthorized' }],
    ['an Error with a code', coded, { message: 'refused', code: 'ECONNREFUSED' }],
    ['an Error with a number as code', numbered, { message: 'refused' }],
    ['an Error without text', new TypeError(), { message: 'TypeError' }],
    ['a text', 'the SDK is on fire', { message: 'the SDK is on fire' }],
    ['an empty text', '', { message: 'Unknown error' }],
    ['a number', 42, { message: '42' }],
    ['null', null, { message: 'null' }],
    ['undefined', undefined, { message: 'undefined' }],
    ['a symbol', Symbol('s'), { message: 'Symbol(s)' }],
    ['an object with a message', { message: 'm', code: 'C' }, { message: 'm', code: 'C' }],
    ['an object', {}, { message: '[object Object]' }],
    ['an object that can not be text', { toString: fails }, { message: 'Unknown error' }],
    ['an object without prototype', Object.create(null), { message: 'Unknown error' }],
    ['an Error whose message throws', throwing('message'), { message: 'Unknown error' }],
    ['an Error whose code throws', throwing('code'), { message: 'Unknown error' }],
    [
      'a proxy that throws',
      new Proxy({}, { get: fails, getPrototypeOf: fails }),
      { message: 'Unknown error' },
    ],
  ]) {
    for (const [how, client] of [
      [
        'thrown by identify()',
        {
          identify() {
            throw thrown;
          },
        },
      ],
      [
        'rejected by identify()',
        { identify: () => Promise.reject(thrown), flush: () => assert.fail('called') },
      ],
      [
        'thrown by flush()',
        {
          identify() {},
          flush() {
            throw thrown;
          },
        },
      ],
      ['rejected by flush()', { identify() {}, flush: () => Promise.reject(thrown) }],
    ]) {
      test(`has ${what} ${how} become a value`, async () => {
        const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
        assert.deepEqual(result, { success: false, error });
      });
    }
  }

  for (const [method, client] of [
    ['identify', { identify: () => new Promise(() => {}) }],
    ['flush', { identify() {}, flush: () => new Promise(() => {}) }],
  ]) {
    test(`does not keep a caller waiting with its ${method}()`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const result = sendCustomerToSegmentWithClient(client, PAYLOAD);
      t.mock.timers.tick(12_000);
      assertFailed(await result, 'ERR_TIMEOUT', /^Network timeout: no answer within 12000 ms/);
    });
  }
});
