/** The integration service with the doubles of tests as its client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { sendCustomerToSegmentWithClient } from '@companion/segment/commercetools';

import { PAYLOAD, assertFailed } from './support/pipeline.mjs';

const SUCCESS = { success: true };

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
