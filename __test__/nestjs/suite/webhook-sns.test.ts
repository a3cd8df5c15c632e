/** The webhook where SNS sends: what it has signed comes through once, and nothing else does. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  about,
  assertAnswer,
  assertSilent,
  asCloudEvent,
  customerCreated,
  DONE,
  refusedWith,
  SnsTopic,
  startWebhook,
  SUBSCRIBE_URL,
  TOPIC_ARN,
  TRAITS,
  usersOf,
  type Webhook,
} from './webhook-support.js';

const FAILED = refusedWith('Internal server error');
const FORBIDDEN = refusedWith('Forbidden');

/** As SNS posts it. */
const deliver = (webhook: Webhook, message: unknown) =>
  webhook.post(message, { 'content-type': 'text/plain; charset=UTF-8' });

async function start(t: Parameters<typeof startWebhook>[0]) {
  const topic = new SnsTopic();
  return { topic, webhook: await startWebhook(t, { authentication: topic.authentication }) };
}

describe('a signed message', () => {
  test('is done', async (t) => {
    const { topic, webhook } = await start(t);
    const small = topic.notification(customerCreated());
    const large = topic.notification(customerCreated(250_000), { Subject: 'A customer' });
    const event = topic.notification(asCloudEvent(customerCreated()));
    for (const message of [small, large, event]) assertAnswer(await deliver(webhook, message), 200, DONE);

    assert.deepEqual(usersOf(webhook), Array(3).fill(TRAITS.email));
    for (const { traits, messageId } of webhook.segment.events) {
      assert.deepEqual(traits, TRAITS);
      // That of Commercetools, so that Segment can tell what SNS delivers twice.
      assert.equal(messageId, 'ct:shop:message-CustomerCreated');
    }
    assert.equal(topic.fetched.length, 1, 'one certificate for all');
    assert.deepEqual(webhook.stats().refused, {});
    assertSilent(webhook);
  });

  test('is ignored or invalid as it would be without SNS', async (t) => {
    const { topic, webhook } = await start(t);
    assertAnswer(await deliver(webhook, topic.notification(about('CustomerDeleted'))), 200, DONE);
    const invalid = refusedWith('Invalid payload');
    assertAnswer(await deliver(webhook, topic.notification('no notification')), 400, invalid);
    assertAnswer(await deliver(webhook, topic.notification('')), 400, invalid);
    assert.equal(webhook.segment.requestCount, 0);
  });

  test('that failed is no replay when SNS sends it again', async (t) => {
    const { topic, webhook } = await start(t);
    const message = topic.notification(customerCreated());
    webhook.segment.addFaults({ status: 400, times: Infinity });
    assertAnswer(await deliver(webhook, message), 500, FAILED);
    assertAnswer(await deliver(webhook, message), 500, FAILED);
    webhook.segment.clearFaults();
    assertAnswer(await deliver(webhook, message), 200, DONE);
    assertAnswer(await deliver(webhook, message), 403, FORBIDDEN);
    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
    assert.deepEqual(webhook.stats().refused, { replayed: 1 });
  });

  test('that comes five times at once is delivered once', async (t) => {
    const { topic, webhook } = await start(t);
    const message = topic.notification(customerCreated());
    const answers = await Promise.all(Array.from({ length: 5 }, () => deliver(webhook, message)));
    const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length;
    assert.deepEqual([count(200), count(403)], [1, 4]);
    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
    assert.deepEqual(webhook.stats().refused, { replayed: 4 });
  });
});

test('forged, replayed, expired and foreign messages are refused, and nothing of them is sent', async (t) => {
  const { topic, webhook } = await start(t);
  const foreign = `${TOPIC_ARN}-of-somebody-else`;
  const tooOld = new Date(Date.now() - 3_700_000).toISOString();
  const message = topic.notification(customerCreated());
  const confirmation = topic.confirmation();
  for (const [reason, refused] of [
    ['malformed', customerCreated()],
    ['malformed', ''],
    ['malformed', 'no message'],
    ['malformed', '[]'],
    ['malformed', 'null'],
    ['malformed', { ...message, Signature: undefined }],
    ['foreign-topic', topic.notification(customerCreated(), { TopicArn: foreign })],
    ['signature-version', { ...message, SignatureVersion: '1' }],
    ['certificate-url', { ...message, SigningCertURL: 'https://evil.test/a.pem' }],
    ['expired', topic.notification(customerCreated(), { Timestamp: tooOld })],
    ['signature', { ...message, Message: JSON.stringify(customerCreated(100)) }],
    ['signature', { ...message, Signature: topic.notification('{}')['Signature'] }],
    ['signature', new SnsTopic().notification(customerCreated())],
    ['signature', { ...confirmation, SubscribeURL: `${SUBSCRIBE_URL}2` }],
    ['foreign-topic', { ...confirmation, TopicArn: foreign }],
  ] as const) {
    const before = webhook.stats().refused[reason] ?? 0;
    assertAnswer(await deliver(webhook, refused), 403, FORBIDDEN);
    assert.equal(webhook.stats().refused[reason], before + 1, reason);
    const line = webhook.logger.of('Segment').at(-1);
    assert.deepEqual(
      [line?.level, line?.message],
      ['warn', `webhook request refused {"reason":"${reason}"}`],
    );
  }
  assert.equal(webhook.segment.requestCount, 0);

  assertAnswer(await deliver(webhook, message), 200, DONE);
  assertAnswer(await deliver(webhook, message), 403, FORBIDDEN);
  assert.deepEqual(usersOf(webhook), [TRAITS.email]);
  const { received, confirmed } = webhook.stats();
  assert.deepEqual([received, confirmed], [1, 0]);
  assertSilent(webhook);
});

test('a certificate that can not be fetched now is a failure: SNS tries again after no other answer', async (t) => {
  const { topic, webhook } = await start(t);
  const message = topic.notification(customerCreated());
  topic.breakCertificate();
  assertAnswer(await deliver(webhook, message), 500, FAILED);
  assert.deepEqual(webhook.stats().refused, { 'certificate-unavailable': 1 });
  topic.broken.clear();
  assertAnswer(await deliver(webhook, message), 200, DONE);
  assert.deepEqual(usersOf(webhook), [TRAITS.email]);
});

describe('a subscription', () => {
  test('is confirmed, once', async (t) => {
    const { topic, webhook } = await start(t);
    const confirmation = topic.confirmation();
    assertAnswer(await deliver(webhook, confirmation), 200, DONE);
    assert.equal(topic.fetched.at(-1), SUBSCRIBE_URL);
    const line = webhook.logger.of('Segment').at(-1);
    assert.equal(line?.message, `subscription confirmed {"topic":"${TOPIC_ARN}"}`);
    assertAnswer(await deliver(webhook, confirmation), 403, FORBIDDEN);
    const { confirmed, received, refused } = webhook.stats();
    assert.deepEqual([confirmed, received, refused], [1, 0, { replayed: 1 }]);
    assert.ok(!webhook.logger.text.includes('t-1'), 'no token in the log');
  });

  test('that SNS does not confirm is a failure, until it does', async (t) => {
    const { topic, webhook } = await start(t);
    const confirmation = topic.confirmation();
    topic.broken.add(SUBSCRIBE_URL);
    assertAnswer(await deliver(webhook, confirmation), 500, FAILED);
    topic.broken.clear();
    assertAnswer(await deliver(webhook, confirmation), 200, DONE);
    assert.equal(webhook.stats().confirmed, 1);
  });

  test('that has ended is not begun again', async (t) => {
    const { topic, webhook } = await start(t);
    const ended = topic.confirmation({ Type: 'UnsubscribeConfirmation' });
    assertAnswer(await deliver(webhook, ended), 200, DONE);
    assert.ok(!topic.fetched.includes(SUBSCRIBE_URL));
    assert.equal(webhook.stats().confirmed, 0);
  });
});
