import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  METHODS,
  MINIMAL,
  assertRefused,
  counted,
  failuresOf,
  settled,
  startClient,
} from './support/clients.mjs';
import { startCollector } from './support/collector.mjs';

const CANARY = 'canary-ssn-078-05-1120';
const GONE = '[redacted]';

/** Tracks with `redact`; returns the event as it came, having looked for the canary in every byte. */
async function sent(t, redact, method, params) {
  const collector = await startCollector(t);
  const analytics = startClient(t, collector, { redact, gzip: false });
  const heard = [];
  for (const event of ['http_request', 'http_response', method])
    analytics.on(event, (told) => heard.push(told));
  const copy = structuredClone(params);
  assert.equal(analytics[method](params), true);
  assert.deepEqual(params, copy, "the caller's objects stay as they were");
  await analytics.flush();
  assert.equal(heard.length, 3);
  const [{ body, json }] = collector.requests;
  for (const text of [body.toString(), JSON.stringify(heard)]) assert.ok(!text.includes(CANARY), text);
  return json.batch[0];
}
const track = (properties, more) => ({ ...MINIMAL.track, ...more, properties });

describe('paths', () => {
  for (const [what, redact, properties, expected] of [
    ['a member', ['properties.ssn'], { ssn: CANARY, a: 1 }, { ssn: GONE, a: 1 }],
    [
      'a member inside',
      ['properties.user.ssn'],
      { user: { ssn: CANARY, a: 1 } },
      { user: { ssn: GONE, a: 1 } },
    ],
    ['a whole object', ['properties.user'], { user: { ssn: CANARY } }, { user: GONE }],
    ['a whole array', ['properties.list'], { list: [CANARY] }, { list: GONE }],
    [
      'all members of an object',
      ['properties.user.*'],
      { user: { a: CANARY, b: 1 } },
      { user: { a: GONE, b: GONE } },
    ],
    [
      'a member of every element',
      ['properties.list.*.ssn'],
      { list: [{ ssn: CANARY }, { a: 1, ssn: CANARY }] },
      { list: [{ ssn: GONE }, { a: 1, ssn: GONE }] },
    ],
    [
      'a member of every member',
      ['properties.*.ssn'],
      { a: { ssn: CANARY }, b: { ssn: CANARY }, c: 1 },
      { a: { ssn: GONE }, b: { ssn: GONE }, c: 1 },
    ],
    ['an element by its number', ['properties.list.1'], { list: [1, CANARY, 3] }, { list: [1, GONE, 3] }],
    [
      'everything',
      ['properties.*'],
      { a: CANARY, b: { c: CANARY }, d: [CANARY] },
      { a: GONE, b: GONE, d: GONE },
    ],
    [
      'several paths',
      ['properties.a', 'properties.b.c'],
      { a: CANARY, b: { c: CANARY } },
      { a: GONE, b: { c: GONE } },
    ],
    [
      'values of every kind',
      ['properties.*'],
      { a: null, b: 0, c: '', d: false, e: new Date(0) },
      { a: GONE, b: GONE, c: GONE, d: GONE, e: GONE },
    ],
    [
      'what a toJSON writes',
      ['properties.o.ssn'],
      { o: { toJSON: undefined, ssn: CANARY } },
      { o: { ssn: GONE } },
    ],
    [
      'a member named __proto__',
      ['properties.__proto__'],
      JSON.parse(`{"__proto__":"${CANARY}"}`),
      JSON.parse(`{"__proto__":"${GONE}"}`),
    ],
    [
      'nothing where nothing is',
      ['properties.none', 'properties.a.b.c', 'traits.x', 'properties.constructor', 'properties.__proto__.x'],
      { a: 1 },
      { a: 1 },
    ],
    ['nothing that is inherited', ['properties.toString', 'properties.constructor.name'], { a: 1 }, { a: 1 }],
    ['nothing without paths', [], { a: 1 }, { a: 1 }],
  ]) {
    test(`take out ${what}`, async (t) => {
      const event = await sent(t, redact, 'track', track(properties));
      assert.deepEqual(event.properties, expected);
      assert.equal(event.event, 'Ordered');
    });
  }

  test('reach traits, context, ids and names of every kind of event', async (t) => {
    const redact = ['traits.*', 'properties.*', 'context.ip', 'context.page.*', 'anonymousId', 'name'];
    for (const method of METHODS) {
      const secret = { ssn: CANARY };
      const context = { ip: CANARY, page: { url: CANARY }, locale: 'de' };
      const params = {
        ...MINIMAL[method],
        traits: secret,
        properties: secret,
        context,
        anonymousId: CANARY,
        name: CANARY,
      };
      const event = await sent(t, redact, method, params);
      assert.deepEqual(
        [event.context.ip, event.context.page, event.context.locale],
        [GONE, { url: GONE }, 'de'],
      );
      assert.equal(event.context.library.name, '@companion/segment');
      assert.deepEqual(event.traits ?? event.properties ?? {}, method === 'alias' ? {} : { ssn: GONE });
    }
  });

  test('apply before plugins see the event', async (t) => {
    const collector = await startCollector(t);
    const analytics = startClient(t, collector, { redact: ['properties.ssn'] });
    const seen = [];
    const see = ({ event }) => void seen.push(JSON.stringify(event));
    await analytics.register({
      name: 'see',
      type: 'before',
      isLoaded: () => true,
      load: async () => {},
      track: see,
    });
    analytics.track(track({ ssn: CANARY }));
    await analytics.flush();
    assert.equal(seen.length, 1);
    assert.ok(!seen[0].includes(CANARY));
  });
});

describe('a function', () => {
  test('gives the event that is sent, of a copy of what was given', async (t) => {
    const seen = [];
    const redact = (event) => {
      seen.push(structuredClone(event));
      return { ...event, properties: { kept: event.properties.kept } };
    };
    const event = await sent(t, redact, 'track', track({ ssn: CANARY, kept: 1 }, { context: { ip: '::1' } }));
    assert.deepEqual(event.properties, { kept: 1 });
    const [{ messageId, timestamp, ...given }] = seen;
    assert.deepEqual([messageId, timestamp], [event.messageId, event.timestamp]);
    assert.deepEqual(given, {
      type: 'track',
      userId: 'u1',
      event: 'Ordered',
      properties: { ssn: CANARY, kept: 1 },
      context: { ip: '::1' },
      integrations: {},
    });
  });

  test('may change its copy and give nothing back', async (t) => {
    const redact = (event) => {
      delete event.properties.ssn;
      event.properties.list.length = 0;
    };
    const event = await sent(t, redact, 'track', track({ ssn: CANARY, list: [CANARY] }));
    assert.deepEqual(event.properties, { list: [] });
  });

  for (const [what, redact, field] of [
    [
      'throws',
      () => {
        throw new Error(CANARY);
      },
      'redact',
    ],
    ['is asynchronous', async (event) => event, '.type'],
    ['gives text', () => CANARY, 'The event'],
    ['gives an array', () => [CANARY], '.type'],
    ['gives an event without a type', ({ type: _type, ...event }) => event, '.type'],
    ['gives an event of an unknown type', (event) => ({ ...event, type: CANARY }), '.type'],
    ['gives a context of text', (event) => ({ ...event, properties: {}, context: 'text' }), '.context'],
    ['gives a messageId that is a number', (event) => ({ ...event, messageId: 5 }), '.messageId'],
    ['takes out the type by path', ['type'], '.type'],
    ['takes out the whole context by path', ['properties', 'context'], '.context'],
  ]) {
    test(`that ${what}: the event is refused, and nothing of it is told or sent`, async (t) => {
      const collector = await startCollector(t);
      const analytics = startClient(t, collector, { redact });
      const params = track({ ssn: CANARY }, { context: { ip: '::1' } });
      const { reason, ctx } = assertRefused(analytics, () => analytics.track(params), 'ERR_VALIDATION');
      assert.equal(reason.field, field);
      assert.ok(!`${reason.stack}${JSON.stringify(reason)}`.includes(CANARY));
      assert.ok(!JSON.stringify(ctx).includes(CANARY));
      assert.deepEqual(counted(analytics.stats().refused), { invalid: 1 });
      await analytics.flush();
      assert.equal(collector.requests.length, 0);
    });
  }

  test('whose event can not be written: refused', async (t) => {
    const analytics = startClient(t, await startCollector(t), {
      redact: (event) => ({ ...event, properties: { n: 5n } }),
    });
    assertRefused(analytics, () => analytics.track(MINIMAL.track), 'ERR_NOT_SERIALIZABLE');
    const large = startClient(t, await startCollector(t), {
      redact: (event) => ({ ...event, event: 'x'.repeat(40_000) }),
    });
    assertRefused(large, () => large.track(MINIMAL.track), 'ERR_EVENT_TOO_LARGE');
  });

  test('may make an event small enough', async (t) => {
    const redact = (event) => ({ ...event, properties: {} });
    const event = await sent(t, redact, 'track', track({ filler: CANARY.repeat(5_000) }));
    assert.deepEqual(event.properties, {});
  });
});

test('what is told of a failure is redacted too', async (t) => {
  const collector = await startCollector(t, [{ status: 401 }]);
  const analytics = startClient(t, collector, { redact: ['properties.ssn'] });
  const failures = failuresOf(analytics);
  const settling = settled(analytics, 'track', track({ ssn: CANARY }));
  analytics.track(track({ ssn: CANARY, filler: 'x'.repeat(40_000) }));
  analytics.track(track({ ssn: CANARY }, { timestamp: 'nope' }));
  await analytics.flush();
  const [, context] = await settling;
  analytics.track(track({ ssn: CANARY }));
  const { unflushed } = await analytics.closeAndFlush({ timeout: 0 });
  assert.equal(failures.length, 4);
  assert.equal(unflushed.length, 1);
  for (const told of [context, unflushed, ...failures]) assert.ok(!JSON.stringify(told).includes(CANARY));
});
