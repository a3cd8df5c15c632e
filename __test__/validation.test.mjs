import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AnalyticsError, ValidationError } from '@companion/segment';

import {
  METHODS,
  MINIMAL,
  assertConserved,
  assertRefused,
  counted,
  failuresOf,
  settled,
  startPair,
} from './support/clients.mjs';

const IDENTITY = '.userId/anonymousId/previousId/groupId';
const NO_OBJECTS = [
  ['an array', []],
  ['a string', 'text'],
  ['a number', 5],
  ['a boolean', true],
  ['a date', new Date(0)],
  ['a Map', new Map()],
  ['a function', () => ({})],
];
/** The last is how the text names it, where that is not how the test does. */
const NO_TEXTS = [
  ['a number', 5],
  ['not a number', Number.NaN, 'a number'],
  ['a boolean', true],
  ['an object', {}],
  ['an array', ['u1']],
  ['a String object', new String('u1'), 'an object'],
  ['a function', () => 'u1'],
  ['a symbol', Symbol('u1')],
  ['a BigInt', 5n],
];

/** Thrown out of the call, counted as invalid, told to nobody else, and the next good call works. */
async function assertThrows(t, method, params, field, problem) {
  const { analytics, segment } = await startPair(t);
  const failures = failuresOf(analytics);
  const check = (error) => {
    assert.ok(error instanceof ValidationError);
    assert.ok(error instanceof AnalyticsError);
    assert.ok(error instanceof Error);
    const { name, code, message } = error;
    assert.deepEqual(
      { name, code, message, field: error.field },
      { name: 'ValidationError', code: 'ERR_VALIDATION', message: `${field} ${problem}`, field },
    );
    return true;
  };
  const callback = () => assert.fail('a call that throws has no callback');
  assert.throws(() => analytics[method](params, callback), check);
  await assert.rejects(analytics.deliver[method](params), check);
  assert.deepEqual(counted(analytics.stats().refused), { invalid: 2 });
  assert.equal(analytics.stats().accepted, 0);
  assert.equal(analytics[method](MINIMAL[method]), true);
  const report = await analytics.flush();
  assert.deepEqual([report.accepted, report.delivered, segment.eventCount], [1, 1, 1]);
  assertConserved(analytics.stats());
  assert.deepEqual(failures, []);
}

describe('identity', () => {
  for (const method of METHODS) {
    for (const nothing of [undefined, null]) {
      test(`${method} without any id (${nothing}) throws`, async (t) => {
        const ids = { userId: nothing, anonymousId: nothing, groupId: nothing, previousId: nothing };
        await assertThrows(t, method, { ...MINIMAL[method], ...ids }, IDENTITY, 'is nil');
      });
    }
    for (const [what, value, kind = what] of NO_TEXTS) {
      test(`${method} with a userId that is ${what} throws`, async (t) => {
        const params = { ...MINIMAL[method], userId: value, anonymousId: 'a1' };
        await assertThrows(t, method, params, IDENTITY, `is not a string: userId is ${kind}`);
      });
    }
  }

  for (const method of METHODS.filter((name) => name !== 'alias')) {
    test(`${method} with an anonymousId that is a number and no userId throws`, async (t) => {
      const params = { ...MINIMAL[method], userId: undefined, anonymousId: 5 };
      await assertThrows(t, method, params, IDENTITY, 'is not a string: anonymousId is a number');
    });
  }

  test('group with a groupId that is a number and nobody else throws', async (t) => {
    await assertThrows(t, 'group', { groupId: 5 }, IDENTITY, 'is not a string: groupId is a number');
  });

  test('alias with a previousId that is a number and no userId throws', async (t) => {
    await assertThrows(t, 'alias', { previousId: 5 }, IDENTITY, 'is not a string: previousId is a number');
  });

  test('identity is checked before the shape', async (t) => {
    const params = { event: 5, properties: [], messageId: 5 };
    await assertThrows(t, 'track', params, IDENTITY, 'is nil');
    await assertThrows(t, 'identify', { traits: [], messageId: 5 }, IDENTITY, 'is nil');
    await assertThrows(t, 'group', { traits: [], messageId: 5 }, IDENTITY, 'is nil');
  });
});

describe('shape', () => {
  for (const method of METHODS) {
    for (const [what, value] of NO_TEXTS.filter(([, given]) => !Number.isNaN(given))) {
      test(`${method} with a messageId that is ${what} throws`, async (t) => {
        const params = { ...MINIMAL[method], messageId: value };
        await assertThrows(t, method, params, '.messageId', 'is not a string');
      });
    }
  }

  for (const [what, value] of [['missing', undefined], ['null', null], ...NO_TEXTS]) {
    test(`track with an event that is ${what} throws`, async (t) => {
      await assertThrows(t, 'track', { userId: 'u1', event: value }, '.event', 'is not a string');
    });
  }

  for (const [what, value] of NO_OBJECTS) {
    test(`track with properties that are ${what} throws`, async (t) => {
      const params = { ...MINIMAL.track, properties: value };
      await assertThrows(t, 'track', params, '.properties', 'is not an object');
    });
    for (const method of ['identify', 'group']) {
      test(`${method} with traits that are ${what} throws`, async (t) => {
        const params = { ...MINIMAL[method], traits: value };
        await assertThrows(t, method, params, '.traits', 'is not an object');
      });
    }
  }
});

describe('parameters', () => {
  for (const method of METHODS) {
    for (const [what, params] of [
      ['nothing', undefined],
      ['null', null],
      ['a user id', 'u1'],
      ['a number', 5],
      ['a function', () => {}],
    ]) {
      test(`${method}() with ${what} instead of an object throws`, async (t) => {
        const problem = "takes an object, for example { userId: 'user-1', ... }";
        await assertThrows(t, method, params, `${method}()`, problem);
      });
    }
  }
});

describe('accepted though odd, as in analytics-node', () => {
  for (const [what, method, params, sent] of [
    ['a null userId beside an anonymousId', 'page', { userId: null, anonymousId: 'a1' }, { userId: null }],
    ['an empty messageId', 'track', { ...MINIMAL.track, messageId: '' }, {}],
    ['a blank messageId', 'track', { ...MINIMAL.track, messageId: '\u3000 ' }, {}],
    ['null properties of a track', 'track', { ...MINIMAL.track, properties: null }, { properties: {} }],
    ['null properties of a page', 'page', { userId: 'u1', properties: null }, { properties: {} }],
    [
      'text as properties of a page',
      'page',
      { userId: 'u1', properties: 'ab' },
      { properties: { 0: 'a', 1: 'b' } },
    ],
    ['null traits of an identify', 'identify', { userId: 'u1', traits: null }, { traits: {} }],
    ['null traits of a group', 'group', { ...MINIMAL.group, traits: null }, { traits: {} }],
    [
      'properties without a prototype',
      'track',
      { ...MINIMAL.track, properties: Object.create(null) },
      { properties: {} },
    ],
    [
      'null context and integrations',
      'track',
      { ...MINIMAL.track, context: null, integrations: null },
      { integrations: {} },
    ],
    ['null as timestamp and messageId', 'track', { ...MINIMAL.track, timestamp: null, messageId: null }, {}],
  ]) {
    test(`${what} is delivered`, async (t) => {
      const { analytics, segment } = await startPair(t);
      assert.equal(analytics[method](params), true);
      const { delivered } = await analytics.flush();
      assert.equal(delivered, 1);
      const [event] = segment.events;
      assert.deepEqual({ ...event, ...sent }, event);
      assert.match(event.messageId, /^[\da-f-]{36}$/);
      assert.ok(!Number.isNaN(Date.parse(event.timestamp)));
    });
  }

  test('members that are no parameters are left out', async (t) => {
    const { analytics, segment } = await startPair(t);
    analytics.track({
      ...MINIMAL.track,
      type: 'page',
      sentAt: 'x',
      channel: 'x',
      writeKey: 'x',
      groupId: 'g1',
    });
    analytics.alias({ ...MINIMAL.alias, anonymousId: 'a2' });
    await analytics.flush();
    const members = ['_metadata', 'context', 'integrations', 'messageId', 'timestamp', 'type', 'userId'];
    assert.deepEqual(Object.keys(segment.events[0]).sort(), [...members, 'event', 'properties'].sort());
    assert.deepEqual(Object.keys(segment.events[1]).sort(), [...members, 'previousId'].sort());
    assert.equal(segment.events[0].type, 'track');
  });
});

describe('what analytics-node loses in silence is refused with an error', () => {
  const throwing = () => {
    throw new Error('canary');
  };
  for (const [what, more, field, problem] of [
    [
      'a messageId of 101 characters',
      { messageId: 'x'.repeat(101) },
      '.messageId',
      'is longer than 100 characters',
    ],
    [
      'an invalid date as timestamp',
      { timestamp: new Date(Number.NaN) },
      '.timestamp',
      'is not a valid date',
    ],
    ['text that is no date as timestamp', { timestamp: 'nope' }, '.timestamp', 'is not a valid date'],
    ['an empty timestamp', { timestamp: '' }, '.timestamp', 'is not a valid date'],
    ['NaN as timestamp', { timestamp: Number.NaN }, '.timestamp', 'is not a valid date'],
    ['true as timestamp', { timestamp: true }, '.timestamp', 'is not a valid date'],
    ['an array as timestamp', { timestamp: [2020] }, '.timestamp', 'is not a valid date'],
    ['a symbol as timestamp', { timestamp: Symbol('canary') }, '.timestamp', 'is not a valid date'],
    ['a BigInt as timestamp', { timestamp: 5n }, '.timestamp', 'is not a valid date'],
    ['a function as timestamp', { timestamp: () => 5 }, '.timestamp', 'is not a valid date'],
    ['an object as timestamp', { timestamp: Object.create(null) }, '.timestamp', 'is not a valid date'],
    [
      'a timestamp whose toJSON throws',
      { timestamp: { toJSON: throwing } },
      '.timestamp',
      'is not a valid date',
    ],
    ['text as context', { context: 'canary' }, '.context', 'is not an object'],
    ['a number as context', { context: 5 }, '.context', 'is not an object'],
    ['true as context', { context: true }, '.context', 'is not an object'],
    ['an array as context', { context: ['canary'] }, '.context', 'is not an object'],
    ['a function as context', { context: () => {} }, '.context', 'is not an object'],
    [
      'a context that writes itself as text',
      { context: { toJSON: () => 'canary' } },
      '.context',
      'is not an object',
    ],
    ['a date as context', { context: new Date(0) }, '.context', 'is not an object'],
  ]) {
    for (const [way, settings] of [
      ['', {}],
      [', also on the way through redact', { redact: ['properties.none'] }],
    ]) {
      test(`${what}: false, an error, nothing thrown, and the client goes on${way}`, async (t) => {
        const { analytics, segment } = await startPair(t, settings);
        for (const method of METHODS) {
          const call = () => analytics[method]({ ...MINIMAL[method], ...more });
          const { reason } = assertRefused(analytics, call, 'ERR_VALIDATION');
          assert.deepEqual([reason.field, reason.message], [field, `${field} ${problem}`]);
        }
        assert.deepEqual(counted(analytics.stats().refused), { invalid: METHODS.length });
        assert.equal(analytics.track(MINIMAL.track), true);
        assert.equal((await analytics.flush()).delivered, 1);
        assert.equal(segment.eventCount, 1);
      });
    }
  }

  test('a refused call reaches its callback and its promise as well', async (t) => {
    const { analytics } = await startPair(t);
    const params = { ...MINIMAL.track, messageId: 'x'.repeat(101) };
    const [error, context] = await settled(analytics, 'track', params);
    assert.deepEqual([error.code, context.event.event], ['ERR_VALIDATION', 'Ordered']);
    await assert.rejects(analytics.deliver.track(params), { code: 'ERR_VALIDATION', field: '.messageId' });
  });

  test('a messageId of 100 characters is delivered', async (t) => {
    const { analytics, segment } = await startPair(t);
    assert.equal(analytics.track({ ...MINIMAL.track, messageId: 'é'.repeat(100) }), true);
    await analytics.flush();
    assert.equal(segment.events[0].messageId, 'é'.repeat(100));
  });
});
