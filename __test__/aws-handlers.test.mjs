/** SNS -> Lambda: what becomes of the records of an event. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createHandler } from '@companion/segment/aws';

import { messageIdsOf } from './support/clients.mjs';
import {
  TOPIC,
  contextWith,
  created,
  idsOf,
  keepingMetrics,
  powertoolsLogger,
  snsEnvelope,
  snsEvent,
  sqsEvent,
  startHandler,
  startSqsHandler,
  useClock,
} from './support/lambda.mjs';
import { closedUrl } from './support/pipeline.mjs';
import { CHANGED, CUSTOMER, PRIVATE, TOKEN, assertNothingPrivate } from './support/receivers.mjs';

const DELETED = { ...CHANGED, type: 'CustomerDeleted' };
const TEST = {
  notificationType: 'ResourceCreated',
  projectKey: 'shop',
  resource: { typeId: 'subscription', id: 's' },
};
const always = (fault) => ({ faults: [{ ...fault, times: Infinity }] });
const report = (counts) => ({ identified: 0, ignored: 0, invalid: 0, failed: 0, ...counts });

describe('the records of an event', () => {
  test('are all identified, in one request', async (t) => {
    const { segment, handler } = await startHandler(t);
    const event = snsEvent(...[1, 2, 3, 4, 5].map((number) => created(number)));
    assert.deepEqual(await handler(event, contextWith(30_000)), report({ identified: 5 }));
    assert.deepEqual(messageIdsOf(segment.events), idsOf(1, 5));
    assert.deepEqual([segment.requestCount, segment.events[0].userId], [1, PRIVATE.email]);
  });

  test('that are of no interest, or no notification at all, are logged and harm nobody', async (t) => {
    const { segment, handler, logger } = await startHandler(t);
    const event = snsEvent(DELETED, created(1), `{"customer":"${PRIVATE.token}`, TEST, TOKEN, created(2));
    assert.deepEqual(await handler(event), report({ identified: 2, ignored: 3, invalid: 1 }));
    assert.deepEqual(messageIdsOf(segment.events), idsOf(1, 2));
    const told = logger.lines.map(({ level, fields }) => [fields.snsMessageId, level, fields.reason]);
    assert.deepEqual(told.toSorted(), [
      ['sns-1', 'info', 'deleted'],
      ['sns-2', 'info', undefined],
      ['sns-3', 'error', 'not-json'],
      ['sns-4', 'info', 'subscription-test'],
      ['sns-5', 'info', 'token'],
      ['sns-6', 'info', undefined],
    ]);
    assert.ok(logger.lines.every(({ fields }) => fields.topicArn === TOPIC));
    assertNothingPrivate(logger.lines);
  });

  test('may be none', async (t) => {
    const { segment, handler } = await startHandler(t);
    assert.deepEqual(await handler({ Records: [] }), report());
    assert.equal(segment.requestCount, 0);
  });

  test('may be none, while the write key is missing', async (t) => {
    const { handler } = await startHandler(t, { writeKey: () => Promise.reject(new Error('not yet')) });
    assert.deepEqual(await handler({ Records: [] }), report());
  });

  test('are given customers by resolveCustomer, traits by mapTraits and an id by userId', async (t) => {
    const { segment, handler } = await startHandler(t, {
      resolveCustomer: (id) => ({ id, email: PRIVATE.email, lastName: 'Resolved' }),
      mapTraits: ({ lastName }) => ({ lastName }),
      userId: 'customerId',
    });
    assert.deepEqual(await handler(snsEvent(CHANGED)), report({ identified: 1 }));
    const [{ userId, traits }] = segment.events;
    assert.deepEqual([userId, traits], ['customer-1', { lastName: 'Resolved' }]);
  });
});

describe('instead of an event', () => {
  for (const [what, event] of [
    ['a bare notification', created(1)],
    ['its text', JSON.stringify(created(1))],
    ['an envelope', snsEnvelope(created(1))],
  ]) {
    test(`${what} is taken`, async (t) => {
      const { segment, handler } = await startHandler(t);
      assert.deepEqual(await handler(event), report({ identified: 1 }));
      assert.deepEqual(messageIdsOf(segment.events), idsOf(1));
    });
  }

  const circular = { Records: 5 };
  circular.self = circular;
  const circularRecord = {};
  circularRecord.Sns = circularRecord;
  for (const [what, event, invalid] of [
    ['undefined', undefined, 1],
    ['null', null, 1],
    ['a number', 5, 1],
    ['an empty text', '', 1],
    ['a symbol', Symbol('event'), 1],
    ['a function', () => {}, 1],
    ['a bigint', 5n, 1],
    ['an empty object', {}, 1],
    ['records that are null', { Records: null }, 1],
    ['records that are none', { Records: [null, 5, undefined, 'x', [], {}] }, 6],
    ['records without a message', { Records: [{ Sns: null }, { Sns: {} }, { Sns: { Message: 5 } }] }, 3],
    ['an event in a circle', circular, 1],
    ['a record in a circle', { Records: [circularRecord, { Sns: snsEnvelope('no json') }] }, 2],
  ]) {
    test(`${what} is taken for what it is: no notification`, async (t) => {
      const { segment, handler, logger } = await startHandler(t);
      assert.deepEqual(await handler(event), report({ invalid }));
      assert.deepEqual([segment.requestCount, logger.lines.length], [0, invalid]);
    });
  }
});

describe('a delivery that may succeed later', () => {
  for (const [fault, code, text] of [
    [{ status: 500 }, 'ERR_SERVER', '500 Internal Server Error'],
    [{ status: 401 }, 'ERR_UNAUTHORIZED', '401 Unauthorized'],
    [{ status: 429 }, 'ERR_RATE_LIMITED', '429 Too Many Requests'],
    [{ reset: 'after-body' }, 'ERR_NETWORK', ''],
  ]) {
    test(`fails the function at the end, once, with ${code}`, async (t) => {
      const { segment, handler, logger } = await startHandler(t, { segment: always(fault) });
      const failing = handler(snsEvent(created(1), 'no json', created(2), DELETED));
      await assert.rejects(failing, (error) => {
        assert.deepEqual([error.name, error.code], ['AnalyticsError', code]);
        assert.ok(error.message.startsWith(`2 of 4 records could not be delivered: ${text}`), error.message);
        assertNothingPrivate(error);
        return true;
      });
      assert.equal(segment.eventCount, 0);
      // Of each record there is one line.
      assert.deepEqual(logger.lines.map(({ fields }) => fields.snsMessageId).toSorted(), [
        'sns-1',
        'sns-2',
        'sns-3',
        'sns-4',
      ]);
      assertNothingPrivate(logger.lines);
    });
  }

  test('fails the function when nobody listens', async (t) => {
    const host = await closedUrl(t);
    const { handler } = await startHandler(t, { settings: { host } });
    await assert.rejects(handler(snsEvent(created(1))), { code: 'ERR_NETWORK' });
  });

  test('does not keep the other records from Segment', async (t) => {
    const resolveCustomer = () => {
      throw Object.assign(new Error(PRIVATE.email), { code: 'ECONNREFUSED' });
    };
    const metrics = keepingMetrics();
    const { segment, handler } = await startHandler(t, { resolveCustomer, metrics });
    await assert.rejects(
      handler(snsEvent(created(1), { ...CHANGED, id: 'message-2' }, created(3))),
      (error) => {
        const text = '1 of 3 records could not be delivered: Error in a function of the application';
        assert.deepEqual([error.message, error.code], [text, 'ECONNREFUSED']);
        assertNothingPrivate(error);
        return true;
      },
    );
    assert.deepEqual(messageIdsOf(segment.events), ['ct:shop:message-1', 'ct:shop:message-3']);
    assert.deepEqual(metrics.published, [{ IdentifySent: ['Count', 2], IdentifyFailed: ['Count', 1] }]);
  });

  test('is repeated with the whole event, under the same messageIds', async (t) => {
    const faults = [{ accept: true, status: 500 }];
    const { segment, handler } = await startHandler(t, { segment: { faults } });
    const event = snsEvent(created(1), created(2));
    await assert.rejects(handler(event), { code: 'ERR_SERVER' });
    assert.deepEqual(await handler(structuredClone(event)), report({ identified: 2 }));
    assert.deepEqual(messageIdsOf(segment.events), [...idsOf(1, 2), ...idsOf(1, 2)]);
  });

  test('is repeated under the id of SNS, or else of SQS, where the notification has none', async (t) => {
    const simplified = { notificationType: 'Message', type: 'CustomerUpdated', customer: CUSTOMER };
    const direct = await startHandler(t);
    for (let time = 0; time < 2; time += 1) await direct.handler(snsEvent(simplified));
    const [{ Sns }] = snsEvent(simplified).Records;
    assert.deepEqual(messageIdsOf(direct.segment.events), Array(2).fill(`sns:${Sns.MessageId}`));
    const queue = await startSqsHandler(t);
    const event = sqsEvent(simplified);
    for (let time = 0; time < 2; time += 1) await queue.handler(event);
    assert.deepEqual(messageIdsOf(queue.segment.events), Array(2).fill(`sqs:${event.Records[0].messageId}`));
  });
});

describe('a customer that will never be delivered', () => {
  test('does not fail the function: all the others of the request are', async (t) => {
    const [bad] = idsOf(3);
    const poison = ({ messageId }) => messageId === bad;
    const { segment, handler, logger } = await startHandler(t, { segment: { poison } });
    const event = snsEvent(...[1, 2, 3, 4, 5, 6].map((number) => created(number)));
    assert.deepEqual(await handler(event), report({ identified: 5, failed: 1 }));
    assert.deepEqual(
      messageIdsOf(segment.events).toSorted(),
      idsOf(1, 6).filter((id) => id !== bad),
    );
    const errors = logger.lines.filter(({ level }) => level === 'error');
    assert.deepEqual(
      errors.map(({ fields }) => fields),
      [{ code: 'ERR_REJECTED', isRetryable: false, snsMessageId: 'sns-3', topicArn: TOPIC }],
    );
    assertNothingPrivate(logger.lines);
  });

  test('may be too large', async (t) => {
    const { segment, handler, logger } = await startHandler(t);
    const large = { ...created(1).customer, lastName: 'x'.repeat(40_000) };
    const event = snsEvent(created(1, { customer: large }), created(2));
    assert.deepEqual(await handler(event), report({ identified: 1, failed: 1 }));
    assert.deepEqual(messageIdsOf(segment.events), idsOf(2));
    const { fields } = logger.lines.find(({ level }) => level === 'error');
    assert.deepEqual([fields.code, fields.isRetryable], ['ERR_EVENT_TOO_LARGE', false]);
  });
});

describe('when time runs out', () => {
  for (const [remaining, reserve, milliseconds] of [
    [300, 250, 50],
    [550, undefined, 50],
    [300, 0, 300],
    [300, 5_000, 0],
  ]) {
    test(`of ${remaining} ms with a reserve of ${reserve}, the function fails after ${milliseconds} ms`, async (t) => {
      const { handler, logger } = await startHandler(t, { reserve, segment: always({ hang: true }) });
      const failing = handler(snsEvent(created(1), created(2)), contextWith(remaining));
      const told = `Network timeout: no answer within ${milliseconds} ms. Delivery goes on.`;
      const message = `2 of 2 records could not be delivered: ${told}`;
      await assert.rejects(failing, { code: 'ERR_TIMEOUT', message });
      const fields = { code: 'ERR_TIMEOUT', isRetryable: true, topicArn: TOPIC };
      assert.deepEqual(
        logger.lines,
        ['sns-1', 'sns-2'].map((snsMessageId) => ({
          level: 'error',
          message: `segment: customer not identified: ${told}`,
          fields: { ...fields, snsMessageId },
        })),
      );
    });
  }

  test('for the write key, the function fails as well', async (t) => {
    const { handler } = await startHandler(t, { writeKey: () => new Promise(() => {}), reserve: 0 });
    await assert.rejects(handler(snsEvent(created(1)), contextWith(50)), { code: 'ERR_TIMEOUT' });
  });
});

describe('from invocation to invocation', () => {
  test('the connection is kept', async (t) => {
    const { segment, handler } = await startHandler(t);
    for (const number of [1, 2, 3]) await handler(snsEvent(created(number)));
    assert.deepEqual([segment.connectionCount, segment.requestCount, segment.eventCount], [1, 3, 3]);
  });

  test('it is opened anew with maxIdle 0', async (t) => {
    const { segment, handler } = await startHandler(t, { maxIdle: 0 });
    for (const number of [1, 2, 3]) await handler(snsEvent(created(number)));
    assert.deepEqual([segment.connectionCount, segment.requestCount, segment.eventCount], [3, 3, 3]);
  });

  test('it is opened anew after four seconds, forwards or backwards', async (t) => {
    const clock = useClock(t);
    const { segment, handler } = await startHandler(t);
    const connections = [];
    for (const pause of [0, 3_999, 4_000, -4_000]) {
      clock.pass(pause);
      await handler(snsEvent(created(1)));
      connections.push(segment.connectionCount);
    }
    assert.deepEqual(connections, [1, 1, 2, 3]);
  });

  test('invocations at once share a client', async (t) => {
    const { segment, handler } = await startHandler(t);
    const results = await Promise.all([1, 2, 3].map((number) => handler(snsEvent(created(number)))));
    assert.deepEqual(
      results.map(({ identified }) => identified),
      [1, 1, 1],
    );
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), idsOf(1, 3));
    assert.equal(segment.requestCount, 1);
  });

  test('a client of the application is used', async () => {
    const identified = [];
    const client = { identify: (payload) => identified.push(payload.messageId) };
    const handler = createHandler({ client, logger: powertoolsLogger() });
    await handler(snsEvent(created(1)));
    assert.deepEqual(await handler(snsEvent(created(2))), report({ identified: 1 }));
    assert.deepEqual(identified, idsOf(1, 2));
  });
});
