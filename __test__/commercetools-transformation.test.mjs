import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AnalyticsError } from '@companion/segment';
import {
  extractCustomerFromPayload,
  parseNotification,
  transformCustomerToSegment,
} from '@companion/segment/commercetools';

import {
  CREATED_AT,
  CUSTOMER_ID,
  FORBIDDEN,
  MESSAGE_ID,
  PROJECT,
  change,
  cloudEvent,
  fullAddress,
  fullCustomer,
  message,
  simplified,
} from './support/notifications.mjs';

const EMAIL = 'ann.lee@example.com';
/** The traits beside the e-mail address. */
function traitsOf(customer) {
  const { email, ...traits } = transformCustomerToSegment({ email: EMAIL, ...customer }).traits;
  assert.equal(email, EMAIL);
  return traits;
}

function assertEmptyUserId(customer, options) {
  assert.throws(
    () => transformCustomerToSegment(customer, options),
    (error) => {
      assert.ok(error instanceof AnalyticsError);
      const { code, message: text, field } = error;
      assert.deepEqual(
        { code, text, field },
        { code: 'ERR_VALIDATION', text: 'userId cannot be empty', field: 'userId' },
      );
      return true;
    },
  );
}

const FULL_TRAITS = {
  email: EMAIL,
  firstName: 'Ann',
  lastName: 'Lee',
  name: 'Ann B. Lee',
  address: {
    street: 'Lange Straße 7',
    city: 'Potsdam',
    state: 'BE',
    postalCode: '10115',
    country: 'DE',
  },
};

describe('a whole customer', () => {
  test('as the API has it', () => {
    const payload = transformCustomerToSegment(fullCustomer());
    assert.deepEqual(payload, { userId: EMAIL, traits: FULL_TRAITS });
  });

  test('as it comes out of a notification', () => {
    const customer = extractCustomerFromPayload(message('CustomerCreated'));
    assert.deepEqual(transformCustomerToSegment(customer), { userId: EMAIL, traits: FULL_TRAITS });
  });

  test('as the stories have it', () => {
    const { traits } = transformCustomerToSegment(simplified().customer);
    const address = { street: 'Lange Straße 12a', city: 'Berlin', postalCode: '10115', country: 'DE' };
    assert.deepEqual(traits, {
      email: EMAIL,
      firstName: 'Ann',
      lastName: 'Lee',
      name: 'Ann B. Lee',
      address,
    });
  });

  test('nothing but what is on the list', () => {
    const secret = { password: FORBIDDEN, token: FORBIDDEN, fields: { password: FORBIDDEN } };
    const customer = fullCustomer({ ...secret, addresses: [fullAddress(secret)] });
    for (const userId of ['email', 'customerId', 'customerNumber', 'externalId', ({ email }) => email]) {
      const payload = JSON.stringify(transformCustomerToSegment(customer, { userId }));
      assert.ok(!payload.includes(FORBIDDEN), payload);
    }
  });

  test('the customer is not changed, nor shared', () => {
    const customer = Object.freeze(
      fullCustomer({ addresses: Object.freeze([Object.freeze(fullAddress())]) }),
    );
    const { traits } = transformCustomerToSegment(customer, { userId: () => 'u1' });
    traits.address.city = 'elsewhere';
    assert.deepEqual(customer, fullCustomer({ addresses: [fullAddress()] }));
  });
});

describe('the id of the user', () => {
  const customer = { id: ' id-1 ', email: '\te@example.com\n', customerNumber: ' C-1', externalId: 'crm-1 ' };

  for (const [userId, expected] of [
    [undefined, 'e@example.com'],
    ['email', 'e@example.com'],
    ['customerId', 'id-1'],
    ['customerNumber', 'C-1'],
    ['externalId', 'crm-1'],
    [({ id, customerNumber }) => `${id.trim()}/${customerNumber.trim()}`, 'id-1/C-1'],
    [() => ' chosen ', 'chosen'],
  ]) {
    test(`${userId}: ${expected}`, () => {
      assert.equal(transformCustomerToSegment(customer, { userId }).userId, expected);
    });
  }

  test('the e-mail address is a trait whatever the id is, trimmed', () => {
    for (const userId of ['email', 'customerId', () => 'u1']) {
      assert.equal(transformCustomerToSegment(customer, { userId }).traits.email, 'e@example.com');
    }
    assert.equal(transformCustomerToSegment({ id: 'u1' }, { userId: 'customerId' }).traits.email, undefined);
  });

  test('the function gets the customer as it was given', () => {
    const given = fullCustomer();
    const seen = [];
    transformCustomerToSegment(given, { userId: (asked) => seen.push(asked) && 'u1' });
    assert.equal(seen.length, 1);
    assert.equal(seen[0], given);
  });

  test('what the function chooses is no trait and does not stand for the externalId', () => {
    const given = { email: EMAIL, externalId: 'crm-1' };
    const seen = [];
    const mapTraits = (traits, { externalId }) => {
      seen.push(externalId);
      return traits;
    };
    const payload = transformCustomerToSegment(given, { userId: () => 'u1', mapTraits });
    assert.deepEqual(payload, { userId: 'u1', traits: { email: EMAIL } });
    assert.deepEqual([seen, given.externalId], [['crm-1'], 'crm-1']);
  });

  for (const [name, empty] of [
    ['missing', undefined],
    ['null', null],
    ['empty', ''],
    ['blank', ' \t\n\u00a0'],
    ['a number', 5],
    ['an object', { toString: () => 'u1' }],
    ['a list', ['u1']],
  ]) {
    test(`${name}: userId cannot be empty`, () => {
      const others = { firstName: 'Ann', lastName: 'Lee' };
      assertEmptyUserId({ ...others, email: empty });
      assertEmptyUserId({ ...others, email: EMAIL, id: empty }, { userId: 'customerId' });
      assertEmptyUserId({ ...others, email: EMAIL, customerNumber: empty }, { userId: 'customerNumber' });
      assertEmptyUserId({ ...others, email: EMAIL, externalId: empty }, { userId: 'externalId' });
      assertEmptyUserId({ ...others, email: EMAIL, externalId: 'x' }, { userId: () => empty });
    });
  }

  test('what is no customer has no id', () => {
    for (const none of [undefined, null, 5, 'a@example.com', [], ['id-1', EMAIL], {}])
      assertEmptyUserId(none);
  });

  test('a strategy that there is not', () => {
    for (const userId of ['id', 'e-mail', '', null, 5, {}]) {
      assert.throws(() => transformCustomerToSegment(customer, { userId }), {
        name: 'AnalyticsError',
        code: 'ERR_OPTION_INVALID',
        message:
          "The option userId must be 'email', 'customerId', 'customerNumber', 'externalId' or a function.",
      });
    }
  });

  test('what the function throws is thrown', () => {
    const error = new RangeError('mine');
    const userId = () => {
      throw error;
    };
    assert.throws(() => transformCustomerToSegment(customer, { userId }), error);
  });
});

describe('the name', () => {
  for (const [customer, expected] of [
    [{ fullName: 'Ann B. Lee' }, { name: 'Ann B. Lee' }],
    [
      { fullName: ' Ann B. Lee ', firstName: 'X', lastName: 'Y' },
      { firstName: 'X', lastName: 'Y', name: 'Ann B. Lee' },
    ],
    [
      { fullName: ' ', firstName: 'Ann', lastName: 'Lee' },
      { firstName: 'Ann', lastName: 'Lee', name: 'Ann Lee' },
    ],
    [
      { firstName: ' Ann ', middleName: ' B. ', lastName: ' Lee ' },
      { firstName: 'Ann', lastName: 'Lee', name: 'Ann B. Lee' },
    ],
    [{ firstName: 'Ann' }, { firstName: 'Ann', name: 'Ann' }],
    [{ lastName: 'Lee' }, { lastName: 'Lee', name: 'Lee' }],
    [{ middleName: 'B.' }, { name: 'B.' }],
    [
      { firstName: 'Ann', middleName: null, lastName: undefined },
      { firstName: 'Ann', name: 'Ann' },
    ],
    [{ firstName: null, lastName: null, fullName: null }, {}],
    [{ firstName: undefined, lastName: undefined }, {}],
    [{ firstName: '', lastName: ' \n' }, {}],
    [{ firstName: 5, lastName: ['Lee'] }, {}],
    [{}, {}],
    [
      { firstName: 'Žofie 😀', lastName: '李' },
      { firstName: 'Žofie 😀', lastName: '李', name: 'Žofie 😀 李' },
    ],
    [{ firstName: 'Ann \ud83d' }, { firstName: 'Ann \ufffd', name: 'Ann \ufffd' }],
  ]) {
    test(JSON.stringify(customer), () => assert.deepEqual(traitsOf(customer), expected));
  }

  test('never "undefined", in whatever mixture', () => {
    for (const firstName of [undefined, null, '', 'Ann']) {
      for (const middleName of [undefined, null, ' ', 'B.']) {
        for (const lastName of [undefined, null, '', 'Lee']) {
          const { name } = traitsOf({ firstName, middleName, lastName });
          const parts = [firstName, middleName, lastName].filter((part) => (part ?? '').trim() !== '');
          assert.equal(name, parts.length === 0 ? undefined : parts.join(' '));
        }
      }
    }
  });
});

describe('the address', () => {
  const addresses = [
    { id: 'a', city: 'A' },
    { id: 'b', city: 'B' },
    { id: 'c', city: 'C' },
  ];
  const cityOf = (customer) => traitsOf({ addresses, ...customer }).address?.city;

  for (const [name, customer, city] of [
    ['default shipping', { defaultShippingAddressId: 'b', defaultBillingAddressId: 'c' }, 'B'],
    ['default billing', { defaultBillingAddressId: 'c' }, 'C'],
    [
      'default billing when shipping dangles',
      { defaultShippingAddressId: 'x', defaultBillingAddressId: 'c' },
      'C',
    ],
    ['the first when both dangle', { defaultShippingAddressId: 'x', defaultBillingAddressId: 'y' }, 'A'],
    ['the first when nothing is default', {}, 'A'],
    [
      'the first when ids are blank',
      { defaultShippingAddressId: ' ', addresses: [{ city: 'A' }, { id: ' ', city: 'B' }] },
      'A',
    ],
    [
      'the first of two with the same id',
      { defaultShippingAddressId: 'b', addresses: [...addresses, { id: 'b' }] },
      'B',
    ],
    ['the first that is one', { addresses: [null, 5, 'x', { city: 'D' }] }, 'D'],
    ['none of none', { addresses: [] }, undefined],
    ['none of null', { addresses: null }, undefined],
    ['none of an object', { addresses: { 0: { city: 'A' } } }, undefined],
    ['none of a text', { addresses: 'Berlin' }, undefined],
  ]) {
    test(name, () => assert.equal(cityOf(customer), city));
  }

  test('the last of many addresses', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({ id: `id-${index}`, city: `City ${index}` }));
    assert.equal(cityOf({ addresses: many, defaultShippingAddressId: 'id-4999' }), 'City 4999');
  });

  for (const [name, address, expected] of [
    ['street and number', { streetName: ' High St ', streetNumber: ' 5 ' }, { street: 'High St 5' }],
    ['a street alone', { streetName: 'High St', streetNumber: null }, { street: 'High St' }],
    ['a number alone', { streetName: '', streetNumber: '5' }, { street: '5' }],
    ['a state before a region', { state: 'NY', region: 'East' }, { state: 'NY' }],
    ['a region for a state', { state: ' ', region: ' East ' }, { state: 'East' }],
    ['a country alone', { country: 'DE' }, { country: 'DE' }],
    ['a post code with zeros', { postalCode: ' 01067' }, { postalCode: '01067' }],
    ['a post code that is a number', { postalCode: 1067, city: 'Dresden' }, { city: 'Dresden' }],
    ['nothing', {}, undefined],
    ['blank texts', { streetName: ' ', city: '', country: '\n', region: null }, undefined],
    ['nothing that is told', { id: 'a', phone: '1', company: 'Lee', apartment: '4' }, undefined],
  ]) {
    test(name, () => {
      const traits = traitsOf({ addresses: [address] });
      assert.deepEqual(traits, expected === undefined ? {} : { address: expected });
    });
  }
});

describe('mapTraits', () => {
  test('changes what is sent', () => {
    const customer = fullCustomer();
    const seen = [];
    const mapTraits = (traits, asked) => {
      seen.push(traits, asked);
      return { plan: 'gold', company: { name: asked.companyName }, email: traits.email };
    };
    const { traits, userId } = transformCustomerToSegment(customer, { mapTraits });
    assert.deepEqual(traits, { plan: 'gold', company: { name: 'Lee & Daughters' }, email: EMAIL });
    assert.deepEqual([seen.length, seen[0], userId], [2, FULL_TRAITS, EMAIL]);
    assert.equal(seen[1], customer);
  });

  test('is not asked about a customer without an id', () => {
    const mapTraits = () => assert.fail('there is nobody to map');
    assertEmptyUserId({ firstName: 'Ann' }, { mapTraits });
  });

  test('throws what it throws', () => {
    const error = new Error('mine');
    const mapTraits = () => {
      throw error;
    };
    assert.throws(() => transformCustomerToSegment({ email: EMAIL }, { mapTraits }), error);
  });
});

describe('messageId', () => {
  const idOf = (about) => transformCustomerToSegment({ email: EMAIL }, {}, about).messageId;
  const idOfNotification = (notification) => idOf(parseNotification(notification).about);

  test('of a message: its project and its id, in both formats', () => {
    for (const type of ['CustomerCreated', 'CustomerEmailChanged']) {
      assert.equal(idOfNotification(message(type)), `ct:${PROJECT}:${MESSAGE_ID}`);
      assert.equal(idOfNotification(cloudEvent(message(type))), `ct:${PROJECT}:${MESSAGE_ID}`);
    }
  });

  test('of a change: the customer and the version, in both formats', () => {
    const updated = change('ResourceUpdated');
    assert.equal(idOfNotification(updated), `ct:${PROJECT}:${CUSTOMER_ID}:5`);
    assert.equal(idOfNotification(cloudEvent(updated)), `ct:${PROJECT}:${CUSTOMER_ID}:5`);
    assert.equal(idOfNotification({ ...updated, version: 6 }), `ct:${PROJECT}:${CUSTOMER_ID}:6`);
  });

  test('of what has no id: none', () => {
    for (const about of [
      {},
      { projectKey: PROJECT },
      { id: ' ' },
      { customerId: 'c' },
      { version: 5 },
      undefined,
    ]) {
      assert.equal(idOf(about), undefined);
    }
    assert.equal(idOfNotification(simplified()), undefined);
  });

  test('is never longer than 100 characters, always the same, and never that of another', () => {
    const seen = new Map();
    for (const length of [1, 50, 94, 95, 96, 97, 98, 99, 100, 101, 102, 255, 10_000]) {
      for (const character of ['x', 'ü', '😀']) {
        for (const about of [
          { projectKey: 'p', id: character.repeat(length) },
          { projectKey: character.repeat(length), id: 'p' },
          { projectKey: 'p', customerId: character.repeat(length), version: Number.MAX_SAFE_INTEGER },
        ]) {
          const messageId = idOf(about);
          assert.ok(messageId.length <= 100 && messageId.startsWith('ct:'), messageId);
          assert.equal(idOf({ ...about }), messageId);
          assert.ok(!seen.has(messageId), `${JSON.stringify(about)} and ${seen.get(messageId)}`);
          seen.set(messageId, JSON.stringify(about));
        }
      }
    }
    assert.equal(idOf({ projectKey: 'p', id: 'x'.repeat(95) }), `ct:p:${'x'.repeat(95)}`);
    assert.match(idOf({ projectKey: 'p', id: 'x'.repeat(96) }), /^ct:[0-9a-f]{64}$/);
  });

  test('does not depend on the customer or on options', () => {
    const about = { projectKey: PROJECT, id: MESSAGE_ID };
    const options = { userId: () => 'u1', mapTraits: () => ({}) };
    const { messageId } = transformCustomerToSegment(fullCustomer(), options, about);
    assert.equal(messageId, idOf(about));
  });
});

describe('timestamp', () => {
  const at = (occurredAt) => transformCustomerToSegment({ email: EMAIL }, {}, { occurredAt }).timestamp;

  test('is that of the notification', () => {
    for (const notification of [message('CustomerCreated'), change('ResourceUpdated')]) {
      assert.equal(at(parseNotification(notification).about.occurredAt), CREATED_AT);
      assert.equal(at(parseNotification(cloudEvent(notification)).about.occurredAt), CREATED_AT);
    }
  });

  test('is written as JavaScript writes it', () => {
    for (const time of [
      '2026-02-03T04:05:06Z',
      '2026-02-03T04:05:06.789012Z',
      '2026-02-03T04:05:06.7+02:00',
    ]) {
      assert.equal(at(time), new Date(time).toISOString());
    }
  });

  for (const invalid of [
    undefined,
    null,
    '',
    ' ',
    'yesterday',
    '2026-02-03',
    '2026-02-03T04:05:06',
    '2026-02-30T04:05:06Z',
    '2026-02-03T25:05:06Z',
    '1770091506789',
    1_770_091_506_789,
    {},
    ['2026-02-03T04:05:06Z'],
    `2026-02-03T04:05:06.${'7'.repeat(100_000)}Z`,
  ]) {
    test(`is left out: ${JSON.stringify(invalid)?.slice(0, 40)}`, () => {
      const payload = transformCustomerToSegment({ email: EMAIL }, {}, { occurredAt: invalid, id: 'm1' });
      assert.deepEqual(payload, { userId: EMAIL, traits: { email: EMAIL }, messageId: 'ct::m1' });
    });
  }
});
