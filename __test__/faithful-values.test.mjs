/** What JSON can hold arrives as `JSON.stringify` would write it, and the caller's objects stay as they were. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import vm from 'node:vm';

import { METHODS, MINIMAL, assertConserved, startClient } from './support/clients.mjs';
import { eventTexts, startCollector } from './support/collector.mjs';

class Money {
  #cents = 1_999;
  currency = 'EUR';
  get hidden() {
    return this.#cents;
  }
  toJSON() {
    return { cents: this.#cents, currency: this.currency };
  }
}

class Cart {
  items = ['a', 'b'];
  get total() {
    throw new Error('a getter of the prototype is not written');
  }
}

const proxyOf = (target) => new Proxy(target, {});
const parsed = (text) => JSON.parse(text);

const VALUES = [
  ['numbers that JSON does not have', { nan: Number.NaN, up: Infinity, down: -Infinity, zero: -0 }],
  ['large and small numbers', { a: 1e21, b: 5e-324, c: Number.MAX_SAFE_INTEGER, d: 0.1 + 0.2, e: 1e308 }],
  [
    'undefined, functions and symbols',
    { a: undefined, f() {}, s: Symbol('s'), [Symbol('k')]: 1, list: [undefined, () => {}, Symbol('s')] },
  ],
  [
    'a Map, a Set, a WeakMap and a RegExp',
    { m: new Map([[1, 2]]), s: new Set([1]), w: new WeakMap(), r: /x/ },
  ],
  [
    'a Buffer and typed arrays',
    { b: Buffer.from('hi'), t: new Uint8Array(3), f: new Float64Array([1.5]), a: new ArrayBuffer(2) },
  ],
  [
    'dates',
    {
      d: new Date(0),
      invalid: new Date(Number.NaN),
      far: new Date(8.64e15),
      old: new Date(-62_200_000_000_000),
    },
  ],
  [
    'an Error, a Promise and a generator',
    { e: new Error('x'), p: Promise.resolve(1), g: (function* () {})() },
  ],
  ['String, Number and Boolean objects', { s: new String('x'), n: new Number(5), b: new Boolean(false) }],
  ['instances with toJSON', { price: new Money(), list: [new Money()] }],
  ['instances without toJSON', { cart: new Cart() }],
  ['a Proxy', { p: proxyOf({ a: 1 }), list: proxyOf([1, 2]) }],
  ['objects without a prototype', { o: Object.assign(Object.create(null), { a: 1 }) }],
  ['objects of another realm', { o: vm.runInNewContext('({ a: [1, new Date(0)], when: new Date(5) })') }],
  ['sparse arrays and arrays with members', { a: [, 1, , 2], b: Object.assign([1], { extra: 2 }) }],
  [
    'the same object twice',
    (() => {
      const twice = { a: 1 };
      return { first: twice, second: twice };
    })(),
  ],
  [
    'getters that work',
    {
      get a() {
        return { b: 1 };
      },
    },
  ],
  [
    'a toJSON that gives undefined',
    { gone: { toJSON: () => undefined }, list: [{ toJSON: () => undefined }] },
  ],
  ['emoji, CJK and combining marks', { a: '😀👩‍👩‍👧‍👦', b: '字字字', c: 'e\u0301', '键😀': 'ключ' }],
  [
    'control characters, quotes and separators',
    { a: '\u0000\u0001\u001f\b\f\n\r\t"\\/', b: '\u2028\u2029\u007f\ufeff\ufffe\uffff' },
  ],
  [
    'text that looks like JSON',
    { a: '"},{"type":"identify","userId":"other"', b: ']}', c: '\\u0022', d: '\\ud800' },
  ],
  ['empty keys and empty values', { '': '', a: {}, b: [], c: null }],
  [
    'keys that look like an envelope',
    { batch: [], writeKey: 'x', sentAt: 'x', messageId: 'x', type: 'x', library: 'x' },
  ],
  [
    'hostile keys',
    parsed(
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":1,"hasOwnProperty":2}',
    ),
  ],
  ['hostile keys inside', parsed('{"a":{"__proto__":{"polluted":true}},"b":[{"__proto__":null}]}')],
];

/** Sends one event; returns the text of it as the server got it, and the event. */
async function sent(t, settings, send) {
  const collector = await startCollector(t);
  const analytics = startClient(t, collector, settings);
  assert.equal(send(analytics), true);
  await analytics.flush();
  assert.equal(analytics.stats().delivered, 1);
  assertConserved(analytics.stats());
  const [text] = eventTexts(collector.requests[0].text);
  return { text, event: JSON.parse(text) };
}

for (const [way, settings] of [
  ['', {}],
  [', on the way through redact too', { redact: ['properties.none'] }],
]) {
  describe(`values arrive as JSON.stringify writes them${way}`, () => {
    for (const [what, value] of VALUES) {
      const written = JSON.stringify(value);
      test(`${what} in properties`, async (t) => {
        const { text } = await sent(t, settings, (client) =>
          client.track({ ...MINIMAL.track, properties: value }),
        );
        assert.ok(text.includes(`"properties":${written}`), text);
      });

      test(`${what} in traits`, async (t) => {
        const { text } = await sent(t, settings, (client) =>
          client.identify({ ...MINIMAL.identify, traits: value }),
        );
        assert.ok(text.includes(`"traits":${written}`), text);
      });

      test(`${what} in the context, with our library`, async (t) => {
        const { event } = await sent(t, settings, (client) =>
          client.page({ ...MINIMAL.page, context: value }),
        );
        const { library, ...facts } = event.context;
        assert.equal(library.name, '@companion/segment');
        const { library: _theirs, ...expected } = JSON.parse(written);
        assert.deepEqual(facts, expected);
        assert.ok(Object.hasOwn(facts, '__proto__') === Object.hasOwn(expected, '__proto__'));
      });
    }
  });
}

test('hostile keys change no prototype', async (t) => {
  const [, value] = VALUES.find(([what]) => what === 'hostile keys');
  for (const settings of [
    {},
    { redact: ['properties.__proto__.polluted', 'properties.constructor.prototype.polluted'] },
  ]) {
    await sent(t, settings, (client) =>
      client.track({ ...MINIMAL.track, properties: value, context: value }),
    );
  }
  assert.equal({}.polluted, undefined);
  assert.equal(Object.polluted, undefined);
});

describe('lone surrogates arrive as U+FFFD', () => {
  for (const [what, given, arrives] of [
    ['a high one', 'a\ud800b', 'a\ufffdb'],
    ['a low one', '\udfff', '\ufffd'],
    ['a pair in the wrong order', '\udc00\ud800', '\ufffd\ufffd'],
    ['one after a backslash', '\\\ud800', '\\\ufffd'],
    ['one beside a pair', '😀\ud83d', '😀\ufffd'],
    ['the text of an escape stays text', '\\ud800', '\\ud800'],
  ]) {
    test(what, async (t) => {
      const params = { userId: given, event: given, properties: { [given]: [given] }, context: { given } };
      const { event } = await sent(t, {}, (client) => client.track(params));
      const { userId, event: name, properties, context } = event;
      assert.deepEqual(
        [userId, name, properties, context.given],
        [arrives, arrives, { [arrives]: [arrives] }, arrives],
      );
    });
  }
});

describe('contexts', () => {
  const facts = { ip: '::1', page: { path: '/' } };
  for (const [what, context] of [
    ['a plain object', { ...facts }],
    ['with a library of its own', { library: { name: 'mine' }, ...facts }],
    ['with a library that is null', { ...facts, library: null }],
    ['that is frozen, inside too', Object.freeze({ ...facts, page: Object.freeze({ path: '/' }) })],
    ['that is sealed, with a library', Object.seal({ ...facts, library: 1 })],
    [
      'of a class with toJSON',
      new (class {
        toJSON() {
          return { ...facts, library: 1 };
        }
      })(),
    ],
    [
      'whose toJSON gives itself',
      (() => {
        const own = { ...facts, library: 1, toJSON: () => own };
        return own;
      })(),
    ],
    [
      'whose toJSON gives something with another toJSON',
      { toJSON: () => ({ ...facts, toJSON: () => undefined }) },
    ],
    ['with members that are not written', { ...facts, none: undefined, f() {}, [Symbol('s')]: 1 }],
    ['whose last member is not written', { ...facts, none: undefined }],
    ['that is a Proxy', proxyOf({ ...facts, library: 1 })],
    ['without a prototype', Object.assign(Object.create(null), facts)],
  ]) {
    for (const method of METHODS) {
      test(`${method} with a context ${what}`, async (t) => {
        const { event, text } = await sent(t, {}, (client) =>
          client[method]({ ...MINIMAL[method], context }),
        );
        const { library, ...others } = event.context;
        assert.deepEqual(others, facts);
        assert.deepEqual(Object.keys(library), ['name', 'version']);
        assert.equal(library.name, '@companion/segment');
        assert.equal(text.split('"library":').length, 2, 'written once');
      });
    }
  }

  for (const [what, context] of [
    ['empty', {}],
    ['a Map', new Map([[1, 2]])],
    ['whose toJSON gives nothing', { toJSON: () => undefined }],
    ['of nothing that is written', { none: undefined }],
  ]) {
    test(`a context ${what} leaves only our library`, async (t) => {
      const { event } = await sent(t, {}, (client) => client.track({ ...MINIMAL.track, context }));
      assert.deepEqual(Object.keys(event.context), ['library']);
    });
  }
});
