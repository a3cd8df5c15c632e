import assert from 'node:assert/strict';

import { DEFECT } from '../libraries.mjs';
import { MINIMAL, boom, deferred, fateOf, fates, onSegment, plugin, trackAll, turns } from '../stage.mjs';

const TYPES = ['before', 'enrichment', 'destination', 'after'];

/** A client with plugins, and what its next event came to. */
async function through(library, t, plugins) {
  const { segment, analytics } = await onSegment(library, t);
  await analytics.register(...plugins);
  const fate = await fateOf(analytics);
  return { ...fate, events: segment.events };
}

/** A plugin that does not give the context back. */
const forgetful = () => plugin('p', 'before', undefined, { track: () => {} });

const ENDS = [
  ['throws', boom, ({ message }) => message === 'boom'],
  ['rejects', async () => boom(), ({ message }) => message === 'boom'],
  ['cancels', (context) => context.cancel(), ({ reason }) => reason === 'Context Cancel'],
  [
    'cancels with an error',
    (context) => context.cancel(new Error('mine')),
    ({ message }) => message === 'mine',
  ],
];

export const cases = [
  {
    name: 'before, enrichment, destination, after is the order, whatever the order of registration',
    async run(library, t) {
      const order = [];
      const plugins = TYPES.toReversed().map((type) => plugin(type, type, () => void order.push(type)));
      await through(library, t, plugins);
      assert.deepEqual(order, TYPES);
    },
  },
  {
    name: 'utility plugins are loaded and never called',
    async run(library, t) {
      const seen = [];
      const utility = plugin('u', 'utility', () => void seen.push('called'), {
        load: async () => seen.push('loaded'),
      });
      const { events } = await through(library, t, [utility]);
      assert.deepEqual([seen, events.length], [['loaded'], 1]);
    },
  },
  ...['before', 'enrichment'].map((type) => ({
    name: `${type} plugins run one after the other`,
    async run(library, t) {
      const order = [];
      const slow = async () => {
        await turns(3);
        order.push('first');
      };
      await through(library, t, [
        plugin('first', type, slow),
        plugin('second', type, () => void order.push('second')),
      ]);
      assert.deepEqual(order, ['first', 'second']);
    },
  })),
  ...['destination', 'after'].map((type) => ({
    name: `${type} plugins run side by side`,
    async run(library, t) {
      const second = deferred();
      // The first ends only if the second has begun.
      const { events } = await through(library, t, [
        plugin('first', type, () => second.promise),
        plugin('second', type, () => second.resolve()),
      ]);
      assert.equal(events.length, 1);
    },
  })),
  ...ENDS.map(([what, end, isReason]) => ({
    name: `a before plugin that ${what} ends the event, with that as the reason`,
    async run(library, t) {
      const seen = [];
      const later = TYPES.slice(1).map((type) => plugin(type, type, () => void seen.push(type)));
      const { reason, events } = await through(library, t, [plugin('end', 'before', end), ...later]);
      assert.ok(isReason(reason), String(reason));
      assert.deepEqual([events, seen], [[], []]);
    },
  })),
  ...TYPES.slice(1).flatMap((type) =>
    ENDS.map(([what, end]) => ({
      name: `a plugin of type ${type} that ${what} costs the event nothing`,
      async run(library, t) {
        const seen = [];
        const next = plugin('next', type, () => void seen.push(type));
        const { reason, events } = await through(library, t, [plugin('end', type, end), next]);
        assert.deepEqual([reason, events.length, seen], [undefined, 1, [type]]);
      },
    })),
  ),
  {
    name: 'an error of a plugin is in the lines of its context',
    async run(library, t) {
      const { context } = await through(library, t, [plugin('end', 'enrichment', boom)]);
      const { level, extras } = context.logs().find(({ extras: found }) => found?.error !== undefined);
      assert.deepEqual([level, extras.plugin, extras.error.message], ['error', 'end', 'boom']);
    },
  },
  {
    name: 'what a plugin changes is sent',
    async run(library, t) {
      const change = (context) => {
        context.event.properties.direct = 1;
        context.updateEvent('context.page.path', '/p');
        context.updateEvent('traits.plan', 'pro');
      };
      const { events } = await through(library, t, [plugin('p', 'enrichment', change)]);
      const [{ properties, context, traits }] = events;
      assert.deepEqual([properties, context.page, traits], [{ direct: 1 }, { path: '/p' }, { plan: 'pro' }]);
    },
  },
  {
    name: 'a Context that is returned takes the place of the one before',
    async run(library, t) {
      const swap = ({ event }) => new library.Context({ ...event, event: 'Swapped' });
      const { events, context } = await through(library, t, [plugin('p', 'before', swap)]);
      assert.deepEqual([events[0].event, context.event.event], ['Swapped', 'Swapped']);
    },
  },
  {
    name: 'anything else that is returned changes nothing',
    async run(library, t) {
      const odd = plugin('p', 'enrichment', () => ({ event: { event: 'Odd' } }));
      const { events } = await through(library, t, [odd]);
      assert.equal(events[0].event, MINIMAL.track.event);
    },
  },
  {
    name: 'a before plugin that returns nothing',
    async run(library, t) {
      const { reason, events } = await through(library, t, [forgetful()]);
      assert.deepEqual([reason, events.length], [undefined, 1]);
    },
    differs: {
      kind: DEFECT,
      theirs: 'ends the event, with a `TypeError`',
      ours: 'lets it pass',
      why: 'they use the result without a look at it',
      async run(library, t) {
        const { reason, events } = await through(library, t, [forgetful()]);
        assert.ok(reason instanceof TypeError);
        assert.deepEqual(events, []);
      },
    },
  },
  {
    name: 'plugins see the event before the library is in it',
    async run(library, t) {
      const seen = [];
      const look = ({ event }) => void seen.push(structuredClone(event));
      await through(library, t, [plugin('p', 'before', look)]);
      const [{ type, event, userId, context, properties, integrations }] = seen;
      assert.deepEqual([type, event, userId], ['track', MINIMAL.track.event, MINIMAL.track.userId]);
      assert.deepEqual([context, properties, integrations], [{}, {}, {}]);
    },
  },
  {
    name: 'plugins see messageId and timestamp',
    async run(library, t) {
      const seen = [];
      const { events } = await through(library, t, [
        plugin('p', 'before', ({ event }) => void seen.push([event.messageId, new Date(event.timestamp)])),
      ]);
      const [{ messageId, timestamp }] = events;
      assert.deepEqual(seen, [[messageId, new Date(timestamp)]]);
    },
  },
  {
    name: 'one context from the first plugin to the listener',
    async run(library, t) {
      const contexts = [];
      const keep = (type) => plugin(type, type, (context) => void contexts.push(context));
      const { context } = await through(library, t, TYPES.map(keep));
      assert.deepEqual([contexts.length, new Set([...contexts, context]).size], [4, 1]);
    },
  },
  {
    name: 'after plugins see a delivery that failed',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, {}, { faults: [{ status: 404 }] });
      const reasons = [];
      const look = (context) => void reasons.push(context.failedDelivery()?.reason);
      await analytics.register(plugin('p', 'after', look));
      const { reason } = await fateOf(analytics);
      assert.ok(reason instanceof Error);
      assert.deepEqual(reasons, [reason]);
    },
  },
  {
    name: 'a slow enrichment holds back only its own event',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const othersAreThere = deferred();
      const slowly = async ({ event }) => {
        if (event.messageId === 'm0') await othersAreThere.promise;
      };
      await analytics.register(plugin('p', 'enrichment', slowly));
      const ends = fates(analytics, 3);
      trackAll(analytics, 3);
      await segment.waitForEvents(2);
      othersAreThere.resolve();
      await ends;
      assert.equal(segment.events.at(-1).messageId, 'm0');
    },
  },
  {
    name: 'flush() waits for events that are with plugins',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      await analytics.register(plugin('p', 'before', () => turns(20)));
      trackAll(analytics, 2);
      await analytics.flush();
      assert.equal(segment.eventCount, 2);
    },
  },
];
