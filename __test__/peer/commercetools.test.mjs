/** The integration service with analytics-node as its client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { sendCustomerToSegmentWithClient } from '@companion/segment/commercetools';
import { Analytics as NodeAnalytics } from '@segment/analytics-node';

import { NEVER_MS, startSegment } from '../support/clients.mjs';
import { KEY, PAYLOAD, assertFailed, customers } from '../support/pipeline.mjs';

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
