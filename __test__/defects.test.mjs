/** What analytics-node does to events, and what this package does instead: both, side by side. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Analytics as Peer } from '@segment/analytics-node';

import {
  KEY,
  MINIMAL,
  NEVER_MS,
  assertRefused,
  counted,
  failuresOf,
  messageIdsOf,
  settled,
  startClient,
  startSegment,
} from './support/clients.mjs';

/** For events that theirs forgets: the timer of the batch that stays empty ends only by itself. */
const SOON = { flushInterval: 100 };
const KIB = 1_024;
/** Segment's limit for one request. */
const MOST_BYTES = 500 * KIB;

/** analytics-node, as {@link startClient} has it. */
function startPeer(t, segment, settings) {
  const more = { flushAt: 2_500, flushInterval: NEVER_MS, maxRetries: 0, ...settings };
  const peer = new Peer({ writeKey: KEY, host: segment.url, ...more });
  t.after(() => peer.closeAndFlush({ timeout: 1 }));
  return peer;
}

/** Each client on a Segment of its own. */
async function startBoth(t, { settings, options } = {}) {
  const theirs = await startSegment(t, options);
  const ours = await startSegment(t, options);
  return {
    peer: startPeer(t, theirs, settings),
    theirs,
    analytics: startClient(t, ours, { maxRetries: 0, ...settings }),
    ours,
  };
}

const tracked = (index, properties = {}) => ({ ...MINIMAL.track, messageId: `m${index}`, properties });
const idsTo = (count) => Array.from({ length: count }, (_, index) => `m${index}`);

test('an event of 1 MiB: theirs sends it, and its neighbours are lost with it; ours refuses it, and its neighbours arrive', async (t) => {
  const { peer, theirs, analytics, ours } = await startBoth(t);
  // Their check counts percent signs and the letter i.
  const large = tracked(1, { text: 'x'.repeat(KIB * KIB) });

  const failed = failuresOf(peer);
  peer.track(tracked(0));
  peer.track(large);
  peer.track(tracked(2));
  await peer.flush();
  assert.deepEqual([theirs.requestCount, theirs.eventCount, failed.length], [1, 0, 3]);
  assert.ok(theirs.bytesRaw > KIB * KIB, `${theirs.bytesRaw} bytes`);

  analytics.track(tracked(0));
  assertRefused(analytics, () => analytics.track(large), 'ERR_EVENT_TOO_LARGE');
  analytics.track(tracked(2));
  assert.equal((await analytics.flush()).delivered, 2);
  assert.deepEqual(messageIdsOf(ours.events), ['m0', 'm2']);
});

test('40 events of 30 KiB: theirs puts them into one request that Segment refuses; ours into requests it takes', async (t) => {
  const { peer, theirs, analytics, ours } = await startBoth(t, { settings: { flushAt: 40 } });
  const events = idsTo(40).map((_, index) => tracked(index, { text: 'x'.repeat(30 * KIB) }));

  const failed = failuresOf(peer);
  for (const event of events) peer.track(event);
  await peer.flush();
  assert.deepEqual([theirs.requestCount, theirs.eventCount, failed.length], [1, 0, 40]);
  assert.ok(theirs.bytesRaw > 2 * MOST_BYTES, `${theirs.bytesRaw} bytes`);

  for (const event of events) analytics.track(event);
  assert.equal((await analytics.flush()).delivered, 40);
  assert.deepEqual(messageIdsOf(ours.events).toSorted(), idsTo(40).toSorted());
  assert.ok(Math.max(...ours.requests.map(({ bytesRaw }) => bytesRaw)) <= MOST_BYTES);
});

const circular = {};
circular.self = circular;
for (const [what, properties] of [
  ['a BigInt', { total: 5n }],
  ['a circle', circular],
  [
    'a toJSON that throws',
    {
      toJSON: () => {
        throw new Error('boom');
      },
    },
  ],
]) {
  test(`an event with ${what}: theirs reports success and sends nothing; ours refuses it`, async (t) => {
    const { peer, theirs, analytics, ours } = await startBoth(t, { settings: SOON });
    const failed = failuresOf(peer);
    const delivered = [];
    peer.on('track', (context) => delivered.push(context.event.messageId));
    const [error] = await settled(peer, 'track', tracked(0, properties));
    await peer.flush();
    assert.deepEqual([error, failed, delivered, theirs.requestCount], [undefined, [], ['m0'], 0]);

    assertRefused(analytics, () => analytics.track(tracked(0, properties)), 'ERR_NOT_SERIALIZABLE');
    const settling = settled(analytics, 'track', tracked(1, properties));
    await analytics.flush();
    const [refusal] = await settling;
    assert.deepEqual([refusal.code, ours.requestCount], ['ERR_NOT_SERIALIZABLE', 0]);
  });
}

test('context.library of null: theirs reports success and sends nothing; ours sends the event', async (t) => {
  const { peer, theirs, analytics, ours } = await startBoth(t, { settings: SOON });
  const event = { ...tracked(0), context: { library: null } };
  const [error] = await settled(peer, 'track', event);
  await peer.flush();
  assert.deepEqual([error, theirs.requestCount], [undefined, 0]);

  analytics.track({ ...tracked(0), context: { library: null } });
  assert.equal((await analytics.flush()).delivered, 1);
  assert.equal(ours.events[0].context.library.name, '@companion/segment');
});

test('the context of the caller: theirs writes into it; ours leaves it alone', async (t) => {
  const { peer, theirs, analytics, ours } = await startBoth(t);
  const shared = { ip: '192.0.2.1' };
  peer.track({ ...tracked(0), context: shared });
  await peer.flush();
  assert.equal(shared.library.name, '@segment/analytics-node');

  const own = Object.freeze({ ip: '192.0.2.1' });
  analytics.track({ ...tracked(0), context: own });
  await analytics.flush();
  assert.deepEqual(own, { ip: '192.0.2.1' });
  // Frozen: theirs then sends no library at all.
  peer.track({ ...tracked(1), context: own });
  await peer.flush();
  assert.equal(theirs.events[1].context.library, undefined);
  assert.equal(ours.events[0].context.library.name, '@companion/segment');
});

test('properties that change after the call: theirs sends the change; ours what was tracked', async (t) => {
  const { peer, theirs, analytics, ours } = await startBoth(t);
  const cart = { items: 1 };
  peer.track(tracked(0, cart));
  analytics.track(tracked(0, cart));
  cart.items = 2;
  await Promise.all([peer.flush(), analytics.flush()]);
  assert.deepEqual([theirs.events[0].properties, ours.events[0].properties], [{ items: 2 }, { items: 1 }]);
});

test('an event sent at the second attempt: theirs makes JSON of it three times; ours once', async (t) => {
  const options = { faults: [{ status: 503 }] };
  const { peer, theirs, analytics, ours } = await startBoth(t, { settings: { maxRetries: 1 }, options });
  const counting = () => {
    const counter = { times: 0 };
    counter.properties = { toJSON: () => ({ times: (counter.times += 1) }) };
    return counter;
  };
  const [their, our] = [counting(), counting()];
  peer.track(tracked(0, their.properties));
  analytics.track(tracked(0, our.properties));
  await Promise.all([peer.flush(), analytics.flush()]);
  assert.deepEqual([theirs.requestCount, theirs.eventCount, their.times], [2, 1, 3]);
  assert.deepEqual([ours.requestCount, ours.eventCount, our.times], [2, 1, 1]);
});

test('one event that Segment refuses: theirs loses its 14 neighbours; ours loses it alone', async (t) => {
  const poison = ({ messageId }) => messageId === 'm7';
  const { peer, theirs, analytics, ours } = await startBoth(t, {
    settings: { flushAt: 15 },
    options: { poison },
  });
  const failed = failuresOf(peer);
  for (let index = 0; index < 15; index += 1) peer.track(tracked(index));
  await peer.flush();
  assert.deepEqual([theirs.eventCount, failed.length], [0, 15]);

  const failures = failuresOf(analytics);
  for (let index = 0; index < 15; index += 1) analytics.track(tracked(index));
  const { delivered, dropped } = await analytics.flush();
  assert.deepEqual([delivered, counted(dropped)], [14, { rejected: 1 }]);
  assert.deepEqual(messageIdsOf(failures.map(({ ctx }) => ctx.event)), ['m7']);
  assert.deepEqual(
    messageIdsOf(ours.events).toSorted(),
    idsTo(15)
      .filter((id) => id !== 'm7')
      .toSorted(),
  );
});

for (const [what, fault] of [
  ['a redirect', { redirect: { location: '/health' } }],
  ['304', { status: 304, body: '' }],
]) {
  test(`${what}: theirs reports success, though nobody has the event; ours a failure`, async (t) => {
    const { peer, theirs, analytics, ours } = await startBoth(t, { options: { faults: [fault] } });
    const settling = settled(peer, 'track', tracked(0));
    await peer.flush();
    const [error] = await settling;
    assert.deepEqual([error, theirs.eventCount], [undefined, 0]);

    analytics.track(tracked(0));
    const { delivered, dropped } = await analytics.flush();
    assert.deepEqual([delivered, counted(dropped), ours.eventCount], [0, { redirect: 1 }, 0]);
  });
}
