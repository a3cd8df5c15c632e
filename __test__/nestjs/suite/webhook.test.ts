/** From a notification over HTTP to Segment, and what the sender is told. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import {
  about,
  asCloudEvent,
  assertAnswer,
  assertSilent,
  customerCreated,
  DONE,
  refusedWith,
  startWebhook,
  TRAITS,
  usersOf,
} from './webhook-support.js';

describe('a customer becomes a user', () => {
  test('from every kind of body that Commercetools and SNS send, up to their size', async (t) => {
    const webhook = await startWebhook(t);
    const small = customerCreated();
    const large = customerCreated(250_000);
    assert.ok(Buffer.byteLength(JSON.stringify(large)) >= 250_000);
    const bodies = [small, large, asCloudEvent(small), asCloudEvent(large)];
    const types = [
      'application/json',
      'application/json; charset=utf-8',
      'text/plain; charset=UTF-8',
      'Application/CloudEvents+JSON',
    ];
    for (const type of types) {
      for (const body of bodies) assertAnswer(await webhook.post(body, { 'content-type': type }), 200, DONE);
    }

    assert.deepEqual(usersOf(webhook), Array(types.length * bodies.length).fill(TRAITS.email));
    for (const { traits, messageId, timestamp } of webhook.segment.events) {
      assert.deepEqual(traits, TRAITS);
      assert.equal(messageId, 'ct:shop:message-CustomerCreated');
      assert.equal(timestamp, '2026-03-01T12:00:00.000Z');
    }
    const { received, identified, refused, confirmed } = webhook.stats();
    assert.deepEqual([received, identified, refused, confirmed], [16, 16, {}, 0]);
    assertSilent(webhook);
  });

  test('from the simplified payload, with the options of the transformation', async (t) => {
    const webhook = await startWebhook(t, {
      authentication: 'none',
      userId: 'customerId',
      mapTraits: (traits, { locale }) => ({ ...traits, locale }),
    });
    const customer = { id: 'c-7', email: TRAITS.email, fullName: 'Mira O.', locale: 'de' };
    assertAnswer(await webhook.post({ type: 'CustomerUpdated', customer }), 200, DONE);
    const [event] = webhook.segment.events;
    assert.equal(event?.userId, 'c-7');
    assert.deepEqual(event?.traits, { email: TRAITS.email, name: 'Mira O.', locale: 'de' });
  });

  test('of whom a notification says nothing but who it is, when he can be fetched', async (t) => {
    const asked: unknown[] = [];
    const customer = customerCreated()['customer'] as { id: string; email: string };
    const webhook = await startWebhook(t, {
      authentication: 'none',
      resolveCustomer: async (id, { reason }) => {
        asked.push([id, reason]);
        if (id === 'c-1') return customer;
        return null;
      },
    });
    const changed = { notificationType: 'ResourceUpdated', projectKey: 'shop', version: 4, oldVersion: 3 };
    for (const id of ['c-1', 'c-2']) {
      const notification = { ...changed, resource: { typeId: 'customer', id } };
      assertAnswer(await webhook.post(notification), 200, DONE);
    }
    assert.deepEqual(asked, [
      ['c-1', 'resource-changed'],
      ['c-2', 'resource-changed'],
    ]);
    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
    assert.deepEqual(webhook.stats().ignored, { 'not-found': 1 });
  });
});

test('what is of no interest is answered with a 200 and not sent', async (t) => {
  const webhook = await startWebhook(t);
  const subscription = { typeId: 'subscription', id: 's-1' };
  const trial = {
    notificationType: 'ResourceCreated',
    projectKey: 'shop',
    resource: subscription,
    version: 1,
  };
  const token = { customerId: 'c-1', expiresAt: '2026-03-01T12:10:00.000Z', value: 'live-token' };
  for (const notification of [
    trial,
    { ...about('CustomerDeleted'), email: TRAITS.email },
    { ...about('CustomerPasswordTokenCreated'), ...token },
    { ...about('CustomerEmailTokenCreated'), ...token },
    { ...about('OrderCreated'), resource: { typeId: 'order', id: 'o-1' } },
  ]) {
    assertAnswer(await webhook.post(notification), 200, DONE);
    const asText = { 'content-type': 'text/plain; charset=UTF-8' };
    assertAnswer(await webhook.post(notification, asText), 200, DONE);
  }
  assert.equal(webhook.segment.requestCount, 0);
  const expected = { 'subscription-test': 2, deleted: 2, token: 4, 'other-resource': 2 };
  assert.deepEqual(webhook.stats().ignored, expected);
  assertSilent(webhook);
});

test('what is no notification is answered with a 400', async (t) => {
  const webhook = await startWebhook(t);
  for (const body of [
    '',
    '   ',
    '{"type": "CustomerCreated", Mira',
    '[]',
    'null',
    '"Mira"',
    '{}',
    { type: 'CustomerCreated' },
    { type: 'CustomerCreated', customer: 'Mira' },
    { type: 'CustomerCreated', customer: { firstName: 'Mira' } },
    { ...customerCreated(), customer: undefined },
  ]) {
    for (const type of ['application/json', 'text/plain', 'application/cloudevents+json']) {
      const answer = await webhook.post(body, { 'content-type': type });
      assertAnswer(answer, 400, refusedWith('Invalid payload'));
    }
  }
  assert.equal(webhook.segment.requestCount, 0);
  assertSilent(webhook);
});

test('a body that is too large is answered with a 413', async (t) => {
  const webhook = await startWebhook(t);
  for (const type of ['application/json', 'text/plain', 'application/cloudevents+json']) {
    const answer = await webhook.post('x'.repeat(768 * 1_024 + 1), { 'content-type': type });
    assert.equal(answer.status, 413);
    // As large as it may be, and no notification.
    const largest = await webhook.post('x'.repeat(768 * 1_024), { 'content-type': type });
    assert.equal(largest.status, 400);
  }
  assert.equal(await statusOfStreamed(webhook.url), 413);
  assertAnswer(await webhook.post(customerCreated()), 200, DONE);
});

/** Without a Content-Length. */
async function statusOfStreamed(url: string): Promise<number | undefined> {
  const sent = request(`${url}/api/webhook`, { method: 'POST', headers: { 'content-type': 'text/plain' } });
  for (let chunk = 0; chunk < 13; chunk += 1) sent.write(Buffer.alloc(65_536));
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

test('a body of another type is answered with a 415', async (t) => {
  const webhook = await startWebhook(t);
  for (const type of [
    'text/html',
    'text/plainer',
    'application/xml',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=b',
    'application/x.companion-segment-webhook',
    'json',
  ]) {
    const answer = await webhook.post(customerCreated(), { 'content-type': type });
    assertAnswer(answer, 415, refusedWith('Unsupported Media Type'));
  }
  const untyped = await fetch(`${webhook.url}/api/webhook`, { method: 'POST' });
  assert.equal(untyped.status, 415);
  const packed = await fetch(`${webhook.url}/api/webhook`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: gzipSync(JSON.stringify(customerCreated())),
  });
  assert.equal(packed.status, 415);
  const { received } = webhook.stats();
  assert.deepEqual([received, webhook.segment.requestCount], [0, 0]);
});

test('the webhook is a POST, and nothing else', async (t) => {
  const webhook = await startWebhook(t);
  assert.equal((await webhook.send('GET', '/api/webhook')).status, 404);
  assert.equal((await webhook.send('PUT', '/api/webhook', customerCreated())).status, 404);
  assertAnswer(await webhook.post(customerCreated(), {}, '/api/webhook?source=shop'), 200, DONE);
});

describe('a customer whom Segment does not take', () => {
  const FAILED = refusedWith('Internal server error');

  test('is answered with a 500 that says no more, and the log says why', async (t) => {
    const webhook = await startWebhook(t);
    webhook.segment.addFaults({ status: 400, times: Infinity });
    assertAnswer(await webhook.post(customerCreated()), 500, FAILED);
    const line = webhook.logger.of('Segment').find(({ level }) => level === 'error');
    assert.match(line?.message ?? '', /^customer not identified: .*400.*"code":"ERR_REJECTED"/);
    assert.deepEqual(webhook.stats().failed, { ERR_REJECTED: 1 });
    webhook.segment.clearFaults();
    assertAnswer(await webhook.post(customerCreated()), 200, DONE);
    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
    assert.equal(webhook.stats().successRate, 0.5);
    assertSilent(webhook);
  });

  test('in time is answered with a 500, and delivered all the same', async (t) => {
    const webhook = await startWebhook(t, { authentication: 'none', callTimeout: 1 });
    webhook.segment.addFaults({ status: 503, times: Infinity });
    assertAnswer(await webhook.post(customerCreated()), 500, FAILED);
    assert.deepEqual(webhook.stats().failed, { ERR_TIMEOUT: 1 });
    assert.match(webhook.logger.text, /no answer within 1 ms/);
    webhook.segment.clearFaults();
    await webhook.close();
    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
    assertSilent(webhook);
  });

  test('because the application fails is answered in the same way, and its words are not logged', async (t) => {
    const fail = () => {
      throw new TypeError('Mira has no plan');
    };
    for (const hooks of [{ mapTraits: fail }, { userId: fail }]) {
      const webhook = await startWebhook(t, { authentication: 'none', ...hooks });
      assertAnswer(await webhook.post(customerCreated()), 500, FAILED);
      assert.equal(webhook.segment.requestCount, 0);
      assertSilent(webhook);
      assert.match(webhook.logger.text, /TypeError in a function of the application/);
    }
  });
});
