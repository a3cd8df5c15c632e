/** SNS -> SQS -> Lambda, and dead-letter queues: which records the queue is to deliver again. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createSqsHandler } from '@companion/segment/aws';

import { KEY, messageIdsOf, startSegment } from './support/clients.mjs';
import {
  TOPIC,
  accountOf,
  contextWith,
  created,
  failures,
  fifoEvent,
  idsOf,
  snsEnvelope,
  snsEvent,
  sqsEvent,
  startSqsHandler,
} from './support/lambda.mjs';
import { CHANGED, PRIVATE, assertNothingPrivate } from './support/receivers.mjs';

const NONE = failures();
const DELETED = { ...CHANGED, type: 'CustomerDeleted' };
const changed = (number) => ({ ...CHANGED, id: `message-${number}` });

/** Fetches everybody but those whose notifications have these numbers. */
const failingFor =
  (...numbers) =>
  (_id, { about }) => {
    if (numbers.some((number) => about.id === `message-${number}`)) throw new Error(PRIVATE.email);
    return created(1).customer;
  };

describe('the records of a batch', () => {
  for (const suffix of ['Url', 'URL']) {
    const wrapped = (number) => snsEnvelope(created(number), { number, suffix });
    const event = (...numbers) => ({ Records: numbers.map((number) => ({ Sns: wrapped(number) })) });
    for (const [what, bodies] of Object.entries({
      envelopes: [wrapped(1), wrapped(2)],
      'messages of raw delivery': [created(1), created(2)],
      'events of a dead-letter queue': [event(1), event(2)],
      'an event of two records': [event(1, 2)],
      'accounts of a failure': [accountOf(event(1)), accountOf(event(2))],
      'a mixture': [accountOf(event(1)), created(2)],
    })) {
      test(`may be ${what} (${suffix})`, async (t) => {
        const { segment, handler, logger } = await startSqsHandler(t);
        assert.deepEqual(await handler(sqsEvent(...bodies), contextWith(30_000)), NONE);
        assert.deepEqual(messageIdsOf(segment.events), idsOf(1, 2));
        assert.equal(segment.requestCount, 1);
        if (what === 'envelopes') {
          const facts = logger.lines.map(({ fields }) => [fields.snsMessageId, fields.topicArn]);
          assert.deepEqual(facts, [
            ['sns-1', TOPIC],
            ['sns-2', TOPIC],
          ]);
        }
        assertNothingPrivate(logger.lines);
      });
    }
  }

  test('are delivered again where that may help, and only there', async (t) => {
    const poison = ({ messageId }) => messageId === 'ct:shop:message-4';
    const resolveCustomer = failingFor(2, 6);
    const { segment, handler } = await startSqsHandler(t, { resolveCustomer, segment: { poison } });
    const event = sqsEvent(created(1), changed(2), 'no json', created(4), DELETED, changed(6), changed(7));
    assert.deepEqual(await handler(event), failures(2, 6));
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['ct:shop:message-1', 'ct:shop:message-7']);
  });

  test('fail whole: one message of many is enough', async (t) => {
    const { segment, handler } = await startSqsHandler(t, { resolveCustomer: failingFor(2) });
    const event = sqsEvent(snsEvent(created(1), changed(2), created(3)), created(4));
    assert.deepEqual(await handler(event), failures(1));
    assert.equal(segment.eventCount, 3);
  });

  test('all fail while Segment is away, and have the same messageIds again', async (t) => {
    const faults = [{ accept: true, status: 503 }];
    const { segment, handler } = await startSqsHandler(t, { segment: { faults } });
    const event = sqsEvent(created(1), created(2));
    assert.deepEqual(await handler(event), failures(1, 2));
    assert.deepEqual(await handler(structuredClone(event)), NONE);
    assert.deepEqual(messageIdsOf(segment.events), [...idsOf(1, 2), ...idsOf(1, 2)]);
  });

  test('all fail when time runs out', async (t) => {
    const faults = [{ hang: true, times: Infinity }];
    const { handler, logger } = await startSqsHandler(t, { segment: { faults } });
    const event = sqsEvent(created(1), created(2), 'no json');
    assert.deepEqual(await handler(event, contextWith(550)), failures(1, 2));
    const codes = logger.lines.map(({ fields }) => fields.code);
    assert.deepEqual(codes.toSorted(), ['ERR_TIMEOUT', 'ERR_TIMEOUT', undefined]);
  });

  test('all fail without a write key', async (t) => {
    const { handler } = await startSqsHandler(t, { writeKey: () => '' });
    assert.deepEqual(await handler(sqsEvent(created(1), created(2))), failures(1, 2));
  });

  test('may be the same message twice', async (t) => {
    const { segment, handler } = await startSqsHandler(t);
    assert.deepEqual(await handler(sqsEvent(snsEnvelope(created(1)), snsEnvelope(created(1)))), NONE);
    assert.deepEqual(new Set(messageIdsOf(segment.events)), new Set(idsOf(1)));
  });

  test('may be none', async (t) => {
    const { handler } = await startSqsHandler(t);
    assert.deepEqual(await handler({ Records: [] }), NONE);
  });

  test('may be 10,000: all are delivered, in few requests', async (t) => {
    const { segment, handler } = await startSqsHandler(t, { logger: undefined });
    const bodies = Array.from({ length: 10_000 }, (_, index) => snsEnvelope(created(index + 1)));
    assert.deepEqual(await handler(sqsEvent(...bodies)), NONE);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), idsOf(1, 10_000).toSorted());
    // A request holds 500,000 bytes; such a customer has some 450.
    assert.ok(segment.requestCount <= 30, `${segment.requestCount} requests`);
  });
});

describe('a record that will never be delivered', () => {
  const poison = ({ messageId }) => messageId === 'ct:shop:message-2';
  const event = sqsEvent(created(1), created(2), 'no json', DELETED, created(5));
  for (const [what, variables, options, expected] of [
    ['is acknowledged', {}, {}, NONE],
    ['is acknowledged if the option says so', {}, { poison: 'acknowledge' }, NONE],
    ['is left to the dead-letter queue if the option says so', {}, { poison: 'dead-letter' }, failures(2, 3)],
    [
      'is left to the dead-letter queue if the environment says so',
      { SEGMENT_POISON_RECORDS: 'dead-letter' },
      {},
      failures(2, 3),
    ],
    ['is acknowledged if the environment says so', { SEGMENT_POISON_RECORDS: 'acknowledge' }, {}, NONE],
    ['is acknowledged if the environment says nothing', { SEGMENT_POISON_RECORDS: '' }, {}, NONE],
    [
      'is what the option says, whatever the environment says',
      { SEGMENT_POISON_RECORDS: 'acknowledge' },
      { poison: 'dead-letter' },
      failures(2, 3),
    ],
  ]) {
    test(what, async (t) => {
      const { segment, handler, logger } = await startSqsHandler(t, {
        environment: variables,
        segment: { poison },
        ...options,
      });
      assert.deepEqual(await handler(event), expected);
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['ct:shop:message-1', 'ct:shop:message-5']);
      assert.equal(logger.lines.filter(({ level }) => level === 'error').length, 2);
      assertNothingPrivate(logger.lines);
    });
  }
});

describe('an event that is not of a queue is refused', () => {
  for (const [what, event] of [
    ['one of SNS', snsEvent(created(1))],
    ['a bare notification', created(1)],
    ['an envelope', snsEnvelope(created(1))],
    ['undefined', undefined],
    ['null', null],
    ['nothing', {}],
    ['records that are null', { Records: null }],
    ['records that are none', { Records: [null, 5] }],
    ['a record without an id among others', { Records: [...sqsEvent(created(1)).Records, { body: '{}' }] }],
  ]) {
    test(what, async (t) => {
      const { segment, handler } = await startSqsHandler(t);
      await assert.rejects(handler(event), (error) => {
        assert.deepEqual(
          [error.name, error.code, error.field],
          ['AnalyticsError', 'ERR_VALIDATION', 'event'],
        );
        assert.match(error.message, /use createHandler\(\) instead of createSqsHandler\(\)/);
        assertNothingPrivate(error);
        return true;
      });
      assert.equal(segment.requestCount, 0);
    });
  }
});

test('without a logger the console says why a record stays in the queue, and nothing of the customer', async (t) => {
  const write = t.mock.method(console, 'error', () => {});
  const segment = await startSegment(t);
  await segment.close();
  const settings = { host: segment.url, maxRetries: 0 };
  const handler = createSqsHandler({ writeKey: KEY, settings });
  assert.deepEqual(await handler(sqsEvent(created(1))), failures(1));
  const lines = write.mock.calls.map((call) => call.arguments);
  const [[, { code, sqsMessageId }]] = lines;
  assert.deepEqual([lines.length, code, sqsMessageId], [1, 'ERR_NETWORK', 'sqs-1']);
  assertNothingPrivate(lines);
});

describe('in a FIFO queue', () => {
  test('they share a connection, even with maxIdle 0: it is between invocations', async (t) => {
    const { segment, handler } = await startSqsHandler(t, { maxIdle: 0 });
    assert.deepEqual(await handler(fifoEvent(created(1), created(2), created(3))), NONE);
    assert.equal(segment.connectionCount, 1);
  });

  test('records are delivered one after the other', async (t) => {
    const { segment, handler } = await startSqsHandler(t);
    assert.deepEqual(await handler(fifoEvent(created(1), created(2), created(3))), NONE);
    assert.deepEqual(
      segment.requests.map(({ messageIds }) => messageIds),
      [['ct:shop:message-1'], ['ct:shop:message-2'], ['ct:shop:message-3']],
    );
  });

  test('nothing overtakes a record that failed: all from it on are delivered again', async (t) => {
    const faults = [{ status: 500, when: ({ messageIds }) => messageIds.includes('ct:shop:message-2') }];
    const { segment, handler } = await startSqsHandler(t, { segment: { faults } });
    const event = fifoEvent(created(1), created(2), 'no json', created(4));
    assert.deepEqual(await handler(event), failures(2, 3, 4));
    assert.deepEqual([messageIdsOf(segment.events), segment.requestCount], [idsOf(1), 2]);
    const again = { Records: event.Records.slice(1) };
    assert.deepEqual(await handler(again), NONE);
    const ids = ['ct:shop:message-1', 'ct:shop:message-2', 'ct:shop:message-4'];
    assert.deepEqual(messageIdsOf(segment.events), ids);
  });

  test('what is ignored or acknowledged holds up nobody', async (t) => {
    const { segment, handler } = await startSqsHandler(t);
    assert.deepEqual(await handler(fifoEvent('no json', DELETED, created(3))), NONE);
    assert.deepEqual(messageIdsOf(segment.events), idsOf(3));
  });

  test('what is left to the dead-letter queue holds up the others', async (t) => {
    const { segment, handler } = await startSqsHandler(t, { poison: 'dead-letter' });
    assert.deepEqual(await handler(fifoEvent(created(1), 'no json', created(3))), failures(2, 3));
    assert.deepEqual(messageIdsOf(segment.events), idsOf(1));
  });
});
