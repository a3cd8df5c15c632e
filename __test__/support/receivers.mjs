/** Receivers of notifications, and what must not get out of them. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';

import { NotificationReceiver } from '@companion/segment/commercetools';
import { RecordingAnalytics } from '@companion/segment/testing';

import { startSegment } from './clients.mjs';
import { createClient } from './pipeline.mjs';

/** Each of these is in the notifications, and none may be in the log. */
export const PRIVATE = {
  email: 'jane.planted@example.com',
  firstName: 'Planted-Jane',
  lastName: 'Planted-Doe',
  password: 'planted-password',
  street: 'Planted Street',
  token: 'planted-token',
};
export const CUSTOMER = {
  id: 'customer-1',
  customerNumber: 'number-1',
  email: PRIVATE.email,
  firstName: PRIVATE.firstName,
  lastName: PRIVATE.lastName,
  password: PRIVATE.password,
  addresses: [{ id: 'a', streetName: PRIVATE.street, streetNumber: '5', city: 'Austin', country: 'US' }],
};
export const CREATED = {
  notificationType: 'Message',
  projectKey: 'shop',
  id: 'message-1',
  type: 'CustomerCreated',
  resource: { typeId: 'customer', id: 'customer-1' },
  resourceVersion: 3,
  createdAt: '2025-12-02T13:08:38.153Z',
  customer: CUSTOMER,
};
export const CHANGED = {
  ...CREATED,
  type: 'CustomerEmailChanged',
  email: PRIVATE.email,
  customer: undefined,
};
export const TOKEN = {
  ...CHANGED,
  type: 'CustomerPasswordTokenCreated',
  resource: { typeId: 'customer-password-token', id: 'token-1' },
  value: PRIVATE.token,
};
export const ABOUT = {
  type: 'CustomerCreated',
  id: 'message-1',
  projectKey: 'shop',
  customerId: 'customer-1',
  version: 3,
  occurredAt: '2025-12-02T13:08:38.153Z',
};
export const IDENTIFIED = { outcome: 'identified', messageId: 'ct:shop:message-1' };
export const ignored = (reason, about) => ({ outcome: 'ignored', reason, about: { ...ABOUT, ...about } });

/** A logger that keeps what it is told. */
function keepingLogger() {
  const lines = [];
  const line = (level) => (message, fields) => lines.push({ level, message, fields });
  return { lines, error: line('error'), warn: line('warn'), info: line('info'), debug: line('debug') };
}

export function assertNothingPrivate(value) {
  const shown = inspect(value, { depth: null, showHidden: true });
  for (const text of Object.values(PRIVATE)) assert.ok(!shown.includes(text), `${text} is shown`);
}

export const throwing = (error) => () => {
  throw error;
};

/** A receiver that remembers instead of sending. */
export function recordingReceiver(options) {
  const client = new RecordingAnalytics();
  const logger = keepingLogger();
  return { client, logger, receiver: new NotificationReceiver({ client, logger, ...options }) };
}

/** A receiver on a Segment of its own. */
export async function startReceiver(t, { client: clientOptions, segment: segmentOptions, ...options } = {}) {
  const segment = await startSegment(t, segmentOptions);
  const client = createClient(t, segment, { maxRetries: 0, ...clientOptions });
  const logger = keepingLogger();
  return { segment, client, logger, receiver: new NotificationReceiver({ client, logger, ...options }) };
}
