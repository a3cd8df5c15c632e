/** The integration service: customers are sent, and every caller is told the fate of its own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import {
  getSegmentClientFromEnvironment,
  identifyCustomer,
  sendCustomerToSegment,
  sendCustomerToSegmentWithClient,
} from '@companion/segment/commercetools';
import { SegmentModule, SegmentService } from '@companion/segment/nestjs';
import { RecordingAnalytics } from '@companion/segment/testing';
import { Test } from '@nestjs/testing';

import { NEVER_MS, startPair, startSegment } from './support/clients.mjs';
import {
  KEY,
  PAYLOAD,
  assertFailed,
  closedUrl,
  createClient,
  customers,
  startClientPair,
  startWithEnvironment,
  useEnvironment,
} from './support/pipeline.mjs';

const SUCCESS = { success: true };

describe('sendCustomerToSegment', () => {
  test('sends what it is given, at once, with the environment of the moment', async (t) => {
    const segment = await startWithEnvironment(t);
    const payload = { ...PAYLOAD, messageId: 'ct:shop:1', timestamp: '2025-12-02T13:08:38.153Z' };
    assert.deepEqual(await sendCustomerToSegment(payload), SUCCESS);
    const [{ type, userId, traits, messageId, timestamp }] = segment.events;
    assert.deepEqual({ type, userId, traits, messageId, timestamp }, { type: 'identify', ...payload });
    // The same connection serves the next one, also for another key.
    assert.deepEqual(await sendCustomerToSegment(PAYLOAD), SUCCESS);
    assert.deepEqual([segment.requestCount, segment.connectionCount], [2, 1]);
    process.env.SEGMENT_WRITE_KEY = 'another-key';
    assert.deepEqual(await sendCustomerToSegment(PAYLOAD), SUCCESS);
    assert.deepEqual([segment.requestCount, segment.connectionCount], [3, 1]);
    await getSegmentClientFromEnvironment().closeAndFlush();
  });

  for (const [status, code, message] of [
    [400, 'ERR_REJECTED', /^400 Bad Request/],
    [401, 'ERR_UNAUTHORIZED', /^401 Unauthorized/],
    [403, 'ERR_UNAUTHORIZED', /^403 Forbidden/],
  ]) {
    test(`tells of ${status}`, async (t) => {
      await startWithEnvironment(t, { faults: [{ status, times: Infinity }] });
      assertFailed(await sendCustomerToSegment(PAYLOAD), code, message);
    });
  }

  test('delivers what fails at first', async (t) => {
    const segment = await startWithEnvironment(t, { faults: [{ status: 500 }] });
    assert.deepEqual(await sendCustomerToSegment(PAYLOAD), SUCCESS);
    assert.deepEqual([segment.requestCount, segment.eventCount], [2, 1]);
  });

  for (const [environment, message] of [
    [{}, /^Missing SEGMENT_WRITE_KEY$/],
    [{ SEGMENT_WRITE_KEY: '' }, /^Write key cannot be empty or whitespace only$/],
    [{ SEGMENT_WRITE_KEY: ' ' }, /^Write key cannot be empty or whitespace only$/],
  ]) {
    test(`with ${inspect(environment)} is a failure, not an exception`, async (t) => {
      useEnvironment(t, environment);
      assertFailed(await sendCustomerToSegment(PAYLOAD), 'ERR_WRITE_KEY_MISSING', message);
    });
  }

  test('with settings that are wrong is a failure', async (t) => {
    useEnvironment(t, {});
    process.env.SEGMENT_WRITE_KEY = KEY;
    process.env.SEGMENT_REGION = 'moon';
    assertFailed(await sendCustomerToSegment(PAYLOAD), 'ERR_OPTION_INVALID', /region/);
    Reflect.deleteProperty(process.env, 'SEGMENT_WRITE_KEY');
  });
});

describe('a payload', () => {
  const cyclic = { userId: 'u', traits: {} };
  cyclic.traits.self = cyclic;
  const { proxy: revoked, revoke } = Proxy.revocable({}, {});
  revoke();
  const fails = () => {
    throw new TypeError('no');
  };
  const hostile = new Proxy({}, { get: fails, getPrototypeOf: fails, ownKeys: fails, has: fails });

  const refused = [
    ['undefined', undefined, 'ERR_VALIDATION', /^Invalid payload/],
    ['null', null, 'ERR_VALIDATION', /^Invalid payload/],
    ['a text', 'jane', 'ERR_VALIDATION', /^Invalid payload/],
    ['a number', 5, 'ERR_VALIDATION', /^Invalid payload/],
    ['a symbol', Symbol('s'), 'ERR_VALIDATION', /^Invalid payload/],
    ['a function', () => {}, 'ERR_VALIDATION', /^Invalid payload/],
    ['an array', [], 'ERR_VALIDATION', /^Invalid payload/],
    ['an empty object', {}, 'ERR_VALIDATION', /^Invalid payload/],
    ['one without traits', { userId: 'u' }, 'ERR_VALIDATION', /^Invalid payload/],
    ['one with traits null', { userId: 'u', traits: null }, 'ERR_VALIDATION', /^Invalid payload/],
    ['one with a list of traits', { userId: 'u', traits: [] }, 'ERR_VALIDATION', /^Invalid payload/],
    ['one with a number as id', { userId: 5, traits: {} }, 'ERR_VALIDATION', /^Invalid payload/],
    ['one without an id', { traits: {} }, 'ERR_VALIDATION', /^userId cannot be empty$/],
    ['one with id null', { userId: null, traits: {} }, 'ERR_VALIDATION', /^userId cannot be empty$/],
    ['one with an empty id', { userId: '', traits: {} }, 'ERR_VALIDATION', /^userId cannot be empty$/],
    ['one with a blank id', { userId: ' \t', traits: {} }, 'ERR_VALIDATION', /^userId cannot be empty$/],
    ['a revoked proxy', revoked, undefined, /./],
    ['a proxy that throws', hostile, undefined, /^no$/],
  ];
  const unfit = [
    ['a cyclic one', cyclic, 'ERR_NOT_SERIALIZABLE', /traits/],
    ['one with a BigInt', { userId: 'u', traits: { n: 1n } }, 'ERR_NOT_SERIALIZABLE', /BigInt/],
    ['one that is too large', { userId: 'u', traits: { n: 'n'.repeat(40_000) } }, 'ERR_EVENT_TOO_LARGE', /./],
  ];
  for (const [what, payload, code, message] of [...refused, ...unfit]) {
    test(`that is ${what} is a failure, and nothing is sent`, async (t) => {
      const segment = await startWithEnvironment(t);
      assertFailed(await sendCustomerToSegment(payload), code, message);
      assert.equal(segment.requestCount, 0);
    });
  }

  for (const [what, payload, code, message] of refused) {
    test(`that is ${what} reaches no client`, async () => {
      const client = { identify: () => assert.fail('called'), flush: () => assert.fail('called') };
      assertFailed(await sendCustomerToSegmentWithClient(client, payload), code, message);
    });
  }
});

describe('sendCustomerToSegmentWithClient', () => {
  test('sends with a client of createSegmentClient', async (t) => {
    const { segment, client } = await startClientPair(t);
    assert.deepEqual(await sendCustomerToSegmentWithClient(client, PAYLOAD), SUCCESS);
    assert.equal(segment.eventCount, 1);
  });

  for (const [what, options, fault, code, message] of [
    ['a refusal', { gzip: false }, { status: 400 }, 'ERR_REJECTED', /^400 Bad Request/],
    ['a server error', { maxRetries: 0 }, { status: 500 }, 'ERR_SERVER', /^500 Internal Server Error/],
    ['a reset', { maxRetries: 0 }, { reset: 'after-body' }, 'ERR_NETWORK', /^Connection failed/],
    [
      'silence',
      { maxRetries: 0, httpRequestTimeout: 50 },
      { hang: true },
      'ERR_TIMEOUT',
      /^Network timeout: given up after 1 attempt\./,
    ],
  ]) {
    test(`tells of ${what}`, async (t) => {
      const { client } = await startClientPair(t, options, { faults: [fault] });
      assertFailed(await sendCustomerToSegmentWithClient(client, PAYLOAD), code, message);
    });
  }

  test('tells of a port on which nobody listens', async (t) => {
    const client = createClient(t, { url: await closedUrl(t) }, { maxRetries: 0 });
    const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
    assertFailed(result, 'ERR_NETWORK', /^Connection failed/);
  });

  test('tells of a closed client', async (t) => {
    const { client } = await startClientPair(t);
    await client.closeAndFlush();
    const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
    assertFailed(result, 'ERR_CLOSED', /^The client was closed/);
  });

  test('does not keep a caller waiting for a Segment that hangs, and delivers once it answers', async (t) => {
    const { segment, client } = await startClientPair(t, { callTimeout: 50 }, { faults: [{ hang: true }] });
    const result = await sendCustomerToSegmentWithClient(client, { ...PAYLOAD, messageId: 'ct:shop:1' });
    assertFailed(result, 'ERR_TIMEOUT', /^Network timeout: no answer within 50 ms/);
    await segment.waitForRequests(1);
    await segment.pause();
    await segment.resume();
    const [{ messageId }] = await segment.waitForEvents(1);
    assert.deepEqual([messageId, segment.duplicates().size], ['ct:shop:1', 0]);
  });

  for (const [what, client] of [
    ['undefined', undefined],
    ['null', null],
    ['a text', 'client'],
    ['an empty object', {}],
    ['one whose identify is no function', { identify: 5 }],
  ]) {
    test(`says that ${what} is no client`, async () => {
      const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
      assertFailed(result, 'ERR_OPTION_INVALID', /^The option client must be an object with identify\(\)\.$/);
    });
  }
});

describe('concurrent calls', () => {
  test('share requests: 1,000 make fewer than 20', async (t) => {
    const segment = await startWithEnvironment(t);
    const results = await Promise.all(customers(1_000).map((customer) => sendCustomerToSegment(customer)));
    for (const result of results) assert.deepEqual(result, SUCCESS);
    assert.equal(new Set(segment.events.map(({ userId }) => userId)).size, 1_000);
    assert.equal(segment.eventCount, 1_000);
    assert.ok(segment.requestCount < 20, `${segment.requestCount} requests`);
    assert.equal(segment.connectionCount <= 4, true);
  });

  test('have fates of their own: one poison customer of 1,000 fails alone', async (t) => {
    const [poison] = customers(1_000).slice(617);
    const segment = await startWithEnvironment(t, { poison: ({ userId }) => userId === poison.userId });
    const results = await Promise.all(customers(1_000).map((customer) => sendCustomerToSegment(customer)));
    assertFailed(results[617], 'ERR_REJECTED', /^400 Bad Request/);
    const others = results.filter((_, number) => number !== 617);
    for (const result of others) assert.deepEqual(result, SUCCESS);
    assert.equal(segment.eventCount, 999);
    assert.ok(!segment.events.some(({ userId }) => userId === poison.userId));
  });

  test('have errors of their own kinds', async (t) => {
    const segment = await startWithEnvironment(t, { poison: ({ userId }) => userId === 'poison' });
    const results = await Promise.all(
      [
        { userId: 'poison', traits: {} },
        { userId: 'too large', traits: { n: 'n'.repeat(40_000) } },
        { userId: 'strange', traits: { n: 1n } },
        { userId: '', traits: {} },
        PAYLOAD,
      ].map((payload) => sendCustomerToSegment(payload)),
    );
    assert.deepEqual(
      results.map(({ success, error }) => [success, error?.code]),
      [
        [false, 'ERR_REJECTED'],
        [false, 'ERR_EVENT_TOO_LARGE'],
        [false, 'ERR_NOT_SERIALIZABLE'],
        [false, 'ERR_VALIDATION'],
        [true, undefined],
      ],
    );
    assert.equal(segment.eventCount, 1);
  });
});

describe('a client that is Analytics of this package', () => {
  test('delivers at once, whatever its own intervals are', async (t) => {
    const { segment, analytics } = await startPair(t);
    const results = await Promise.all(
      customers(100).map((customer) => sendCustomerToSegmentWithClient(analytics, customer)),
    );
    for (const result of results) assert.deepEqual(result, SUCCESS);
    assert.equal(segment.eventCount, 100);
    assert.ok(segment.requestCount < 20);
  });

  test('has nobody wait for the event of another', async (t) => {
    const hang = { hang: true, when: ({ messageIds }) => messageIds.includes('slow') };
    const { segment, analytics } = await startPair(t, {}, { faults: [hang] });
    const slow = sendCustomerToSegmentWithClient(analytics, { ...PAYLOAD, messageId: 'slow' });
    await segment.waitForRequests(1);
    assert.deepEqual(await sendCustomerToSegmentWithClient(analytics, PAYLOAD), SUCCESS);
    assert.ok(!segment.events.some(({ messageId }) => messageId === 'slow'));
    await segment.pause();
    await segment.resume();
    assert.deepEqual(await slow, SUCCESS);
  });

  test('is told to have failed when it did', async (t) => {
    const faults = [{ status: 400, times: Infinity }];
    const { analytics } = await startPair(t, { maxRetries: 0 }, { faults });
    const result = await sendCustomerToSegmentWithClient(analytics, PAYLOAD);
    assertFailed(result, 'ERR_REJECTED', /^400 Bad Request/);
    await analytics.closeAndFlush();
    const late = await sendCustomerToSegmentWithClient(analytics, PAYLOAD);
    assertFailed(late, 'ERR_CLOSED', /^The client was closed/);
  });

  test('may be the recording one', async () => {
    const analytics = new RecordingAnalytics();
    assert.deepEqual(await sendCustomerToSegmentWithClient(analytics, PAYLOAD), SUCCESS);
    assert.equal(analytics.events[0].userId, PAYLOAD.userId);
  });

  test('may be inside the service of the NestJS module', async (t) => {
    const segment = await startSegment(t);
    const settings = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS, maxRetries: 0 };
    const application = await Test.createTestingModule({
      imports: [SegmentModule.forRoot(settings)],
    }).compile();
    t.after(() => application.close());
    const service = application.get(SegmentService);
    assert.deepEqual(await sendCustomerToSegmentWithClient(service, PAYLOAD), SUCCESS);
    segment.addFaults({ status: 403, times: Infinity });
    const result = await sendCustomerToSegmentWithClient(service, PAYLOAD);
    assertFailed(result, 'ERR_UNAUTHORIZED', /^403 Forbidden/);
  });
});

describe('identifyCustomer', () => {
  test('transforms and sends with the client of the environment', async (t) => {
    const segment = await startWithEnvironment(t);
    const customer = {
      id: 'customer-1',
      email: ' jane.doe@example.com ',
      firstName: 'Jane',
      lastName: 'Doe',
    };
    assert.equal(await identifyCustomer(customer), undefined);
    await identifyCustomer(customer, { userId: 'customerId', mapTraits: () => ({ plan: 'pro' }) });
    assert.deepEqual(
      segment.events.map(({ userId, traits }) => ({ userId, traits })),
      [
        {
          userId: 'jane.doe@example.com',
          traits: { email: 'jane.doe@example.com', firstName: 'Jane', lastName: 'Doe', name: 'Jane Doe' },
        },
        { userId: 'customer-1', traits: { plan: 'pro' } },
      ],
    );
  });

  test('rejects with the message and code of the cause', async (t) => {
    const segment = await startWithEnvironment(t, { faults: [{ status: 400, times: Infinity }] });
    const customer = { email: 'jane.doe@example.com' };
    const rejects = (args, code, message) =>
      assert.rejects(identifyCustomer(...args), { name: 'AnalyticsError', code, message });
    await rejects([customer], 'ERR_REJECTED', /^400 Bad Request/);
    const { requestCount } = segment;
    await rejects([{ email: '  ' }], 'ERR_VALIDATION', 'userId cannot be empty');
    await rejects([{}], 'ERR_VALIDATION', 'userId cannot be empty');
    await rejects([null], 'ERR_VALIDATION', 'userId cannot be empty');
    await rejects([undefined], 'ERR_VALIDATION', 'userId cannot be empty');
    await rejects([customer, { userId: 'phone' }], 'ERR_OPTION_INVALID', /userId/);
    assert.equal(segment.requestCount, requestCount);
  });

  test('rejects without a key', async (t) => {
    useEnvironment(t, {});
    const error = { code: 'ERR_WRITE_KEY_MISSING', message: 'Missing SEGMENT_WRITE_KEY' };
    await assert.rejects(identifyCustomer({ email: 'jane.doe@example.com' }), error);
  });
});
