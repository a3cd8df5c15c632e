import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { extractCustomerFromPayload } from '@companion/segment/commercetools';

import {
  FORBIDDEN,
  KEPT_CUSTOMER,
  change,
  fullAddress,
  fullCustomer,
  leftOut,
  message,
  snsEnvelope,
} from './support/notifications.mjs';
import { GIVEN, assertResult, decided, factsOf, without } from './support/read-notifications.mjs';

describe('what is not as it should be', () => {
  const wrong = [null, true, 5, -1.5, [], ['x'], {}, { a: { b: [FORBIDDEN] } }];

  test('a field of a wrong type counts as absent', () => {
    for (const name of Object.keys(KEPT_CUSTOMER)) {
      const rest = without(KEPT_CUSTOMER, name);
      for (const value of name === 'version' ? ['1', -1, 1.5, null, [], {}] : wrong) {
        const customer = fullCustomer({ [name]: value });
        const kept = name === 'addresses' && Array.isArray(value) ? { ...rest, addresses: [] } : rest;
        assertResult(message('CustomerCreated', { customer }), decidedWith(kept), name);
      }
    }
  });

  test('a field of an address of a wrong type counts as absent', () => {
    const [whole] = KEPT_CUSTOMER.addresses;
    for (const name of Object.keys(whole)) {
      const rest = without(whole, name);
      for (const value of wrong) {
        const customer = { addresses: [fullAddress({ [name]: value })] };
        assertResult(message('CustomerCreated', { customer }), decidedWith({ addresses: [rest] }), name);
      }
    }
  });

  test('what is no address is left out of the addresses', () => {
    const customer = { addresses: [null, 'x', 5, [fullAddress()], { city: 'Berlin' }, true] };
    const kept = { addresses: [{ city: 'Berlin' }] };
    assertResult(message('CustomerCreated', { customer }), decidedWith(kept));
  });

  test('a fact of a wrong type counts as absent', () => {
    for (const [name, fact] of [
      ['id', 'id'],
      ['projectKey', 'projectKey'],
      ['resourceVersion', 'version'],
      ['createdAt', 'occurredAt'],
    ]) {
      for (const value of name === 'resourceVersion' ? ['4', -4, 4.5] : wrong) {
        const about = without(factsOf('CustomerCreated'), fact);
        const notification = message('CustomerCreated', { [name]: value });
        assertResult(notification, { kind: 'identify', customer: KEPT_CUSTOMER, about }, name);
      }
    }
  });

  test('half a character becomes a replacement character', () => {
    const customer = { firstName: 'Ann \ud83d', lastName: '\ude00', companyName: '😀' };
    const kept = { firstName: 'Ann \ufffd', lastName: '\ufffd', companyName: '😀' };
    for (const give of Object.values(GIVEN)) {
      assertResult(give(message('CustomerCreated', { customer })), decidedWith(kept));
    }
  });

  test('__proto__ is a field like any other', () => {
    const text = `{"type":"CustomerCreated","__proto__":{"id":"${FORBIDDEN}"},"customer":{"email":"a@example.com",
      "__proto__":{"firstName":"${FORBIDDEN}","isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}}`;
    const expected = {
      kind: 'identify',
      customer: { email: 'a@example.com' },
      about: { type: 'CustomerCreated' },
    };
    assertResult(text, expected);
    assertResult(JSON.parse(text), expected);
    assert.equal({}.isAdmin, undefined);
    assert.equal(Object.getPrototypeOf(extractCustomerFromPayload(text)), Object.prototype);
  });

  function decidedWith(customer) {
    return { kind: 'identify', customer, about: factsOf('CustomerCreated') };
  }
});

describe('what is no notification', () => {
  const text = JSON.stringify(message('CustomerCreated'));
  const nested = (levels, open, close) => `${open.repeat(levels)}1${close.repeat(levels)}`;
  const inStrings = (count) => Array.from({ length: count }).reduce((inner) => JSON.stringify(inner), text);
  const inEnvelopes = (count) =>
    Array.from({ length: count }).reduce((inner) => JSON.stringify(snsEnvelope(inner)), text);
  const fail = () => {
    throw new Error(FORBIDDEN);
  };

  const MALFORMED = [
    ['nothing', () => undefined, 'not-an-object'],
    ['null', () => null, 'not-an-object'],
    ['a boolean', () => true, 'not-an-object'],
    ['a number', () => 5, 'not-an-object'],
    ['a BigInt', () => 5n, 'not-an-object'],
    ['a symbol', () => Symbol(FORBIDDEN), 'not-an-object'],
    ['a function', () => fail, 'not-an-object'],
    ['an array', () => [message('CustomerCreated')], 'not-an-object'],
    ['the text of an array', () => `[${text}]`, 'not-an-object'],
    ['the text of a number', () => '5', 'not-an-object'],
    ['the text of null', () => 'null', 'not-an-object'],
    ['an empty text', () => '', 'empty'],
    ['blanks', () => ' \r\n\t', 'empty'],
    ['an empty Buffer', () => Buffer.alloc(0), 'empty'],
    ['an empty text in a text', () => '""', 'empty'],
    ['no JSON', () => 'CustomerCreated', 'not-json'],
    ['a form', () => 'type=CustomerCreated&email=a%40example.com', 'not-json'],
    ['XML', () => '<Message type="CustomerCreated"/>', 'not-json'],
    ['half a notification', () => text.slice(0, text.length / 2), 'not-json'],
    ['a notification without its end', () => text.slice(0, -1), 'not-json'],
    ['more than a notification', () => `${text}x`, 'not-json'],
    ['two notifications', () => `${text}\n${text}`, 'not-json'],
    ['a byte order mark', () => `\ufeff${text}`, 'not-json'],
    [
      'the bytes of one',
      () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]),
      'not-json',
    ],
    ['UTF-16', () => Buffer.from(text, 'utf16le'), 'not-json'],
    ['bytes of chance', () => Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28]), 'not-json'],
    ['a NUL byte in a text', () => text.replace('Ann', 'A\u0000nn'), 'not-json'],
    ['a NUL byte at the end', () => `${text}\u0000`, 'not-json'],
    ['single quotes', () => "{'type':'CustomerCreated'}", 'not-json'],
    ['a comment', () => `/* ${FORBIDDEN} */${text}`, 'not-json'],
    ['NaN', () => '{"type":"CustomerCreated","version":NaN}', 'not-json'],
    ['a comma too many', () => '{"type":"CustomerCreated",}', 'not-json'],
    ['the same member twice', () => '{"type":"CustomerCreated","type":"CustomerDeleted"}', 'not-json'],
    [
      'a customer with the same member twice',
      () => `{"type":"CustomerCreated","customer":{"email":"a@example.com","email":"b@example.com"}}`,
      'not-json',
    ],
    ['200 levels of data', () => nested(200, '{"data":', '}'), 'not-json'],
    ['100,000 levels of data', () => nested(100_000, '{"data":', '}'), 'not-json'],
    ['500,000 brackets', () => '['.repeat(500_000), 'not-json'],
    [
      '2 MB',
      () => JSON.stringify(message('CustomerCreated', { padding: 'x'.repeat(2_000_000) })),
      'too-large',
    ],
    ['2 MB of a text', () => 'x'.repeat(2_000_000), 'too-large'],
    ['2 MB of bytes', () => Buffer.alloc(2_000_000, 0x20), 'too-large'],
    ['an object of 2 MB', () => message('CustomerCreated', { padding: 'x'.repeat(2_000_000) }), 'too-large'],
    ['four texts in texts', () => inStrings(4), 'too-many-envelopes'],
    ['four envelopes of SNS', () => inEnvelopes(4), 'too-many-envelopes'],
    ['an object without members', () => ({}), 'not-a-notification'],
    ['a date', () => ({ notificationType: new Date(0), customer: fullCustomer() }), 'not-a-notification'],
    ['a Map', () => new Map(Object.entries(message('CustomerCreated'))), 'not-a-notification'],
    ['a customer alone', () => fullCustomer(), 'not-a-notification'],
    ['a customer without a type', () => ({ customer: fullCustomer() }), 'not-a-notification'],
    [
      'a type that is none',
      () => message('CustomerCreated', { type: ['CustomerCreated'] }),
      'not-a-notification',
    ],
    ['a blank type', () => message('CustomerCreated', { type: ' ' }), 'not-a-notification'],
    [
      'an unknown kind',
      () => message('CustomerCreated', { notificationType: 'Letter' }),
      'not-a-notification',
    ],
    ['a change of nothing', () => change('ResourceUpdated', { resource: null }), 'not-a-notification'],
    ['a change of a text', () => change('ResourceUpdated', { resource: 'customer' }), 'not-a-notification'],
    ['an envelope without a topic', () => snsEnvelope(text, { TopicArn: undefined }), 'not-a-notification'],
    ['an envelope around an object', () => snsEnvelope(message('CustomerCreated')), 'not-a-notification'],
    ['an envelope around words', () => snsEnvelope('You have chosen to subscribe to the topic.'), 'not-json'],
    ['an envelope around a number', () => snsEnvelope('5'), 'not-an-object'],
    ['no customer', () => message('CustomerCreated', { customer: undefined }), 'missing-customer'],
    ['null as a customer', () => message('CustomerCreated', { customer: null }), 'missing-customer'],
    [
      'a list as a customer',
      () => message('CustomerCreated', { customer: [fullCustomer()] }),
      'missing-customer',
    ],
    ['a text as a customer', () => message('CustomerCreated', { customer: FORBIDDEN }), 'missing-customer'],
    [
      'a change of a customer without an id',
      () => change('ResourceUpdated', { resource: { typeId: 'customer', id: ' ' } }),
      'missing-customer-id',
    ],
    [
      'a part of a customer without an id',
      () => message('CustomerFirstNameSet', { resource: { typeId: 'customer' } }),
      'missing-customer-id',
    ],
    [
      'a customer that was left out and has no id',
      () => ({ ...leftOut('CustomerCreated'), resource: { typeId: 'customer', id: 5 } }),
      'missing-customer-id',
    ],
    [
      'a cycle',
      () => {
        const cycle = message('CustomerCreated');
        cycle.customer = { email: 'a@example.com', cycle };
        return cycle;
      },
      'not-an-object',
    ],
    ['a BigInt in an object', () => message('CustomerCreated', { version: 5n }), 'not-an-object'],
    [
      'a getter that throws',
      () =>
        message('CustomerCreated', {
          customer: {
            get email() {
              return fail();
            },
          },
        }),
      'not-an-object',
    ],
    ['a toJSON that throws', () => ({ toJSON: fail }), 'not-an-object'],
    ['a toJSON that gives nothing', () => ({ toJSON: () => undefined }), 'not-an-object'],
    ['a Proxy that throws', () => new Proxy({}, { getPrototypeOf: fail, ownKeys: fail }), 'not-an-object'],
    [
      'a Proxy that was revoked',
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        return proxy;
      },
      'not-an-object',
    ],
    [
      'bytes that were transferred',
      () => {
        const bytes = new Uint8Array(8);
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
        return bytes;
      },
      'not-an-object',
    ],
  ];

  for (const [name, raw, reason] of MALFORMED) {
    test(`${name}: ${reason}`, () => assertResult(raw(), { kind: 'invalid', reason }));
  }

  test('three envelopes are opened, and what is not read may be as deep as it likes', () => {
    const expected = decided('identify', factsOf('CustomerCreated'));
    assertResult(inStrings(3), expected);
    assertResult(inEnvelopes(3), expected);
    const custom = nested(50_000, '[', ']');
    assertResult(text.replace('"customer":{', `"customer":{"deep":${custom},`), expected);
  });
});
