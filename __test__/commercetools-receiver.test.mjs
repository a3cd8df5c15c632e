/** The whole way of a notification, and every way it can end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { AnalyticsError } from '@companion/segment';
import { NotificationReceiver } from '@companion/segment/commercetools';

import { startPair } from './support/clients.mjs';
import {
  ABOUT,
  CHANGED,
  CREATED,
  CUSTOMER,
  IDENTIFIED,
  PRIVATE,
  TOKEN,
  assertNothingPrivate,
  ignored,
  recordingReceiver,
  startReceiver,
  throwing,
} from './support/receivers.mjs';
import { startWithEnvironment, useEnvironment } from './support/pipeline.mjs';

describe('a notification', () => {
  for (const [form, raw] of [
    ['an object', CREATED],
    ['text', JSON.stringify(CREATED)],
    ['bytes', Buffer.from(JSON.stringify(CREATED))],
  ]) {
    test(`as ${form} is identified in Segment`, async (t) => {
      const { segment, receiver } = await startReceiver(t);
      assert.deepEqual(await receiver.receive(raw), IDENTIFIED);
      const [{ type, userId, messageId, timestamp, traits }] = segment.events;
      assert.deepEqual(
        { type, userId, messageId, timestamp, traits },
        {
          type: 'identify',
          userId: PRIVATE.email,
          messageId: 'ct:shop:message-1',
          timestamp: CREATED.createdAt,
          traits: {
            email: PRIVATE.email,
            firstName: PRIVATE.firstName,
            lastName: PRIVATE.lastName,
            name: `${PRIVATE.firstName} ${PRIVATE.lastName}`,
            address: { street: `${PRIVATE.street} 5`, city: 'Austin', country: 'US' },
          },
        },
      );
    });
  }

  test('without a client of its own goes to that of the environment', async (t) => {
    const segment = await startWithEnvironment(t);
    assert.deepEqual(await new NotificationReceiver().receive(CREATED), IDENTIFIED);
    assert.equal(segment.eventCount, 1);
  });

  for (const [what, raw, outcome] of [
    [
      'a subscription test',
      {
        notificationType: 'ResourceCreated',
        projectKey: 'shop',
        resource: { typeId: 'subscription', id: 's' },
      },
      'subscription-test',
    ],
    [
      'an order',
      { ...CHANGED, type: 'OrderCreated', resource: { typeId: 'order', id: 'o' } },
      'other-resource',
    ],
    ['a message that says nothing', { ...CHANGED, type: 'CustomerGroupSet' }, 'unsupported-type'],
    ['a deletion', { ...CHANGED, type: 'CustomerDeleted' }, 'deleted'],
    ['a token', TOKEN, 'token'],
    ['a change, with nobody to fetch the customer', CHANGED, 'not-fetched'],
  ]) {
    test(`that is ${what} is ignored: ${outcome}`, async () => {
      const { client, receiver, logger } = recordingReceiver();
      const { about, ...told } = await receiver.receive(raw);
      assert.deepEqual(told, { outcome: 'ignored', reason: outcome });
      assert.deepEqual(client.events, []);
      assert.deepEqual(logger.lines, [
        {
          level: outcome === 'not-fetched' ? 'warn' : 'info',
          message: 'segment: notification ignored',
          fields: { reason: outcome, ...about },
        },
      ]);
      assertNothingPrivate(logger.lines);
    });
  }

  const cyclic = {};
  cyclic.self = cyclic;
  for (const [what, raw, reason] of [
    ['nothing', '', 'empty'],
    ['no JSON', '{"customer":', 'not-json'],
    ['no object', '[1]', 'not-an-object'],
    ['undefined', undefined, 'not-an-object'],
    ['a cycle', cyclic, 'not-an-object'],
    ['something else', { hello: PRIVATE.token }, 'not-a-notification'],
    ['a creation of nobody', { ...CREATED, customer: undefined }, 'missing-customer'],
    ['a change of nobody', { ...CHANGED, resource: undefined }, 'missing-customer-id'],
    ['of a customer without an e-mail address', { ...CREATED, customer: { id: 'c' } }, 'missing-user-id'],
  ]) {
    for (const [way, options] of [
      ['in native code', {}],
      ['in steps', { mapTraits: (traits) => traits }],
    ]) {
      test(`that is ${what} is invalid, read ${way}: ${reason}`, async () => {
        const { client, receiver, logger } = recordingReceiver(options);
        assert.deepEqual(await receiver.receive(raw), { outcome: 'invalid', reason });
        assert.deepEqual(client.events, []);
        assert.deepEqual(logger.lines, [
          { level: 'error', message: 'segment: no notification', fields: { reason } },
        ]);
      });
    }
  }

  for (const [status, code, message, isRetryable] of [
    [400, 'ERR_REJECTED', /^400 Bad Request/, false],
    [401, 'ERR_UNAUTHORIZED', /^401 Unauthorized/, true],
    [429, 'ERR_RATE_LIMITED', /^429 Too Many Requests/, true],
    [500, 'ERR_SERVER', /^500 Internal Server Error/, true],
  ]) {
    test(`that Segment answers ${status} has failed, ${isRetryable ? 'for now' : 'for good'}`, async (t) => {
      const faults = [{ status, times: Infinity }];
      const { receiver, logger } = await startReceiver(t, { segment: { faults } });
      const outcome = await receiver.receive(CREATED);
      assert.match(outcome.error.message, message);
      const { error } = outcome;
      assert.deepEqual(outcome, { outcome: 'failed', error: { message: error.message, code }, isRetryable });
      assert.deepEqual(logger.lines, [
        {
          level: 'error',
          message: `segment: customer not identified: ${error.message}`,
          fields: { code, isRetryable },
        },
      ]);
    });
  }

  test('without a key has failed for now', async (t) => {
    useEnvironment(t, {});
    assert.deepEqual(await new NotificationReceiver().receive(CREATED), {
      outcome: 'failed',
      error: { message: 'Missing SEGMENT_WRITE_KEY', code: 'ERR_WRITE_KEY_MISSING' },
      isRetryable: true,
    });
  });
});

describe('accept()', () => {
  test('returns as soon as the queue has the customer, without a line in the log', async (t) => {
    const { segment, receiver, client, logger } = await startReceiver(t);
    assert.deepEqual(receiver.accept(CREATED), { ...IDENTIFIED, outcome: 'accepted' });
    assert.equal(segment.requestCount, 0);
    await client.flush();
    assert.deepEqual(
      segment.events.map(({ userId, messageId }) => [userId, messageId]),
      [[PRIVATE.email, 'ct:shop:message-1']],
    );
    assert.deepEqual([receiver.stats().identified, logger.lines], [1, []]);
  });

  test('fetches nobody', () => {
    const { receiver } = recordingReceiver({ resolveCustomer: () => assert.fail('called') });
    const about = { type: 'CustomerEmailChanged' };
    assert.deepEqual(receiver.accept(CHANGED), ignored('not-fetched', about));
  });

  test('says what is ignored, invalid or wrong, as receive() does', () => {
    const { receiver, logger } = recordingReceiver({ mapTraits: throwing(new RangeError(PRIVATE.email)) });
    const about = { type: 'CustomerDeleted' };
    assert.deepEqual(receiver.accept({ ...CHANGED, ...about }), ignored('deleted', about));
    assert.deepEqual(receiver.accept(''), { outcome: 'invalid', reason: 'empty' });
    const error = { message: 'RangeError in a function of the application' };
    assert.deepEqual(receiver.accept(CREATED), { outcome: 'failed', error, isRetryable: true });
    assert.deepEqual(
      logger.lines.map(({ level }) => level),
      ['info', 'error', 'error'],
    );
    assertNothingPrivate(logger.lines);
  });

  test('has failed when the client takes nothing any more', async (t) => {
    const { receiver, client } = await startReceiver(t);
    await client.closeAndFlush();
    const { outcome, isRetryable } = receiver.accept(CREATED);
    assert.deepEqual([outcome, isRetryable], ['failed', true]);
  });

  test('says once, to everybody concerned, that the queue is full', async (t) => {
    const { receiver, client } = await startAnalytics(t, {
      maxQueueBytes: 65_536,
      flushAt: 2_500,
      flushInterval: 60_000,
    });
    const refused = [];
    client.on('call_refused', (error, event) => refused.push([error.code, event.userId]));
    let accepted = 0;
    let outcome = receiver.accept(CREATED);
    for (; outcome.outcome === 'accepted' && accepted < 10_000; accepted += 1)
      outcome = receiver.accept(CREATED);
    assert.deepEqual(
      [outcome.outcome, outcome.error.code, outcome.isRetryable],
      ['failed', 'ERR_QUEUE_FULL', true],
    );
    assert.deepEqual(refused, [['ERR_QUEUE_FULL', PRIVATE.email]]);
    const { refused: counted, accepted: taken } = client.stats();
    assert.deepEqual([counted.queue_full, taken], [1, accepted]);
  });

  test('leaves out neither redact nor plugins', async (t) => {
    const redact = (event) => ({ ...event, traits: { redacted: true } });
    const { segment, receiver, client } = await startAnalytics(t, { redact });
    const seen = [];
    const plugin = {
      name: 'seeing',
      type: 'enrichment',
      version: '1',
      isLoaded: () => true,
      load: async () => {},
    };
    await client.register({ ...plugin, identify: (ctx) => (seen.push(ctx.event.userId), ctx) });
    receiver.accept(CREATED);
    await client.flush();
    assert.deepEqual(seen, [PRIVATE.email]);
    assert.deepEqual(
      segment.events.map(({ messageId, traits }) => [messageId, traits]),
      [['ct:shop:message-1', { redacted: true }]],
    );
  });

  test('tells listeners of the delivery', async (t) => {
    const { receiver, client } = await startAnalytics(t);
    const identified = new Promise((resolve) => client.once('identify', resolve));
    receiver.accept(CREATED);
    await client.flush();
    assert.equal((await identified).event.messageId, 'ct:shop:message-1');
  });

  test('takes a notification that is larger than an event may be', async (t) => {
    const { segment, receiver, client } = await startAnalytics(t);
    const large = { ...CREATED, unrelated: 'ä'.repeat(100_000) };
    assert.deepEqual(receiver.accept(large), { ...IDENTIFIED, outcome: 'accepted' });
    await client.flush();
    assert.equal(segment.eventCount, 1);
  });

  test('needs a queue of this package', () => {
    const receiver = new NotificationReceiver({ client: { identify: () => assert.fail('called') } });
    const { error, isRetryable } = receiver.accept(CREATED);
    assert.deepEqual([error.code, isRetryable], ['ERR_OPTION_INVALID', false]);
  });
});

/** A receiver on `Analytics` itself. */
async function startAnalytics(t, settings) {
  const { segment, analytics } = await startPair(t, settings);
  return { segment, client: analytics, receiver: new NotificationReceiver({ client: analytics }) };
}

describe('resolveCustomer', () => {
  test('is asked for whom a notification only names', async () => {
    const calls = [];
    const { client, receiver } = recordingReceiver({
      resolveCustomer: async (...args) => {
        calls.push(args);
        return CUSTOMER;
      },
    });
    assert.deepEqual(await receiver.receive(CHANGED), IDENTIFIED);
    const about = { ...ABOUT, type: 'CustomerEmailChanged' };
    assert.deepEqual(calls, [['customer-1', { kind: 'needs-fetch', reason: 'partial-message', about }]]);
    const [{ userId, messageId, traits }] = client.events;
    assert.deepEqual([userId, messageId, traits.email], [PRIVATE.email, 'ct:shop:message-1', PRIVATE.email]);
  });

  test('is not asked for whom a notification holds', async () => {
    const { receiver } = recordingReceiver({ resolveCustomer: () => assert.fail('called') });
    assert.deepEqual(await receiver.receive(CREATED), IDENTIFIED);
  });

  for (const nobody of [null, undefined]) {
    test(`may find nobody: ${nobody}`, async () => {
      const { client, receiver } = recordingReceiver({ resolveCustomer: () => nobody });
      const about = { type: 'CustomerEmailChanged' };
      assert.deepEqual(await receiver.receive(CHANGED), ignored('not-found', about));
      assert.deepEqual(client.events, []);
    });
  }

  test('may find somebody without an id', async () => {
    const { receiver } = recordingReceiver({ resolveCustomer: () => ({ firstName: 'Jane' }) });
    assert.deepEqual(await receiver.receive(CHANGED), { outcome: 'invalid', reason: 'missing-user-id' });
  });
});

describe('a function of the application', () => {
  const withCode = (code) => Object.assign(new Error(PRIVATE.email), { code });
  const named = (name) => Object.assign(new Error(PRIVATE.email), { name });
  const thrown = [
    ['an Error', new RangeError(PRIVATE.email), { message: 'RangeError in a function of the application' }],
    [
      'a coded Error',
      withCode('ECONNREFUSED'),
      { message: 'Error in a function of the application', code: 'ECONNREFUSED' },
    ],
    [
      'a code with a customer in it',
      withCode(PRIVATE.email),
      { message: 'Error in a function of the application' },
    ],
    [
      'a name with a customer in it',
      named(`${PRIVATE.firstName} is wrong`),
      { message: 'Error in a function of the application' },
    ],
    ['a text', PRIVATE.email, { message: 'Unknown error' }],
    ['null', null, { message: 'Unknown error' }],
  ];
  for (const [what, error, told] of thrown) {
    const throws = throwing(error);
    const rejects = () => Promise.reject(error);
    for (const [name, options, raw] of [
      ['resolveCustomer', { resolveCustomer: rejects }, CHANGED],
      ['mapTraits', { mapTraits: throws }, CREATED],
      ['userId', { userId: throws }, CREATED],
      ['the client', { client: { identify: throws } }, CREATED],
    ]) {
      test(`may throw ${what}, in ${name}, and nothing of it is told`, async () => {
        const { receiver, logger } = recordingReceiver(options);
        const outcome = await receiver.receive(raw);
        assert.deepEqual(outcome, { outcome: 'failed', error: told, isRetryable: true });
        assert.equal(logger.lines.length, 1);
        assert.equal(logger.lines[0].level, 'error');
        assertNothingPrivate([outcome, logger.lines, receiver.stats()]);
      });
    }
  }

  test('may throw what can not even be looked at', async () => {
    const fails = throwing(new Error('no'));
    const hostile = new Proxy({}, { get: fails, getPrototypeOf: fails });
    const resolveCustomer = () => Promise.reject(hostile);
    for (const options of [
      { resolveCustomer },
      { resolveCustomer: () => CUSTOMER, mapTraits: throwing(hostile) },
    ]) {
      const { outcome, isRetryable } = await recordingReceiver(options).receiver.receive(CHANGED);
      assert.deepEqual([outcome, isRetryable], ['failed', true]);
    }
  });

  test('may throw an error of this package, which says itself what to do', async () => {
    const error = new AnalyticsError('ERR_VALIDATION', 'no such project');
    const { receiver } = recordingReceiver({ mapTraits: throwing(error) });
    const { message, code } = error;
    const outcome = { outcome: 'failed', error: { message, code }, isRetryable: false };
    assert.deepEqual(await receiver.receive(CREATED), outcome);
  });
});

describe('the transformation options', () => {
  for (const [userId, expected] of [
    [undefined, PRIVATE.email],
    ['email', PRIVATE.email],
    ['customerId', 'customer-1'],
    ['customerNumber', 'number-1'],
    [({ id, customerNumber }) => `${id}/${customerNumber}`, 'customer-1/number-1'],
  ]) {
    test(`userId ${inspect(userId)} gives ${expected}`, async () => {
      const { client, receiver } = recordingReceiver({ userId });
      assert.deepEqual(await receiver.receive(CREATED), IDENTIFIED);
      assert.equal(client.events[0].userId, expected);
    });
  }

  for (const [what, userId] of [
    ['a field that is not there', 'externalId'],
    ['a function that finds none', () => null],
    ['a function that finds a blank', () => ' '],
    ['a function that finds no text', () => 5],
  ]) {
    test(`userId as ${what} is invalid`, async () => {
      const { client, receiver } = recordingReceiver({ userId });
      assert.deepEqual(await receiver.receive(CREATED), { outcome: 'invalid', reason: 'missing-user-id' });
      assert.deepEqual(client.events, []);
    });
  }

  test('mapTraits gets the traits and the customer, and says what is sent', async () => {
    const { client, receiver } = recordingReceiver({
      mapTraits: ({ email, address }, { customerNumber }) => ({ email, city: address.city, customerNumber }),
    });
    assert.deepEqual(await receiver.receive(CREATED), IDENTIFIED);
    const expected = { email: PRIVATE.email, city: 'Austin', customerNumber: 'number-1' };
    assert.deepEqual(client.events[0].traits, expected);
  });

  for (const options of [
    { userId: 'phone' },
    { mapTraits: 'email' },
    { resolveCustomer: {} },
    { logger: {} },
  ]) {
    test(`${inspect(options)} is refused`, () => {
      const [field] = Object.keys(options);
      assert.throws(() => new NotificationReceiver(options), { code: 'ERR_OPTION_INVALID', field });
    });
  }
});
