import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { MINIMAL, boom, clientOf, deferred, fateOf, onSegment, plugin, replace, turns } from '../stage.mjs';

const disabled = (library, t) => clientOf(library, t, { disable: true });

/** What console.warn says when a plugin fails to load. */
async function loadFailure(library, t) {
  const lines = [];
  replace(t, console, 'warn', (...line) => lines.push(line));
  await disabled(library, t).register(plugin('broken', 'before', undefined, { load: async () => boom() }));
  return lines;
}

/** The properties of an event, as sent, whose plugin was registered some ticks after the call. */
async function registeredLate(library, t) {
  const { segment, analytics } = await onSegment(library, t);
  const fate = fateOf(analytics, 'track', { ...MINIMAL.track, properties: { email: 'mine' } });
  for (let step = 0; step < 50; step += 1) await Promise.resolve();
  await new Promise((resolve) => process.nextTick(resolve));
  void analytics.register(plugin('p', 'before', ({ event }) => void delete event.properties.email));
  await fate;
  return segment.events[0].properties;
}

export const cases = [
  {
    name: 'load gets a context and the client',
    async run(library, t) {
      const analytics = disabled(library, t);
      const calls = [];
      await analytics.register(
        plugin('p', 'before', undefined, { load: async (...args) => calls.push(args) }),
      );
      const [[context, client]] = calls;
      assert.ok(context instanceof library.Context);
      assert.equal(client, analytics);
    },
  },
  {
    name: 'unload gets a context and the client',
    async run(library, t) {
      const analytics = disabled(library, t);
      const calls = [];
      await analytics.register(plugin('p', 'before', undefined, { unload: (...args) => calls.push(args) }));
      await analytics.deregister('p');
      const [[context, client]] = calls;
      assert.ok(context instanceof library.Context);
      assert.equal(client, analytics);
    },
  },
  {
    name: 'register() resolves once plugins have loaded',
    async run(library, t) {
      const analytics = disabled(library, t);
      let isLoaded = false;
      const load = async () => {
        await turns(5);
        isLoaded = true;
      };
      await analytics.register(plugin('p', 'enrichment', undefined, { load }));
      assert.equal(isLoaded, true);
    },
  },
  {
    name: 'events wait for plugins that are loading',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const loading = deferred();
      const add = ({ event }) => void (event.properties.added = true);
      const registered = analytics.register(plugin('p', 'enrichment', add, { load: () => loading.promise }));
      const fate = fateOf(analytics);
      await turns(10);
      assert.equal(segment.requestCount, 0);
      loading.resolve();
      await Promise.all([registered, fate]);
      assert.deepEqual(segment.events[0].properties, { added: true });
    },
  },
  {
    name: 'a plugin that never loads holds every event',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const loading = deferred();
      const registered = analytics.register(
        plugin('p', 'before', undefined, { load: () => loading.promise }),
      );
      const fate = fateOf(analytics);
      await analytics.flush({ timeout: 20 });
      assert.equal(segment.requestCount, 0);
      loading.resolve();
      await Promise.all([registered, fate]);
    },
  },
  {
    name: 'nothing waits for a destination that is loading',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const never = plugin('d', 'destination', undefined, { load: () => new Promise(() => {}) });
      await analytics.register(never);
      await fateOf(analytics);
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'a plugin that fails to load is removed, and register() resolves',
    alone: true,
    async run(library, t) {
      replace(t, console, 'warn', () => {});
      const { segment, analytics } = await onSegment(library, t);
      const seen = [];
      const broken = plugin('broken', 'before', () => seen.push('broken'), { load: async () => boom() });
      await analytics.register(
        broken,
        plugin('fine', 'before', () => void seen.push('fine')),
      );
      await fateOf(analytics);
      assert.deepEqual([seen, segment.eventCount], [['fine'], 1]);
    },
  },
  {
    name: 'what is said of a plugin that fails to load',
    alone: true,
    run: async (library, t) => assert.deepEqual(await loadFailure(library, t), []),
    differs: {
      kind: DELIBERATE,
      theirs: '`console.warn`, with the error',
      ours: 'a line for `logger`',
      why: "the console is the application's",
      advice: 'set `logger`',
      async run(library, t) {
        const [[name, error]] = await loadFailure(library, t);
        assert.deepEqual([name, error.message], ['broken', 'boom']);
      },
    },
  },
  {
    name: 'isLoaded() is never asked',
    async run(library, t) {
      const analytics = disabled(library, t);
      const seen = [];
      const isLoaded = () => {
        seen.push('asked');
        return false;
      };
      await analytics.register(plugin('p', 'before', () => void seen.push('called'), { isLoaded }));
      await fateOf(analytics);
      assert.deepEqual(seen, ['called']);
    },
  },
  {
    name: 'plugins of one name are all called',
    async run(library, t) {
      const analytics = disabled(library, t);
      const seen = [];
      await analytics.register(plugin('p', 'before', () => void seen.push(1)));
      await analytics.register(plugin('p', 'before', () => void seen.push(2)));
      await fateOf(analytics);
      assert.deepEqual(seen, [1, 2]);
    },
  },
  {
    name: 'deregister() removes all plugins of that name',
    async run(library, t) {
      const analytics = disabled(library, t);
      const seen = [];
      await analytics.register(plugin('p', 'before', () => void seen.push(1)));
      await analytics.register(plugin('p', 'before', () => void seen.push(2)));
      await analytics.deregister('p');
      await fateOf(analytics);
      assert.deepEqual(seen, []);
    },
  },
  {
    name: 'deregister() of a name that is not known resolves',
    run: async (library, t) => assert.equal(await disabled(library, t).deregister('unknown'), undefined),
  },
  {
    name: "deregister('Segment.io')",
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      await analytics.deregister('Segment.io');
      await fateOf(analytics);
      assert.equal(segment.eventCount, 1);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'ends all sending; every event is reported as delivered',
      ours: 'does nothing: Segment is not a plugin',
      why: 'nothing is delivered without being sent',
      advice: '`disable: true`, or `integrations: { "Segment.io": false }`',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        await analytics.deregister('Segment.io');
        const { reason } = await fateOf(analytics);
        assert.deepEqual([reason, segment.requestCount], [undefined, 0]);
      },
    },
  },
  {
    name: 'a plugin sees what was tracked right before it was registered',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const fate = fateOf(analytics, 'track', { ...MINIMAL.track, properties: { email: 'mine' } });
      void analytics.register(plugin('p', 'before', ({ event }) => void delete event.properties.email));
      await fate;
      assert.deepEqual(segment.events[0].properties, {});
    },
  },
  {
    name: 'a plugin sees what was tracked before it, with promises and ticks in between',
    run: async (library, t) => assert.deepEqual(await registeredLate(library, t), {}),
    differs: {
      kind: DELIBERATE,
      theirs: 'is on its way by then',
      ours: 'sees everything of the same turn of the event loop',
      why: 'it may be there to take personal data out',
      run: async (library, t) => assert.deepEqual(await registeredLate(library, t), { email: 'mine' }),
    },
  },
  {
    name: 'plugins may be registered later, for the events from then on',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      await fateOf(analytics);
      await analytics.register(plugin('p', 'before', ({ event }) => void (event.properties.added = true)));
      await fateOf(analytics);
      assert.deepEqual(
        segment.events.map(({ properties }) => properties),
        [{}, { added: true }],
      );
    },
  },
  {
    name: 'a plugin without a method for the type of event is left out',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const seen = [];
      const track = (context) => {
        seen.push(context.event.type);
        return context;
      };
      await analytics.register(plugin('p', 'before', undefined, { track }));
      await fateOf(analytics, 'page', MINIMAL.page);
      await fateOf(analytics);
      assert.deepEqual([seen, segment.eventCount], [['track'], 2]);
    },
  },
  {
    name: 'this of a plugin is the plugin',
    async run(library, t) {
      const analytics = disabled(library, t);
      class Counting {
        name = 'counting';
        type = 'before';
        count = 0;
        isLoaded() {
          return true;
        }
        async load() {}
        track(context) {
          this.count += 1;
          return context;
        }
      }
      const counting = new Counting();
      await analytics.register(counting);
      await fateOf(analytics);
      assert.equal(counting.count, 1);
    },
  },
];
