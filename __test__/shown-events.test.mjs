/** What callbacks, listeners and plugins are shown of an event: the values that were passed, as a copy of their own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { METHODS, MINIMAL, next, settled, startPair } from './support/clients.mjs';

const BIRTHDAY = new Date('1990-05-17T10:00:00.000Z');

class Money {
  constructor(amount) {
    this.amount = amount;
  }

  get doubled() {
    return this.amount * 2;
  }
}

/** Everything that JSON has no word for. */
const passed = () => ({
  date: new Date(BIRTHDAY),
  list: [{ at: new Date(BIRTHDAY) }, undefined],
  missing: undefined,
  call: () => 5,
  map: new Map([['since', new Date(BIRTHDAY)]]),
  set: new Set([1, 2]),
  money: new Money(7),
  pattern: /a+/,
  error: new RangeError('too much'),
  buffer: Buffer.from('abc'),
  text: 'text',
});

function assertAsPassed(shown) {
  assert.ok(shown.date instanceof Date);
  assert.equal(shown.date.getUTCDay(), BIRTHDAY.getUTCDay());
  assert.ok(shown.list[0].at instanceof Date);
  assert.deepEqual([shown.list.length, shown.list[1]], [2, undefined]);
  assert.ok('missing' in shown && shown.missing === undefined);
  assert.equal(shown.call(), 5);
  assert.deepEqual(shown.map, new Map([['since', BIRTHDAY]]));
  assert.deepEqual(shown.set, new Set([1, 2]));
  assert.deepEqual([shown.money instanceof Money, shown.money.doubled], [true, 14]);
  assert.ok(shown.pattern instanceof RegExp);
  assert.deepEqual([shown.error instanceof RangeError, shown.error.message], [true, 'too much']);
  assert.deepEqual(shown.buffer, Buffer.from('abc'));
  assert.equal(shown.text, 'text');
}

const everywhere = (handle) => Object.fromEntries(METHODS.map((method) => [method, handle]));
const plugin = (type, handle) => ({
  name: type,
  type,
  version: '1',
  isLoaded: () => true,
  load: async () => {},
  ...everywhere((context) => {
    handle(context.event);
    return context;
  }),
});

/** Everybody who is shown an event: each begins to look, and gives back what he saw once it is over. */
const LOOKERS = {
  'a callback': async (analytics, type, params) => {
    const [, context] = await settled(analytics, type, params);
    return context.event;
  },
  'a listener': async (analytics, type, params) => {
    const heard = next(analytics, type);
    analytics[type](params);
    return (await heard)[0].event;
  },
  ...Object.fromEntries(
    ['before', 'enrichment', 'destination', 'after'].map((kind) => [
      `a plugin of the kind ${kind}`,
      async (analytics, type, params) => {
        const seen = [];
        await analytics.register(plugin(kind, (event) => seen.push(event)));
        analytics[type](params);
        await analytics.flush();
        return seen[0];
      },
    ]),
  ),
  'a plugin that is registered after the call': async (analytics, type, params) => {
    const seen = [];
    analytics[type](params);
    await analytics.register(plugin('before', (event) => seen.push(event)));
    await analytics.flush();
    return seen[0];
  },
};

/** A client that sends at once, unless it has to be asked. */
const SETTINGS = { flushAt: 1 };
const BAG = {
  identify: 'traits',
  track: 'properties',
  page: 'properties',
  screen: 'properties',
  group: 'traits',
};

for (const [who, look] of Object.entries(LOOKERS)) {
  describe(who, () => {
    for (const [type, bag] of Object.entries(BAG)) {
      test(`is shown what was passed to ${type}()`, async (t) => {
        const { analytics, segment } = await startPair(t, SETTINGS);
        const context = { at: new Date(BIRTHDAY), active: undefined };
        const event = await look(analytics, type, { ...MINIMAL[type], [bag]: passed(), context });
        await analytics.flush();
        assertAsPassed(event[bag]);
        assert.ok(event.context.at instanceof Date);
        assert.ok(event.timestamp instanceof Date);
        assert.deepEqual([event.type, event.integrations], [type, {}]);
        const [sent] = segment.events;
        assert.equal(event.messageId, sent.messageId);
        assert.equal(event.timestamp.toISOString(), sent.timestamp);
        assert.deepEqual(JSON.parse(JSON.stringify(event[bag])), sent[bag]);
      });
    }

    test('is shown the timestamp that was passed', async (t) => {
      const { analytics } = await startPair(t, SETTINGS);
      const event = await look(analytics, 'track', { ...MINIMAL.track, timestamp: new Date(BIRTHDAY) });
      assert.deepEqual(event.timestamp, BIRTHDAY);
    });

    test('changes nothing of the caller, and is shown nothing that changes later', async (t) => {
      const { analytics } = await startPair(t, SETTINGS);
      const given = {
        date: new Date(BIRTHDAY),
        map: new Map([['a', { b: 1 }]]),
        deep: { list: [new Money(1)] },
      };
      const looking = look(analytics, 'track', { ...MINIMAL.track, properties: given });
      const event = await looking;
      assert.notEqual(event.properties, given);
      given.date.setUTCFullYear(2000);
      given.map.get('a').b = 2;
      given.deep.list[0].amount = 2;
      assert.deepEqual(event.properties.date, BIRTHDAY);
      assert.deepEqual(event.properties.map.get('a'), { b: 1 });
      assert.equal(event.properties.deep.list[0].amount, 1);
      event.properties.date.setUTCFullYear(2001);
      event.properties.deep.list[0].amount = 3;
      assert.deepEqual([given.date.getUTCFullYear(), given.deep.list[0].amount], [2000, 2]);
    });
  });
}

describe('what is shown is what was sent', () => {
  /** Says something else each time it is asked. */
  const counting = () => {
    let reads = 0;
    const count = () => (reads += 1);
    return {
      get read() {
        return count();
      },
      asked: { toJSON: () => `asked ${count()}` },
      reads: () => reads,
    };
  };

  for (const who of Object.keys(LOOKERS).filter((name) => !name.includes('after the call'))) {
    test(`getters and toJSON of the caller are read once for ${who}`, async (t) => {
      const { analytics, segment } = await startPair(t, SETTINGS);
      const properties = counting();
      const event = await LOOKERS[who](analytics, 'track', { ...MINIMAL.track, properties });
      await analytics.flush();
      assert.equal(properties.reads(), 2);
      const { read, asked } = event.properties;
      assert.deepEqual([read, asked], [1, 'asked 2']);
      assert.deepEqual(segment.events[0].properties, { read, asked });
    });
  }

  class Reserved extends Date {
    #zone = '+02:00';

    toJSON() {
      return `${super.toISOString()}${this.#zone}`;
    }
  }

  class Hidden {
    #secret = 'kept';

    toJSON() {
      return { shown: this.#secret };
    }
  }

  /** Named values that know how they are written. */
  const WRITTEN = {
    'a list with a toJSON': () => Object.assign([1, 2], { toJSON: () => 'list' }),
    'a toJSON that takes the name': () => ({ toJSON: (name) => `of ${name}` }),
    'a toJSON that gives back its object': () => ({
      a: 1,
      toJSON() {
        return this;
      },
    }),
    'a toJSON that gives back one that has it too': () => ({
      a: 1,
      toJSON() {
        return { ...this, b: 2 };
      },
    }),
    'a toJSON that gives back a Date': () => ({ toJSON: () => new Date(BIRTHDAY) }),
    'a toJSON that gives back nothing': () => ({ toJSON: () => undefined }),
    'a function with a toJSON': () => Object.assign(() => {}, { toJSON: () => 'called' }),
    'a Date of a class with a toJSON of its own': () => new Reserved(BIRTHDAY),
    'an object with private members': () => new Hidden(),
    'a Date that is none': () => new Date(Number.NaN),
    'a list with holes': () => [1, , 3],
    'a boxed text': () => Object('boxed'),
    'a URL': () => new URL('https://example.com/a?b=c'),
    'a URLSearchParams': () => new URLSearchParams('a=b'),
    'numbers of a typed array': () => new Uint8Array([1, 2]),
    'a member called __proto__': () => JSON.parse('{"__proto__":{"a":1},"b":2}'),
    'an object without a prototype': () => Object.assign(Object.create(null), { a: 1 }),
    'a Map with members': () => Object.assign(new Map([[1, 2]]), { a: 1 }),
    'a Map that holds itself': () => {
      const map = new Map();
      return map.set('self', map);
    },
    'a symbol': () => Symbol('s'),
  };

  for (const [what, make] of Object.entries(WRITTEN)) {
    test(`${what} is sent the same, whoever looks`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const params = () => ({ ...MINIMAL.track, properties: { value: make(), list: [make()] } });
      const expected = JSON.parse(JSON.stringify(params().properties));
      analytics.track(params());
      analytics.track(params(), () => {});
      analytics.on('track', () => {});
      analytics.track(params());
      await analytics.flush();
      await analytics.register(plugin('before', () => {}));
      analytics.track(params());
      await analytics.flush();
      assert.deepEqual(
        segment.events.map(({ properties }) => properties),
        Array(4).fill(expected),
      );
    });
  }
});

describe('events that were not delivered', () => {
  test('error listeners are shown what was passed', async (t) => {
    const { analytics } = await startPair(t, SETTINGS, { faults: [{ status: 400 }, { status: 400 }] });
    const failing = next(analytics, 'error');
    analytics.on('track', () => {});
    analytics.track({ ...MINIMAL.track, properties: passed() });
    const [{ ctx }] = await failing;
    assertAsPassed(ctx.event.properties);
    assert.ok(ctx.event.timestamp instanceof Date);
  });

  test('error listeners are shown a Date as timestamp though nobody waits for the event', async (t) => {
    const { analytics } = await startPair(t, SETTINGS, { faults: [{ status: 400 }, { status: 400 }] });
    const failing = next(analytics, 'error');
    analytics.track({ ...MINIMAL.track, properties: { a: 1 } });
    const [{ ctx }] = await failing;
    assert.ok(ctx.event.timestamp instanceof Date);
  });
});

describe('with redact', () => {
  test('paths reach into what was passed, and the others are shown as passed', async (t) => {
    const redact = ['properties.ssn', 'properties.user.ssn', 'properties.map.ssn', 'properties.all.*.ssn'];
    const { analytics, segment } = await startPair(t, { ...SETTINGS, redact });
    const holder = () => Object.assign(new Money(1), { ssn: '123' });
    const properties = {
      ssn: '123',
      date: new Date(BIRTHDAY),
      user: holder(),
      map: new Map([['ssn', '123']]),
      all: new Map([['a', holder()]]),
    };
    const [, { event }] = await settled(analytics, 'track', { ...MINIMAL.track, properties });
    const { ssn, date, user, map, all } = event.properties;
    const hidden = '[redacted]';
    assert.deepEqual([ssn, user.ssn, map.get('ssn'), all.get('a').ssn], Array(4).fill(hidden));
    assert.deepEqual(date, BIRTHDAY);
    assert.deepEqual(
      [properties.user.ssn, properties.map.get('ssn'), properties.all.get('a').ssn],
      Array(3).fill('123'),
    );
    assert.equal(segment.events[0].properties.user.ssn, hidden);
  });

  test('a function sees the event as it is written, and the timestamp is a Date for everybody else', async (t) => {
    const seen = [];
    const redact = (event) => {
      seen.push(typeof event.timestamp);
      delete event.properties.ssn;
    };
    const { analytics, segment } = await startPair(t, { ...SETTINGS, redact });
    const params = { ...MINIMAL.track, properties: { ssn: '123', kept: 1 } };
    const [, { event }] = await settled(analytics, 'track', params);
    assert.deepEqual(seen, ['string']);
    assert.ok(event.timestamp instanceof Date);
    assert.deepEqual([event.properties, segment.events[0].properties], [{ kept: 1 }, { kept: 1 }]);
  });
});
