/** Clocks that tests put in the place of Node's: what the caller sees of time follows his `Date`, and nothing stands still. */
import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';

import { RecordingAnalytics, startFakeSegment } from '@companion/segment/testing';

import { METHODS, MINIMAL, settled, startClient, startPair } from './support/clients.mjs';

const NOW = Date.parse('2031-02-03T04:05:06.789Z');
const plugin = {
  name: 'plain',
  type: 'before',
  version: '1',
  isLoaded: () => true,
  load: async () => {},
};

/** Ways in which the global `Date` is replaced. */
const CLOCKS = {
  'mock.timers': (t) => t.mock.timers.enable({ apis: ['Date'], now: NOW }),
  "a class of one's own": (t) => {
    const Original = globalThis.Date;
    t.after(() => (globalThis.Date = Original));
    globalThis.Date = class extends Original {
      constructor(...args) {
        if (args.length === 0) super(NOW);
        else super(...args);
      }
    };
  },
};

for (const [what, fake] of Object.entries(CLOCKS)) {
  describe(`with ${what}`, () => {
    for (const method of METHODS) {
      test(`the timestamp of ${method}() is the time of the caller`, async (t) => {
        const { analytics, segment } = await startPair(t);
        fake(t);
        const told = settled(analytics, method, MINIMAL[method]);
        analytics[method](MINIMAL[method]);
        await analytics.flush();
        const expected = new Date(NOW).toISOString();
        assert.deepEqual(
          segment.events.map(({ timestamp }) => timestamp),
          [expected, expected],
        );
        assert.equal((await told)[1].event.timestamp.getTime(), NOW);
      });
    }

    test('so it is for plugins, refused calls and recording clients', async (t) => {
      const { analytics, segment } = await startPair(t);
      fake(t);
      await analytics.register(plugin);
      analytics.track(MINIMAL.track);
      await analytics.flush();
      assert.equal(segment.events[0].timestamp, new Date(NOW).toISOString());
      const [, { event }] = await settled(analytics, 'track', { ...MINIMAL.track, context: 'text' });
      assert.equal(event.timestamp.getTime(), NOW);
      const recording = new RecordingAnalytics();
      recording.track(MINIMAL.track);
      assert.equal(new Date(recording.events[0].timestamp).getTime(), NOW);
    });

    test('a timestamp that is given stays', async (t) => {
      const { analytics, segment } = await startPair(t);
      fake(t);
      const timestamp = new Date(NOW + 1_000);
      analytics.track({ ...MINIMAL.track, timestamp });
      await analytics.flush();
      assert.equal(segment.events[0].timestamp, timestamp.toISOString());
    });
  });
}

test('once it is taken away, the time is the one of the machine again', async (t) => {
  const { analytics, segment } = await startPair(t);
  mock.timers.enable({ apis: ['Date'], now: NOW });
  analytics.track(MINIMAL.track);
  mock.timers.reset();
  const before = Date.now();
  analytics.track(MINIMAL.track);
  await analytics.flush();
  const [first, second] = segment.events.map(({ timestamp }) => Date.parse(timestamp));
  assert.equal(first, NOW);
  assert.ok(second >= before - 1 && second < NOW, String(second));
});

test('with every timer of Node faked, everything goes on: flush(), callbacks, listeners, plugins, close', async (t) => {
  const segment = await startFakeSegment();
  t.after(() => segment.close());
  const analytics = startClient(t, segment);
  const apis = ['setTimeout', 'setInterval', 'setImmediate', 'Date'];
  t.mock.timers.enable({ apis, now: NOW });
  const heard = [];
  analytics.on('track', ({ event }) => heard.push(event.messageId));
  const told = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'first' });
  assert.equal((await analytics.flush({ timeout: 60_000 })).delivered, 1);
  await told;
  await analytics.register(plugin);
  analytics.track({ ...MINIMAL.track, messageId: 'second' });
  const report = await analytics.closeAndFlush();
  assert.deepEqual([report.delivered, heard], [2, ['first', 'second']]);

  const recording = new RecordingAnalytics();
  const recorded = settled(recording, 'track', MINIMAL.track);
  await recording.flush();
  await recorded;
});
