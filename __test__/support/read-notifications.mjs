/** How notifications are given, and what they have to be read as. */
import assert from 'node:assert/strict';

import { extractCustomerFromPayload, parseNotification } from '@companion/segment/commercetools';

import {
  CREATED_AT,
  CUSTOMER_ID,
  FORBIDDEN,
  KEPT_CUSTOMER,
  MESSAGE_ID,
  PROJECT,
  RESOURCE_VERSION,
  cloudEvent,
  snsEnvelope,
} from './notifications.mjs';

const bytesOf = (value) => Buffer.from(JSON.stringify(value));
/** All the ways in which a notification may be given. */
export const GIVEN = {
  'an object': (notification) => notification,
  'a string': (notification) => JSON.stringify(notification),
  'a Buffer': bytesOf,
  'a part of bytes': (notification) => {
    const bytes = bytesOf(notification);
    const more = new Uint8Array(bytes.length + 4).fill(0x78);
    more.set(bytes, 2);
    return more.subarray(2, -2);
  },
  'a string in a string': (notification) => JSON.stringify(JSON.stringify(notification)),
  'an envelope of SNS': (notification) => snsEnvelope(JSON.stringify(notification)),
  'the text of such an envelope': (notification) => JSON.stringify(snsEnvelope(JSON.stringify(notification))),
};
const FORMATS = { Platform: (notification) => notification, CloudEvents: cloudEvent };

/** Exactly this, in every format and however it is given; and nothing of what must not be kept. */
export function assertRead(notification, expected) {
  for (const [format, formatted] of Object.entries(FORMATS)) {
    for (const [way, give] of Object.entries(GIVEN)) {
      assertResult(give(formatted(notification)), expected, `${format} as ${way}`);
    }
  }
}

export function assertResult(raw, expected, text) {
  const parsed = parseNotification(raw);
  assert.deepEqual(parsed, expected, text);
  assert.ok(!JSON.stringify(parsed).includes(FORBIDDEN), text);
  const customer = expected.kind === 'identify' ? expected.customer : null;
  assert.deepEqual(extractCustomerFromPayload(raw), customer, text);
}

/** Messages whose resource is no customer: then there are no facts about one. */
const OF_OTHERS = /TokenCreated$|GroupCustom/;

/** A decision in full. */
export function decided(decision, about) {
  const [kind, reason] = decision.split(' ');
  return reason === undefined ? { kind, customer: KEPT_CUSTOMER, about } : { kind, reason, about };
}

/** The facts of `message(type)`. */
export function factsOf(type) {
  const facts = { type, id: MESSAGE_ID, projectKey: PROJECT, occurredAt: CREATED_AT };
  if (OF_OTHERS.test(type)) return facts;
  return { ...facts, customerId: CUSTOMER_ID, version: RESOURCE_VERSION };
}

/** The object without these members. */
export function without(object, ...names) {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
