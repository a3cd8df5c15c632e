/** Which plugins are there, and which of them an event is for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MINIMAL, counted, settled, startPair } from './support/clients.mjs';

const plugin = (name, type, track, more = {}) => ({
  name,
  type,
  isLoaded: () => true,
  load: async () => {},
  track,
  ...more,
});

describe('register and deregister', () => {
  for (const type of ['before', 'enrichment', 'after']) {
    test(`events wait until a plugin of type ${type} has loaded`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const order = [];
      let loaded;
      const load = () => new Promise((resolve) => (loaded = resolve));
      const registering = analytics.register(plugin('slow', type, () => void order.push('seen'), { load }));
      analytics.track(MINIMAL.track);
      const flushing = analytics.flush();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(analytics.stats().accepted, 0);
      order.push('loaded');
      loaded();
      await registering;
      await flushing;
      assert.deepEqual([order, segment.eventCount], [['loaded', 'seen'], 1]);
    });
  }

  for (const given of [null, undefined, 5, 'plugin', Symbol('plugin'), () => {}]) {
    test(`register(${String(given)}) rejects once: what comes later is registered and seen`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const seen = [];
      const see = (name) => plugin(name, 'before', () => void seen.push(name));
      const beside = analytics.register(see('before'), given, see('after'));
      await assert.rejects(beside, { name: 'ValidationError', code: 'ERR_VALIDATION' });
      await assert.rejects(analytics.register(given), { code: 'ERR_VALIDATION' });
      await analytics.register(see('later'));
      await analytics.deregister('before');
      analytics.track(MINIMAL.track);
      await analytics.flush();
      assert.deepEqual([seen, segment.eventCount], [['after', 'later'], 1]);
    });
  }

  test('events do not wait for a destination to load', async (t) => {
    const { analytics, segment } = await startPair(t);
    await analytics.register(plugin('slow', 'destination', () => {}, { load: () => new Promise(() => {}) }));
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal(segment.eventCount, 1);
  });

  for (const [what, load] of [
    [
      'rejects',
      async () => {
        throw new Error('canary');
      },
    ],
    [
      'throws',
      () => {
        throw new Error('canary');
      },
    ],
  ]) {
    test(`a plugin whose load ${what} is removed with a warning, and harms nothing`, async (t) => {
      const lines = [];
      const log =
        (level) =>
        (...args) =>
          lines.push([level, JSON.stringify(args)]);
      const logger = { error: log('error'), warn: log('warn'), info: log('info'), debug: log('debug') };
      const { analytics, segment } = await startPair(t, { logger });
      const names = [];
      analytics.on('register', (registered) => names.push(...registered));
      const seen = [];
      await analytics.register(
        plugin('bad', 'before', () => void seen.push('bad'), { load }),
        plugin('good', 'before', () => void seen.push('good')),
      );
      analytics.track(MINIMAL.track);
      await analytics.flush();
      assert.deepEqual([seen, names, segment.eventCount], [['good'], ['bad', 'good'], 1]);
      const warnings = lines.filter(([level]) => level === 'warn');
      assert.equal(warnings.length, 1);
      assert.match(warnings[0][1], /Plugin bad failed to load/);
      assert.ok(!warnings[0][1].includes('canary'));
    });
  }

  test('a plugin that is deregistered is unloaded and sees nothing more', async (t) => {
    const { analytics, segment } = await startPair(t);
    const seen = [];
    const gone = plugin('gone', 'before', () => void seen.push('gone'), {
      unload: () => void seen.push('unload'),
    });
    await analytics.register(
      gone,
      plugin('stays', 'before', () => void seen.push('stays')),
    );
    await analytics.deregister('gone', 'unknown');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.deepEqual([seen, segment.eventCount], [['unload', 'stays'], 1]);
  });

  test('a plugin whose unload throws is gone all the same', async (t) => {
    const { analytics, segment } = await startPair(t);
    const unload = () => {
      throw new Error('boom');
    };
    await analytics.register(plugin('bad', 'before', (context) => context.cancel(), { unload }));
    await analytics.deregister('bad');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal(segment.eventCount, 1);
  });

  test('two plugins may share a name', async (t) => {
    const { analytics } = await startPair(t);
    const seen = [];
    await analytics.register(
      plugin('a', 'before', () => void seen.push(1)),
      plugin('a', 'before', () => void seen.push(2)),
    );
    analytics.track(MINIMAL.track);
    await analytics.flush();
    await analytics.deregister('a');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.deepEqual(seen, [1, 2]);
  });
});

describe('integrations', () => {
  for (const [integrations, destination, segmentGets] of [
    [undefined, true, true],
    [{}, true, true],
    [{ All: true }, true, true],
    [{ All: false }, false, true],
    [{ All: false, Mine: true }, true, true],
    [{ All: false, Mine: { id: 1 } }, true, true],
    [{ All: false, Alias: true }, true, true],
    [{ Mine: false }, false, true],
    [{ Alias: false }, false, true],
    [{ Mine: true, Alias: false }, true, true],
    [{ Other: false }, true, true],
    [{ 'Segment.io': false }, true, false],
    [{ 'Segment.io': false, All: false }, false, false],
    [{ 'Segment.io': true, All: false }, false, true],
  ]) {
    const where =
      [destination && 'the destination', segmentGets && 'Segment'].filter(Boolean).join(' and ') || 'nobody';
    test(`${JSON.stringify(integrations)} is for ${where}`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const seen = [];
      const others = ['before', 'enrichment', 'after'].map((type) =>
        plugin('Mine', type, () => void seen.push(type)),
      );
      const mine = plugin('Mine', 'destination', () => void seen.push('destination'), {
        alternativeNames: ['Alias'],
      });
      await analytics.register(...others, mine);
      const settling = settled(analytics, 'track', { ...MINIMAL.track, integrations });
      await analytics.flush();
      assert.equal((await settling)[0], undefined);
      assert.deepEqual(seen, ['before', 'enrichment', ...(destination ? ['destination'] : []), 'after']);
      assert.equal(segment.eventCount, segmentGets ? 1 : 0);
      if (segmentGets) assert.deepEqual(segment.events[0].integrations, integrations ?? {});
    });
  }

  for (const [way, settings] of [
    ['', {}],
    [', with redact', { redact: ['properties.none'] }],
  ]) {
    test(`{"Segment.io":false} keeps an event from Segment without any plugin too${way}`, async (t) => {
      const { analytics, segment } = await startPair(t, settings);
      const params = { ...MINIMAL.track, messageId: 'm1', integrations: { 'Segment.io': false } };
      const settling = settled(analytics, 'track', params);
      const receipt = analytics.deliver.track(params);
      analytics.track(MINIMAL.track);
      await analytics.flush();
      assert.equal((await settling)[0], undefined);
      assert.deepEqual(await receipt, { messageId: 'm1', attempts: 0 });
      assert.deepEqual([segment.eventCount, counted(analytics.stats().refused)], [1, {}]);
    });
  }

  test('switches that plugins change count', async (t) => {
    const { analytics, segment } = await startPair(t);
    const off = ({ event }) => void (event.integrations = { 'Segment.io': false });
    await analytics.register(plugin('off', 'enrichment', off));
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal(segment.eventCount, 0);
  });
});
