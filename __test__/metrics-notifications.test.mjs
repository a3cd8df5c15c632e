/** What a webhook's on-call engineer sees: success, failures by code, latency. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Registry } from 'prom-client';

import { Analytics } from '@companion/segment';
import { NotificationReceiver } from '@companion/segment/commercetools';
import { registerNotificationMetrics } from '@companion/segment/prometheus';
import { startFakeSegment } from '@companion/segment/testing';

const customer = (email) => ({ notificationType: 'Message', type: 'CustomerCreated', customer: { email } });

test('a receiver of notifications as Prometheus text', async (t) => {
  const segment = await startFakeSegment();
  t.after(() => segment.close());
  const client = new Analytics({ writeKey: 'key', host: segment.url, maxRetries: 0 });
  t.after(() => client.closeAndFlush({ timeout: 1_000 }));
  const receiver = new NotificationReceiver({ client });
  const register = new Registry();
  registerNotificationMetrics(register, receiver);

  for (const email of ['a@example.com', 'b@example.com']) await receiver.receive(customer(email));
  await receiver.receive({ notificationType: 'ResourceDeleted', resource: { typeId: 'customer', id: '1' } });
  await receiver.receive('no notification');
  segment.addFaults({ status: 400 });
  await receiver.receive(customer('c@example.com'));

  const text = await register.metrics();
  const value = (name) =>
    Number(new RegExp(`^${name.replace(/[{}"+]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
  assert.equal(value('segment_notifications_received_total'), 5);
  assert.equal(value('segment_notifications_identified_total'), 2);
  assert.equal(value('segment_notifications_ignored_total{reason="deleted"}'), 1);
  assert.equal(value('segment_notifications_invalid_total{reason="not-json"}'), 1);
  assert.equal(value('segment_notifications_failed_total{code="ERR_REJECTED"}'), 1);
  assert.match(text, /^# TYPE segment_notification_duration_seconds histogram$/m);
  assert.equal(value('segment_notification_duration_seconds_count'), 5);
  assert.equal(value('segment_notification_duration_seconds_bucket{le="+Inf"}'), 5);
  assert.ok(value('segment_notification_duration_seconds_sum') > 0);
  assert.equal(receiver.stats().successRate, 2 / 3);
  assert.ok(!text.includes('example.com'));
});
