/** What analytics-node does to events, and what this package does instead. */
import assert from 'node:assert/strict';

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
} from '../support/clients.mjs';

/** For events that theirs forgets: the timer of the batch that stays empty ends only by itself. */
const SOON = { flushInterval: 100 };
const KIB = 1_024;
/** Segment's limit for one request. */
const MOST_BYTES = 500 * KIB;

/** analytics-node on a Segment of its own, as {@link onOurs} has it. */
async function onTheirs(t, settings, options) {
  const segment = await startSegment(t, options);
  const defaults = { flushAt: 2_500, flushInterval: NEVER_MS, maxRetries: 0 };
  const client = new Peer({ writeKey: KEY, host: segment.url, ...defaults, ...settings });
  t.after(() => client.closeAndFlush({ timeout: 1 }));
  return { client, segment };
}

async function onOurs(t, settings, options) {
  const segment = await startSegment(t, options);
  return { client: startClient(t, segment, { maxRetries: 0, ...settings }), segment };
}

const tracked = (index, properties = {}) => ({ ...MINIMAL.track, messageId: `m${index}`, properties });
const idsTo = (count) => Array.from({ length: count }, (_, index) => `m${index}`);

/** An event of 1 MiB. Their check counts percent signs and the letter i. */
const large = () => tracked(1, { text: 'x'.repeat(KIB * KIB) });
const ofThirtyKib = () => idsTo(40).map((_, index) => tracked(index, { text: 'x'.repeat(30 * KIB) }));

const circular = {};
circular.self = circular;
const unserializable = [
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
].map(([what, properties]) => ({
  what: `an event with ${what}`,
  theirs: [
    'reports success and sends nothing',
    async (t) => {
      const { client, segment } = await onTheirs(t, SOON);
      const failed = failuresOf(client);
      const delivered = [];
      client.on('track', (context) => delivered.push(context.event.messageId));
      const [error] = await settled(client, 'track', tracked(0, properties));
      await client.flush();
      assert.deepEqual([error, failed, delivered, segment.requestCount], [undefined, [], ['m0'], 0]);
    },
  ],
  ours: [
    'refuses it',
    async (t) => {
      const { client, segment } = await onOurs(t, SOON);
      assertRefused(client, () => client.track(tracked(0, properties)), 'ERR_NOT_SERIALIZABLE');
      const settling = settled(client, 'track', tracked(1, properties));
      await client.flush();
      const [refusal] = await settling;
      assert.deepEqual([refusal.code, segment.requestCount], ['ERR_NOT_SERIALIZABLE', 0]);
    },
  ],
}));

/** What is sent of properties that the caller changes after the call. */
async function sentOfChanged({ client, segment }) {
  const cart = { items: 1 };
  client.track(tracked(0, cart));
  cart.items = 2;
  await client.flush();
  return segment.events[0].properties;
}

const SECOND_ATTEMPT = [{ maxRetries: 1 }, { faults: [{ status: 503 }] }];
/** How often JSON is made of an event. */
async function timesSerialized({ client, segment }) {
  let times = 0;
  client.track(tracked(0, { toJSON: () => ({ times: (times += 1) }) }));
  await client.flush();
  assert.deepEqual([segment.requestCount, segment.eventCount], [2, 1]);
  return times;
}

const poison = ({ messageId }) => messageId === 'm7';

const answersThatAreNone = [
  ['a redirect', { redirect: { location: '/health' } }],
  ['304', { status: 304, body: '' }],
].map(([what, fault]) => ({
  what,
  theirs: [
    'reports success, though nobody has the event',
    async (t) => {
      const { client, segment } = await onTheirs(t, {}, { faults: [fault] });
      const settling = settled(client, 'track', tracked(0));
      await client.flush();
      const [error] = await settling;
      assert.deepEqual([error, segment.eventCount], [undefined, 0]);
    },
  ],
  ours: [
    'reports a failure',
    async (t) => {
      const { client, segment } = await onOurs(t, {}, { faults: [fault] });
      client.track(tracked(0));
      const { delivered, dropped } = await client.flush();
      assert.deepEqual([delivered, counted(dropped), segment.eventCount], [0, { redirect: 1 }, 0]);
    },
  ],
}));

export const cases = [
  {
    what: 'an event of 1 MiB',
    theirs: [
      'sends it, and its neighbours are lost with it',
      async (t) => {
        const { client, segment } = await onTheirs(t);
        const failed = failuresOf(client);
        client.track(tracked(0));
        client.track(large());
        client.track(tracked(2));
        await client.flush();
        assert.deepEqual([segment.requestCount, segment.eventCount, failed.length], [1, 0, 3]);
        assert.ok(segment.bytesRaw > KIB * KIB, `${segment.bytesRaw} bytes`);
      },
    ],
    ours: [
      'refuses it, and its neighbours arrive',
      async (t) => {
        const { client, segment } = await onOurs(t);
        client.track(tracked(0));
        assertRefused(client, () => client.track(large()), 'ERR_EVENT_TOO_LARGE');
        client.track(tracked(2));
        assert.equal((await client.flush()).delivered, 2);
        assert.deepEqual(messageIdsOf(segment.events), ['m0', 'm2']);
      },
    ],
  },
  {
    what: '40 events of 30 KiB',
    theirs: [
      'puts them into one request that Segment refuses',
      async (t) => {
        const { client, segment } = await onTheirs(t, { flushAt: 40 });
        const failed = failuresOf(client);
        for (const event of ofThirtyKib()) client.track(event);
        await client.flush();
        assert.deepEqual([segment.requestCount, segment.eventCount, failed.length], [1, 0, 40]);
        assert.ok(segment.bytesRaw > 2 * MOST_BYTES, `${segment.bytesRaw} bytes`);
      },
    ],
    ours: [
      'puts them into requests that Segment takes',
      async (t) => {
        const { client, segment } = await onOurs(t, { flushAt: 40 });
        for (const event of ofThirtyKib()) client.track(event);
        assert.equal((await client.flush()).delivered, 40);
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), idsTo(40).toSorted());
        assert.ok(Math.max(...segment.requests.map(({ bytesRaw }) => bytesRaw)) <= MOST_BYTES);
      },
    ],
  },
  ...unserializable,
  {
    what: 'context.library of null',
    theirs: [
      'reports success and sends nothing',
      async (t) => {
        const { client, segment } = await onTheirs(t, SOON);
        const [error] = await settled(client, 'track', { ...tracked(0), context: { library: null } });
        await client.flush();
        assert.deepEqual([error, segment.requestCount], [undefined, 0]);
      },
    ],
    ours: [
      'sends the event',
      async (t) => {
        const { client, segment } = await onOurs(t, SOON);
        client.track({ ...tracked(0), context: { library: null } });
        assert.equal((await client.flush()).delivered, 1);
        assert.equal(segment.events[0].context.library.name, '@companion/segment');
      },
    ],
  },
  {
    what: 'the context of the caller',
    theirs: [
      'writes into it, and sends no library if it is frozen',
      async (t) => {
        const { client, segment } = await onTheirs(t);
        const shared = { ip: '192.0.2.1' };
        client.track({ ...tracked(0), context: shared });
        await client.flush();
        assert.equal(shared.library.name, '@segment/analytics-node');
        client.track({ ...tracked(1), context: Object.freeze({ ip: '192.0.2.1' }) });
        await client.flush();
        assert.equal(segment.events[1].context.library, undefined);
      },
    ],
    ours: [
      'leaves it alone',
      async (t) => {
        const { client, segment } = await onOurs(t);
        const own = Object.freeze({ ip: '192.0.2.1' });
        client.track({ ...tracked(0), context: own });
        await client.flush();
        assert.deepEqual(own, { ip: '192.0.2.1' });
        assert.equal(segment.events[0].context.library.name, '@companion/segment');
      },
    ],
  },
  {
    what: 'properties that change after the call',
    theirs: [
      'sends the change',
      async (t) => assert.deepEqual(await sentOfChanged(await onTheirs(t)), { items: 2 }),
    ],
    ours: [
      'sends what was tracked',
      async (t) => assert.deepEqual(await sentOfChanged(await onOurs(t)), { items: 1 }),
    ],
  },
  {
    what: 'an event sent at the second attempt',
    theirs: [
      'makes JSON of it three times',
      async (t) => assert.equal(await timesSerialized(await onTheirs(t, ...SECOND_ATTEMPT)), 3),
    ],
    ours: [
      'makes JSON of it once',
      async (t) => assert.equal(await timesSerialized(await onOurs(t, ...SECOND_ATTEMPT)), 1),
    ],
  },
  {
    what: 'one event that Segment refuses',
    theirs: [
      'loses its 14 neighbours',
      async (t) => {
        const { client, segment } = await onTheirs(t, { flushAt: 15 }, { poison });
        const failed = failuresOf(client);
        for (const messageId of idsTo(15)) client.track({ ...MINIMAL.track, messageId });
        await client.flush();
        assert.deepEqual([segment.eventCount, failed.length], [0, 15]);
      },
    ],
    ours: [
      'loses it alone',
      async (t) => {
        const { client, segment } = await onOurs(t, { flushAt: 15 }, { poison });
        const failures = failuresOf(client);
        for (const messageId of idsTo(15)) client.track({ ...MINIMAL.track, messageId });
        const { delivered, dropped } = await client.flush();
        assert.deepEqual([delivered, counted(dropped)], [14, { rejected: 1 }]);
        assert.deepEqual(messageIdsOf(failures.map(({ ctx }) => ctx.event)), ['m7']);
        const others = idsTo(15).filter((id) => id !== 'm7');
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), others.toSorted());
      },
    ],
  },
  ...answersThatAreNone,
];
