/**
 * The same calls to `@segment/analytics-node` and to this package: the same exceptions, the same events. Our texts may say
 * more after theirs.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics as Peer } from '@segment/analytics-node';

import { KEY, METHODS, MINIMAL, startClient } from './support/clients.mjs';
import { startCollector } from './support/collector.mjs';

const IDS = [undefined, null, '', 'u1', 5, {}];
const SHAPES = [undefined, null, {}, { a: 1 }, [], 'text', 5, new Date(0), new Map(), Object.create(null)];

function* cases(method) {
  const second = { alias: 'previousId', group: 'groupId' }[method] ?? 'anonymousId';
  const detail = { identify: 'traits', group: 'traits' }[method] ?? 'properties';
  // Without a userId, alias() of analytics-node loses messageId, context and timestamp; ours does not.
  for (const userId of method === 'alias' ? IDS.slice(1) : IDS) {
    for (const id of IDS) {
      for (const messageId of [undefined, null, '', 'm1', 0, 5, true]) {
        for (const shape of SHAPES)
          yield { ...MINIMAL[method], userId, [second]: id, messageId, [detail]: shape };
      }
    }
  }
  if (method !== 'track') return;
  for (const event of [undefined, null, '', 'e', 5, {}, []]) {
    for (const properties of SHAPES) {
      for (const messageId of ['m1', 5]) yield { userId: 'u1', event, properties, messageId };
    }
  }
}

function outcome(analytics, method, params) {
  try {
    analytics[method](params);
    return 'taken';
  } catch (error) {
    return { message: error.message, field: error.field };
  }
}

/** The outcome with as much of its text as the expected one has. */
function begun(result, { message = '' }) {
  return result === 'taken' ? result : { ...result, message: result.message.slice(0, message.length) };
}

describe('validation', () => {
  for (const method of METHODS) {
    test(`${method} throws what analytics-node throws, in the same order of checks`, async (t) => {
      const peer = new Peer({ writeKey: KEY, disable: true, flushAt: 2_500 });
      t.after(() => peer.closeAndFlush());
      const { url } = await startCollector(t);
      const ours = startClient(t, { url }, { disable: true });
      const outcomes = new Set();
      for (const params of cases(method)) {
        const expected = outcome(peer, method, params);
        assert.deepEqual(begun(outcome(ours, method, params), expected), expected);
        outcomes.add(JSON.stringify(expected));
      }
      assert.ok(outcomes.size >= 4, 'the cases meet every check');
    });
  }
});

const NEW_YEAR = '2020-01-01T00:00:00.000Z';
const CALLS = [
  ['track', { userId: 'u1', event: 'e', properties: { a: 1, at: new Date(0), n: Number.NaN, u: undefined } }],
  ['track', { userId: null, anonymousId: 'a1', event: 'e', properties: null }],
  [
    'track',
    { userId: 'u1', anonymousId: '', event: 'e', context: { ip: '1' }, integrations: { All: false } },
  ],
  ['track', { userId: 'u1', event: 'e', timestamp: NEW_YEAR, messageId: 'm1', extra: 1, type: 'x' }],
  ['track', { userId: 'u1', event: 'e', context: { library: { name: 'mine' }, ip: '1' } }],
  ['identify', { userId: 'u1' }],
  ['identify', { userId: '', anonymousId: 'a1', traits: null }],
  ['identify', { anonymousId: 'a1', traits: { email: 'a@b.example', createdAt: new Date(0) } }],
  ['page', { userId: 'u1', category: 'c', name: 'n', properties: { category: 'other', a: 1 } }],
  ['page', { userId: 'u1', category: null, name: null }],
  ['page', { userId: 'u1', category: '', name: '' }],
  ['page', { userId: 'u1', properties: 'ab' }],
  ['screen', { userId: 'u1', category: 'c', name: 'n', properties: { a: 1 } }],
  ['screen', { userId: 'u1', category: null, name: 'n' }],
  ['group', { groupId: 'g1', anonymousId: 'a1' }],
  ['group', { groupId: 'g1', userId: 'u1', traits: { plan: 'pro' } }],
  ['alias', { userId: 'u1', previousId: 'p1' }],
];

/** An event without what is meant to differ. */
function comparable({ messageId, timestamp, context, _metadata, ...rest }) {
  const isGiven = messageId === 'm1' && { messageId };
  const { library, ...facts } = context;
  assert.equal(typeof library.name, 'string');
  assert.equal(_metadata.jsRuntime, 'node');
  assert.equal(_metadata.nodeVersion, process.version);
  return { ...rest, ...isGiven, context: facts, timestamp: timestamp.startsWith('2020') && timestamp };
}

async function sentBy(t, make) {
  const collector = await startCollector(t);
  const analytics = make(collector);
  for (const [method, params] of CALLS) analytics[method](params);
  await analytics.closeAndFlush();
  const [{ json }] = await collector.take(1);
  assert.deepEqual(Object.keys(json), ['batch', 'writeKey', 'sentAt']);
  return json.batch.map(comparable);
}

/** The peer's order depends on promises; ours is the order of the calls. */
const sorted = (events) => events.map((event) => JSON.stringify(Object.entries(event).toSorted())).toSorted();

test('events have the shape that analytics-node sends', async (t) => {
  const theirs = await sentBy(t, ({ url }) => new Peer({ writeKey: KEY, host: url, flushAt: CALLS.length }));
  const ours = await sentBy(t, (collector) => startClient(t, collector));
  assert.equal(ours.length, CALLS.length);
  assert.deepEqual(sorted(ours), sorted(theirs));
});
