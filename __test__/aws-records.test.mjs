/** From whatever AWS wraps a message in to the message. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { unwrapRecord } from '@companion/segment/aws';

import { accountOf, created, opened, snsEnvelope, snsEvent, sqsEvent, sqsRecord } from './support/lambda.mjs';

const MESSAGE = created(1);
const TEXT = JSON.stringify(MESSAGE);
const raw = (message) => ({ message });

describe('a message and what SNS says of it', () => {
  for (const suffix of ['Url', 'URL']) {
    const envelope = snsEnvelope(MESSAGE, { suffix });
    const [{ Sns: _, ...around }] = snsEvent(MESSAGE).Records;
    const record = { ...around, Sns: envelope };
    const event = { Records: [record] };
    for (const [what, form] of [
      ['an envelope', envelope],
      ['a record of SNS', record],
      ['an event of SNS', event],
      ["Lambda's account of it", accountOf(event)],
      ['a record of SQS around the envelope', sqsRecord(envelope)],
      ['an event of SQS', sqsEvent(envelope)],
      ['a record of a dead-letter queue around the event', sqsRecord(event)],
      ['a record of a dead-letter queue around the account', sqsRecord(accountOf(event))],
      ['an account of an event of SQS', accountOf(sqsEvent(envelope))],
    ]) {
      test(`are in ${what}, given as an object or as text (${suffix})`, () => {
        for (const given of [form, JSON.stringify(form), JSON.stringify(form, null, 2)]) {
          assert.deepEqual(unwrapRecord(given), [opened(MESSAGE)]);
        }
      });
    }
  }

  test('may lack the subject, as most do', () => {
    const { subject: _, ...expected } = opened(MESSAGE);
    for (const Subject of [undefined, null]) {
      assert.deepEqual(unwrapRecord(snsEnvelope(MESSAGE, { Subject })), [expected]);
    }
  });

  test('may come from a FIFO topic, with a number', () => {
    const envelope = snsEnvelope(MESSAGE, { SequenceNumber: '10000000000000003000' });
    assert.deepEqual(unwrapRecord({ Sns: envelope }), [opened(MESSAGE)]);
  });

  test('are many in an event of many', () => {
    const event = snsEvent(created(1), created(2), created(3));
    const expected = [1, 2, 3].map((number) => opened(created(number), number));
    for (const form of [event, sqsRecord(event), accountOf(event), sqsRecord(accountOf(event))]) {
      assert.deepEqual(unwrapRecord(form), expected);
    }
  });

  for (const text of [
    '',
    '{',
    'null',
    '5',
    '"text"',
    '🦜 \u0000 \ud83d',
    '{"Records":[]}',
    '{"Message":"x"}',
  ]) {
    test(`are as they were published: ${JSON.stringify(text)}`, () => {
      // JSON in UTF-8 has no half characters.
      const [{ message }] = unwrapRecord({ Sns: snsEnvelope(text) });
      assert.equal(message, text.toWellFormed?.() ?? text.replace(/\ud83d$/, '\ufffd'));
    });
  }
});

describe('a message of raw delivery', () => {
  for (const text of [TEXT, 'no json', '[]', '{}', '{"Type":"Notification"}']) {
    test(`is the body: ${text.slice(0, 30)}`, () => {
      assert.deepEqual(unwrapRecord(sqsRecord(text)), [raw(text)]);
    });
  }

  test('has a body that is no record by its name alone', () => {
    const notification = { ...MESSAGE, body: 'x' };
    assert.deepEqual(unwrapRecord(notification), [raw(JSON.stringify(notification))]);
  });
});

describe('what is no record', () => {
  const circular = {};
  circular.self = circular;
  const throwing = {
    get Sns() {
      throw new Error('no');
    },
  };
  const unreadable = [undefined, Symbol('x'), () => {}, 5n, circular, throwing, { toJSON: () => undefined }];
  for (const [index, record] of unreadable.entries()) {
    test(`and has no JSON is an empty message (${index}: ${typeof record})`, () => {
      assert.deepEqual(unwrapRecord(record), [raw('')]);
    });
  }

  for (const record of [
    null,
    5,
    true,
    '',
    'x',
    [],
    {},
    [1],
    { Records: null },
    { Records: [] },
    { Records: 'x' },
    { Records: [null, 5, 'x', []] },
    { Sns: null },
    { Sns: 5 },
    { Sns: [] },
    { body: 5, receiptHandle: 'x' },
    { body: 'x' },
    { requestPayload: 'x' },
    { requestPayload: null },
    { Message: 'x' },
    { TopicArn: 'x' },
    { Message: {}, TopicArn: 5 },
  ]) {
    const text = typeof record === 'string' ? record : JSON.stringify(record);
    test(`is the message itself: ${text}`, () => {
      assert.deepEqual(unwrapRecord(record), [raw(text)]);
    });
  }

  test('has no message where it should be, and then an empty one', () => {
    for (const Message of [undefined, null, 5, {}, []]) {
      const [{ message, messageId }, ...others] = unwrapRecord({ Sns: snsEnvelope('', { Message }) });
      assert.deepEqual([message, messageId, others], ['', 'sns-1', []]);
    }
  });

  test('may nest without an end', () => {
    const bodies = (depth) => (depth === 0 ? TEXT : JSON.stringify(sqsRecord(bodies(depth - 1))));
    assert.deepEqual(unwrapRecord(bodies(3)), [raw(TEXT)]);
    assert.equal(unwrapRecord(bodies(6)).length, 1);
    for (const text of ['['.repeat(100_000), '{"Records":['.repeat(50_000), '{"Sns":'.repeat(50_000)]) {
      assert.ok(isDeepStrictEqual(unwrapRecord(text), [raw(text)]));
    }
  });

  test('is never a reason to throw, whatever member is of another kind', () => {
    const values = [undefined, null, 0, '', 'x', true, [], {}, [{}], { Records: [{}] }];
    const [record] = snsEvent(MESSAGE).Records;
    for (const form of [record, record.Sns, sqsRecord(record.Sns), accountOf({ Records: [record] })]) {
      for (const name of [...Object.keys(form), 'Records', 'Sns', 'body', 'requestPayload']) {
        for (const value of values) {
          const messages = unwrapRecord({ ...form, [name]: value });
          assert.ok(
            messages.length > 0 && messages.every(({ message }) => typeof message === 'string'),
            name,
          );
        }
      }
    }
  });
});
