import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';

import { parseNotification } from '@companion/segment/commercetools';

import {
  CREATED_AT,
  CUSTOMER_ID,
  FORBIDDEN,
  KEPT_CUSTOMER,
  MESSAGE_ID,
  MESSAGE_TYPES,
  PROJECT,
  TOKEN,
  change,
  cloudEvent,
  fullCustomer,
  leftOut,
  message,
  simplified,
  subscriptionTest,
} from './support/notifications.mjs';
import { GIVEN, assertRead, assertResult, decided, factsOf, without } from './support/read-notifications.mjs';

/** What is decided for every message about customers that Commercetools knows. */
const DECISIONS = {
  CustomerCreated: 'identify',

  CustomerAddressAdded: 'needs-fetch partial-message',
  CustomerAddressChanged: 'needs-fetch partial-message',
  CustomerAddressRemoved: 'needs-fetch partial-message',
  CustomerBillingAddressAdded: 'needs-fetch partial-message',
  CustomerBillingAddressRemoved: 'needs-fetch partial-message',
  CustomerCompanyNameSet: 'needs-fetch partial-message',
  CustomerDateOfBirthSet: 'needs-fetch partial-message',
  CustomerDefaultBillingAddressSet: 'needs-fetch partial-message',
  CustomerDefaultShippingAddressSet: 'needs-fetch partial-message',
  CustomerEmailChanged: 'needs-fetch partial-message',
  CustomerEmailVerified: 'needs-fetch partial-message',
  CustomerExternalIdSet: 'needs-fetch partial-message',
  CustomerFirstNameSet: 'needs-fetch partial-message',
  CustomerLastNameSet: 'needs-fetch partial-message',
  CustomerShippingAddressAdded: 'needs-fetch partial-message',
  CustomerShippingAddressRemoved: 'needs-fetch partial-message',
  CustomerTitleSet: 'needs-fetch partial-message',

  CustomerDeleted: 'ignore deleted',
  CustomerEmailTokenCreated: 'ignore token',
  CustomerPasswordTokenCreated: 'ignore token',

  CustomerAddressCustomFieldAdded: 'ignore unsupported-type',
  CustomerAddressCustomFieldChanged: 'ignore unsupported-type',
  CustomerAddressCustomFieldRemoved: 'ignore unsupported-type',
  CustomerAddressCustomTypeRemoved: 'ignore unsupported-type',
  CustomerAddressCustomTypeSet: 'ignore unsupported-type',
  CustomerCustomFieldAdded: 'ignore unsupported-type',
  CustomerCustomFieldChanged: 'ignore unsupported-type',
  CustomerCustomFieldRemoved: 'ignore unsupported-type',
  CustomerCustomTypeRemoved: 'ignore unsupported-type',
  CustomerCustomTypeSet: 'ignore unsupported-type',
  CustomerGroupAssignmentAdded: 'ignore unsupported-type',
  CustomerGroupAssignmentRemoved: 'ignore unsupported-type',
  CustomerGroupAssignmentsSet: 'ignore unsupported-type',
  CustomerGroupSet: 'ignore unsupported-type',
  CustomerPasswordUpdated: 'ignore unsupported-type',
  CustomerStoresSet: 'ignore unsupported-type',

  CustomerGroupCustomFieldAdded: 'ignore other-resource',
  CustomerGroupCustomFieldChanged: 'ignore other-resource',
  CustomerGroupCustomFieldRemoved: 'ignore other-resource',
  CustomerGroupCustomTypeRemoved: 'ignore other-resource',
  CustomerGroupCustomTypeSet: 'ignore other-resource',
};

/** The names in the union of all messages, as the SDK declares it. */
function typesOfSdk() {
  const { resolve } = createRequire(import.meta.url);
  const root = dirname(resolve('@commercetools/platform-sdk/package.json'));
  const declared = readFileSync(join(root, 'dist/declarations/src/generated/models/message.d.ts'), 'utf8');
  const [, union = ''] = /^export type MessagePayload = (?<union>[^;]+);$/m.exec(declared) ?? [];
  return union
    .split(' | ')
    .filter((name) => name.startsWith('Customer'))
    .map((name) => name.replace(/MessagePayload$/, ''));
}

describe('messages', () => {
  test('there is a decision and a builder for every type that the SDK knows', () => {
    const types = typesOfSdk().sort();
    assert.equal(types.length, 42);
    assert.deepEqual(Object.keys(DECISIONS).sort(), types);
    assert.deepEqual(MESSAGE_TYPES.toSorted(), types);
  });

  for (const [type, decision] of Object.entries(DECISIONS)) {
    test(`${type}: ${decision}`, () => {
      assertRead(message(type), decided(decision, factsOf(type)));
    });
  }

  for (const type of ['CustomerEmailTokenCreated', 'CustomerPasswordTokenCreated']) {
    test(`${type}: its token is in nothing that comes out`, () => {
      const whole = message(type);
      assert.ok(JSON.stringify(whole).includes(TOKEN));
      const nameless = without(whole, 'resource');
      const disguised = { ...whole, resource: { typeId: 'customer', id: CUSTOMER_ID } };
      for (const notification of [whole, nameless, disguised, { ...whole, customer: { email: TOKEN } }]) {
        for (const give of Object.values(GIVEN)) {
          const parsed = parseNotification(give(notification));
          assert.deepEqual([parsed.kind, parsed.reason], ['ignore', 'token']);
          assert.ok(!JSON.stringify(parsed).includes(TOKEN));
        }
      }
    });
  }

  test('a message without notificationType, as the Messages API has it', () => {
    const queried = without(message('CustomerCreated'), 'notificationType', 'projectKey');
    const about = without(factsOf('CustomerCreated'), 'projectKey');
    assertResult(queried, decided('identify', about));
  });

  test('a type of the future says nothing yet', () => {
    const about = factsOf('CustomerLoyaltySet');
    assertRead(
      message('CustomerLoyaltySet', { loyalty: FORBIDDEN }),
      decided('ignore unsupported-type', about),
    );
  });

  for (const [type, typeId] of [
    ['OrderCreated', 'order'],
    ['BusinessUnitCreated', 'business-unit'],
    ['QuoteCustomerChanged', 'quote'],
  ]) {
    test(`${type} is about something else`, () => {
      const members = { resource: { typeId, id: 'other-1' }, customer: fullCustomer() };
      const about = without(factsOf(type), 'customerId', 'version');
      assertRead(message(type, members), decided('ignore other-resource', about));
    });
  }
});

describe('messages whose payload was too large', () => {
  for (const [payloadType, decision] of [
    ['CustomerCreated', 'needs-fetch payload-not-included'],
    ['CustomerEmailChanged', 'needs-fetch partial-message'],
    ['CustomerDeleted', 'ignore deleted'],
    ['CustomerStoresSet', 'ignore unsupported-type'],
    ['CustomerPasswordTokenCreated', 'ignore token'],
  ]) {
    for (const type of [payloadType, 'CustomerCreated', 'CustomerDeleted', undefined]) {
      test(`${payloadType}, whatever type says (${type}): ${decision}`, () => {
        const notification = leftOut(payloadType, type);
        for (const give of Object.values(GIVEN)) {
          assertResult(give(notification), decided(decision, factsOf(payloadType)));
        }
      });
    }
    test(`${payloadType} as a CloudEvent without data: ${decision}`, () => {
      const about = without(factsOf(payloadType), 'version');
      const event = cloudEvent(message(payloadType), { time: CREATED_AT });
      for (const data of [undefined, null, [], 5]) assertResult({ ...event, data }, decided(decision, about));
    });
  }
});

describe('changes', () => {
  const facts = (type) => ({
    type,
    projectKey: PROJECT,
    customerId: CUSTOMER_ID,
    version: 5,
    occurredAt: CREATED_AT,
  });
  for (const [type, decision] of [
    ['ResourceCreated', 'needs-fetch resource-changed'],
    ['ResourceUpdated', 'needs-fetch resource-changed'],
    ['ResourceDeleted', 'ignore deleted'],
  ]) {
    test(`${type}: ${decision}`, () => assertRead(change(type), decided(decision, facts(type))));

    for (const typeId of ['order', 'customer-group', 'customer-email-token', 'customer-password-token']) {
      test(`${type} of ${typeId} is about something else`, () => {
        const about = without(facts(type), 'customerId', 'version');
        assertRead(
          change(type, { resource: { typeId, id: 'other-1' } }),
          decided('ignore other-resource', about),
        );
      });
    }
  }

  test('the test of a new subscription', () => {
    const about = without(facts('ResourceCreated'), 'customerId', 'version');
    assertRead(subscriptionTest(), decided('ignore subscription-test', about));
  });

  test('events of Checkout and Import', () => {
    const event = {
      notificationType: 'Event',
      id: MESSAGE_ID,
      type: 'CheckoutPaymentCharged',
      resourceType: 'checkout',
      data: { projectKey: PROJECT, payments: [] },
      createdAt: CREATED_AT,
    };
    const about = { type: 'CheckoutPaymentCharged', id: MESSAGE_ID, occurredAt: CREATED_AT };
    for (const give of Object.values(GIVEN))
      assertResult(give(event), decided('ignore unsupported-type', about));
  });
});

describe('the payload of the stories', () => {
  const { customer } = simplified();
  for (const type of ['CustomerCreated', 'CustomerUpdated']) {
    test(type, () => {
      const expected = { kind: 'identify', customer, about: { type } };
      for (const give of Object.values(GIVEN)) assertResult(give(simplified(type)), expected);
    });
  }

  for (const [name, given, kept] of [
    ['an e-mail address alone', { email: 'a@example.com' }, { email: 'a@example.com' }],
    ['no customer data', {}, {}],
    ['null in every field', Object.fromEntries(Object.keys(KEPT_CUSTOMER).map((key) => [key, null])), {}],
    ['blank texts', { email: ' ', firstName: '', lastName: '\t\n', fullName: '\u00a0' }, {}],
    ['white space around texts', { email: ' a@example.com ' }, { email: ' a@example.com ' }],
    ['no addresses', { email: 'a@example.com', addresses: [] }, { email: 'a@example.com', addresses: [] }],
    [
      'an address with nulls',
      { addresses: [{ city: null, country: 'DE' }] },
      { addresses: [{ country: 'DE' }] },
    ],
    ['more than is read', without(fullCustomer(), 'id'), without(KEPT_CUSTOMER, 'id')],
    [
      'texts of many scripts',
      { firstName: 'Žofie 😀', lastName: '李' },
      { firstName: 'Žofie 😀', lastName: '李' },
    ],
    ['a NUL in a text', { firstName: 'A\u0000B' }, { firstName: 'A\u0000B' }],
  ]) {
    test(name, () => {
      const notification = { notificationType: 'Message', type: 'CustomerUpdated', customer: given };
      const expected = { kind: 'identify', customer: kept, about: { type: 'CustomerUpdated' } };
      for (const give of Object.values(GIVEN)) assertResult(give(notification), expected);
    });
  }

  test('a customer with an id says whom it is about', () => {
    const about = { type: 'CustomerUpdated', customerId: CUSTOMER_ID };
    const notification = simplified('CustomerUpdated', { id: CUSTOMER_ID });
    assertResult(notification, { kind: 'identify', customer: notification.customer, about });
  });
});
