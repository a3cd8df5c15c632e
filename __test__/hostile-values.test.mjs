import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { AnalyticsError } from '@companion/segment';

import {
  MINIMAL,
  assertConserved,
  assertRefused,
  counted,
  messageIdsOf,
  startPair,
} from './support/clients.mjs';

/** Nothing of what was thrown, or given, may be in an error. */
const CANARY = 'canary-7f3a';
const fail = () => {
  throw new Error(CANARY);
};
const withProperties = (properties) => ({ ...MINIMAL.track, properties });
const throwing = (traps) => new Proxy({}, Object.fromEntries(traps.map((trap) => [trap, fail])));

function nested(depth, open = (inner) => ({ [CANARY]: inner })) {
  let value = open(CANARY);
  for (let level = 1; level < depth; level += 1) value = open(value);
  return value;
}

function revoked() {
  const { proxy, revoke } = Proxy.revocable({ userId: 'u1' }, {});
  revoke();
  return proxy;
}

function cyclic() {
  const cycle = { name: CANARY, list: [] };
  cycle.list.push({ back: cycle });
  return cycle;
}

/** With the event itself, `properties` is the second level. */
const LEVELS_OF_PROPERTIES = 99;

const REFUSED = [
  ['a BigInt', () => withProperties({ total: 5n }), 'ERR_NOT_SERIALIZABLE', 'properties.total'],
  [
    'a BigInt in an array',
    () => withProperties({ a: [1, { b: 5n }] }),
    'ERR_NOT_SERIALIZABLE',
    'properties.a[1].b',
  ],
  [
    'a BigInt in the context',
    () => ({ ...MINIMAL.track, context: { n: 5n } }),
    'ERR_NOT_SERIALIZABLE',
    'context.n',
  ],
  [
    'a BigInt as integrations',
    () => ({ ...MINIMAL.track, integrations: 5n }),
    'ERR_NOT_SERIALIZABLE',
    'integrations',
  ],
  [
    'a BigInt as anonymousId',
    () => ({ ...MINIMAL.track, anonymousId: 5n }),
    'ERR_VALIDATION',
    '.anonymousId',
  ],
  ['a cycle', () => withProperties(cyclic()), 'ERR_NOT_SERIALIZABLE', 'properties.list[0].back'],
  [
    'a getter that throws',
    () =>
      withProperties({
        get a() {
          return fail();
        },
      }),
    'ERR_NOT_SERIALIZABLE',
    'properties.a',
  ],
  [
    'a toJSON that throws',
    () => withProperties({ a: { toJSON: fail } }),
    'ERR_NOT_SERIALIZABLE',
    'properties.a',
  ],
  [
    'a toJSON that gives a BigInt',
    () => withProperties({ a: { toJSON: () => 5n } }),
    'ERR_NOT_SERIALIZABLE',
    'properties.a',
  ],
  [
    'a getter of the parameters that throws',
    () => ({
      userId: 'u1',
      get event() {
        return fail();
      },
    }),
    'ERR_NOT_SERIALIZABLE',
    'event',
  ],
  [
    'a getter of the identity that throws',
    () => ({
      event: 'e',
      get userId() {
        return fail();
      },
    }),
    'ERR_NOT_SERIALIZABLE',
    'userId',
  ],
  [
    'a context whose toJSON throws',
    () => ({ ...MINIMAL.track, context: { toJSON: fail } }),
    'ERR_NOT_SERIALIZABLE',
    'context',
  ],
  ['parameters that are a revoked Proxy', revoked, 'ERR_NOT_SERIALIZABLE', undefined],
  [
    'properties that are a revoked Proxy',
    () => withProperties(revoked()),
    'ERR_NOT_SERIALIZABLE',
    'properties',
  ],
  ['a revoked Proxy inside', () => withProperties({ a: revoked() }), 'ERR_NOT_SERIALIZABLE', 'properties.a'],
  [
    'a context that is a revoked Proxy',
    () => ({ ...MINIMAL.track, context: revoked() }),
    'ERR_NOT_SERIALIZABLE',
    'context',
  ],
  [
    'a Proxy that hides its keys',
    () => withProperties({ a: throwing(['ownKeys']) }),
    'ERR_NOT_SERIALIZABLE',
    'properties.a',
  ],
  [
    'a Proxy that refuses to be read',
    () => withProperties({ a: throwing(['get']) }),
    'ERR_NOT_SERIALIZABLE',
    'properties.a',
  ],
  [
    '101 levels of objects',
    () => withProperties(nested(LEVELS_OF_PROPERTIES + 1)),
    'ERR_NOT_SERIALIZABLE',
    undefined,
  ],
  [
    '101 levels of arrays',
    () => withProperties({ a: nested(LEVELS_OF_PROPERTIES, (inner) => [inner]) }),
    'ERR_NOT_SERIALIZABLE',
    undefined,
  ],
  ['20,000 levels of objects', () => withProperties(nested(20_000)), 'ERR_NOT_SERIALIZABLE', undefined],
  [
    '20,000 levels of arrays',
    () => withProperties({ a: nested(20_000, (inner) => [inner]) }),
    'ERR_NOT_SERIALIZABLE',
    undefined,
  ],
  [
    '20,000 levels in the context',
    () => ({ ...MINIMAL.track, context: nested(20_000) }),
    'ERR_NOT_SERIALIZABLE',
    undefined,
  ],
  [
    'endless levels made by toJSON',
    () => withProperties({ a: endless() }),
    'ERR_NOT_SERIALIZABLE',
    undefined,
  ],
  ['a text of 1 MB', () => withProperties({ a: CANARY.repeat(95_326) }), 'ERR_EVENT_TOO_LARGE', undefined],
  [
    'an event name of 1 MB',
    () => ({ userId: 'u1', event: CANARY.repeat(95_326) }),
    'ERR_EVENT_TOO_LARGE',
    undefined,
  ],
  [
    'a text of 1 MB in the context',
    () => ({ ...MINIMAL.track, context: { a: CANARY.repeat(95_326) } }),
    'ERR_EVENT_TOO_LARGE',
    undefined,
  ],
  [
    'a million small members',
    () => withProperties({ a: Array.from({ length: 1_000_000 }, () => 1) }),
    'ERR_EVENT_TOO_LARGE',
    undefined,
  ],
  [
    'a String object as context',
    () => ({ ...MINIMAL.track, context: new String(`${CANARY}}`) }),
    'ERR_VALIDATION',
    '.context',
  ],
  [
    'a Number object as context',
    () => ({ ...MINIMAL.track, context: new Number(5) }),
    'ERR_VALIDATION',
    '.context',
  ],
  [
    'a Boolean object as context',
    () => ({ ...MINIMAL.track, context: new Boolean(true) }),
    'ERR_VALIDATION',
    '.context',
  ],
];

function endless() {
  return { toJSON: () => ({ next: endless() }) };
}

describe('what can not be sent is refused alone', () => {
  for (const [way, settings] of [
    ['', {}],
    [' on the way through redact', { redact: ['properties.none'] }],
  ]) {
    for (const [what, make, code, field] of REFUSED) {
      test(`${what}${way}: false and ${code}, neighbours delivered, no value in the error`, async (t) => {
        const { analytics, segment } = await startPair(t, settings);
        assert.equal(analytics.track({ ...MINIMAL.track, messageId: 'before' }), true);
        const params = make();
        const { reason, ctx } = assertRefused(analytics, () => analytics.track(params), code);
        assert.equal(reason.field, field);
        assert.ok(reason instanceof AnalyticsError);
        assert.equal(ctx.event.type, 'track');
        await assert.rejects(analytics.deliver.track(params), { code });
        assert.equal(analytics.track({ ...MINIMAL.track, messageId: 'after' }), true);
        const report = await analytics.flush();
        assert.deepEqual([report.accepted, report.delivered], [2, 2]);
        assert.deepEqual(messageIdsOf(segment.events), ['before', 'after']);
        const counter =
          { ERR_EVENT_TOO_LARGE: 'event_too_large', ERR_VALIDATION: 'invalid' }[code] ?? 'not_serializable';
        assert.deepEqual(counted(analytics.stats().refused), { [counter]: 2 });
        assertConserved(analytics.stats());
        assert.ok(reason.message.length < 300);
        // Keys may be named, so that the place can be found; `nested` uses the canary as its key.
        if (!what.includes('levels'))
          assert.ok(!`${reason.message}${reason.stack}`.includes(CANARY), inspect(reason));
      });
    }
  }

  test('all of them between good events cost no good event', async (t) => {
    const { analytics, segment } = await startPair(t);
    for (const [index, [, make]] of REFUSED.entries()) {
      assert.equal(analytics.track({ ...MINIMAL.track, messageId: `m${index}` }), true);
      assert.equal(analytics.track(make()), false);
    }
    const { delivered } = await analytics.flush();
    assert.equal(delivered, REFUSED.length);
    assert.equal(new Set(messageIdsOf(segment.events)).size, REFUSED.length);
  });

  test('100 levels are delivered', async (t) => {
    const { analytics, segment } = await startPair(t);
    const deep = nested(LEVELS_OF_PROPERTIES);
    const brackets = { text: '[{'.repeat(500) };
    assert.equal(analytics.track(withProperties(deep)), true);
    assert.equal(analytics.track(withProperties(brackets)), true);
    await analytics.flush();
    assert.deepEqual(segment.events[0].properties, deep);
    assert.deepEqual(segment.events[1].properties, brackets);
  });
});
