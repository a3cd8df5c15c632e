/** What a receiver says and counts: enough to know what happened, and nothing of the customers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AnalyticsError } from '@companion/segment';
import { LATENCY_BOUNDS_S, NotificationReceiver } from '@companion/segment/commercetools';
import { RecordingAnalytics } from '@companion/segment/testing';

import { sum } from './support/clients.mjs';
import {
  CHANGED,
  CREATED,
  IDENTIFIED,
  PRIVATE,
  TOKEN,
  assertNothingPrivate,
  recordingReceiver,
  startReceiver,
  throwing,
} from './support/receivers.mjs';

describe('the log', () => {
  test('has one line for each notification, and no customer', async (t) => {
    const { receiver, logger } = await startReceiver(t, {
      segment: { faults: [{ status: 400, times: Infinity, when: ({ id }) => id > 1 }] },
      client: { gzip: false },
    });
    const raws = [CREATED, CHANGED, TOKEN, { ...CREATED, id: 'message-2' }, `{"email":"${PRIVATE.email}`];
    for (const raw of raws) await receiver.receive(raw);
    assert.deepEqual(
      logger.lines.map(({ level, message }) => [level, message.replace(/: 400.*/, '')]),
      [
        ['info', 'segment: customer identified'],
        ['warn', 'segment: notification ignored'],
        ['info', 'segment: notification ignored'],
        ['error', 'segment: customer not identified'],
        ['error', 'segment: no notification'],
      ],
    );
    assert.deepEqual(logger.lines[0].fields, { messageId: 'ct:shop:message-1' });
    assertNothingPrivate(logger.lines);
  });

  test('may be broken', async () => {
    const fails = throwing(new Error('broken'));
    const { receiver } = recordingReceiver({ logger: { error: fails, warn: fails, info: fails } });
    assert.deepEqual(await receiver.receive(CREATED), IDENTIFIED);
  });

  test('is silent by default', async (t) => {
    const methods = ['log', 'info', 'warn', 'error', 'debug'].map((name) =>
      t.mock.method(console, name, () => {}),
    );
    const receiver = new NotificationReceiver({ client: new RecordingAnalytics() });
    for (const raw of [CREATED, CHANGED, '']) await receiver.receive(raw);
    for (const { mock } of methods) assert.equal(mock.callCount(), 0);
  });
});

describe('stats()', () => {
  test('of a new receiver is all zero, and a success', () => {
    assert.deepEqual(new NotificationReceiver().stats(), {
      received: 0,
      identified: 0,
      ignored: {},
      invalid: {},
      failed: {},
      successRate: 1,
      latency: { count: 0, sumSeconds: 0, maxSeconds: 0, buckets: LATENCY_BOUNDS_S.map(() => 0) },
    });
  });

  test('counts each notification once, by what became of it', async () => {
    const { client, receiver } = recordingReceiver();
    for (const raw of [CREATED, CREATED, CREATED, CHANGED, TOKEN, TOKEN, '', '', '[]']) {
      await receiver.receive(raw);
    }
    client.failNext(new AnalyticsError('ERR_SERVER', '500 Internal Server Error'));
    await receiver.receive(CREATED);
    const { latency, ...counts } = receiver.stats();
    assert.deepEqual(counts, {
      received: 10,
      identified: 3,
      ignored: { 'not-fetched': 1, token: 2 },
      invalid: { empty: 2, 'not-an-object': 1 },
      failed: { ERR_SERVER: 1 },
      successRate: 0.75,
    });
    assert.equal(latency.count, 10);
  });

  test('counts failures without a code as unknown', async () => {
    const { receiver } = recordingReceiver({ client: { identify: () => Promise.reject(new Error('no')) } });
    await receiver.receive(CREATED);
    const { failed, successRate } = receiver.stats();
    assert.deepEqual([failed, successRate], [{ unknown: 1 }, 0]);
  });

  test('has latencies that agree with each other', async () => {
    const { receiver } = recordingReceiver();
    await Promise.all(Array.from({ length: 50 }, () => receiver.receive(CREATED)));
    const { received, latency } = receiver.stats();
    assert.deepEqual([received, latency.count, latency.buckets.length], [50, 50, LATENCY_BOUNDS_S.length]);
    assert.ok(latency.sumSeconds > 0 && latency.maxSeconds > 0);
    assert.ok(latency.maxSeconds <= latency.sumSeconds && latency.sumSeconds <= 50 * latency.maxSeconds);
    for (const [index, count] of latency.buckets.entries()) {
      assert.ok(count >= (latency.buckets[index - 1] ?? 0) && count <= 50, 'they are cumulative');
      const holdsAll = latency.maxSeconds <= LATENCY_BOUNDS_S[index];
      assert.equal(count === 50, holdsAll);
    }
  });

  test('is a copy, and every receiver counts for itself', async () => {
    const { receiver } = recordingReceiver();
    const { receiver: other } = recordingReceiver();
    await receiver.receive('');
    const stats = receiver.stats();
    stats.invalid.empty = 99;
    stats.latency.buckets.fill(99);
    assert.deepEqual(receiver.stats().invalid, { empty: 1 });
    assert.ok(receiver.stats().latency.buckets.every((count) => count <= 1));
    assert.equal(other.stats().received, 0);
    assert.equal(sum(other.stats().invalid), 0);
  });
});
