/** A plugin that is registered after a call, in the same turn of the event loop, sees its event: it may have to clean it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { RecordingAnalytics } from '@companion/segment/testing';

import {
  KEY,
  METHODS,
  MINIMAL,
  assertConserved,
  counted,
  messageIdsOf,
  settled,
  startClient,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { leftIn, makeSpool, recoverAll } from './support/spools.mjs';

const EMAIL = 'someone@example.com';
const emailed = (more) => ({ ...MINIMAL.track, properties: { email: EMAIL, kept: 1 }, ...more });

/** Takes e-mail addresses out of every event. */
function scrubber(more) {
  const scrub = (context) => {
    for (const bag of [context.event.properties, context.event.traits]) delete bag?.email;
    return context;
  };
  return {
    name: 'scrub',
    type: 'before',
    version: '1',
    isLoaded: () => true,
    load: async () => {},
    ...Object.fromEntries(METHODS.map((method) => [method, scrub])),
    ...more,
  };
}

/** Everything that leaves at once. */
const EAGER = { flushAt: 1, flushInterval: 0 };

function assertClean(segment, count) {
  assert.equal(segment.eventCount, count);
  assert.ok(!JSON.stringify(segment.events).includes(EMAIL));
}

/** What may lie between the call and `register()` without a turn of the event loop between them. */
const BETWEEN = {
  nothing: () => {},
  'a promise that is kept': () => Promise.resolve(),
  'a chain of promises': async () => {
    for (let step = 0; step < 50; step += 1) await Promise.resolve();
  },
  'process.nextTick': () => new Promise((resolve) => process.nextTick(resolve)),
  'a flush that nobody has awaited': (analytics) => void analytics.flush(),
  'a look at the counters': (analytics) => void analytics.stats(),
  'work that takes its time': () => {
    const until = performance.now() + 50;
    while (performance.now() < until);
  },
};

for (const [what, wait] of Object.entries(BETWEEN)) {
  test(`with ${what} between them`, async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    analytics.track(emailed());
    const waited = wait(analytics);
    if (waited !== undefined) await waited;
    await analytics.register(scrubber());
    await analytics.flush();
    assertClean(segment, 1);
    assert.equal(segment.events[0].properties.kept, 1);
  });
}

describe('whatever the way of the event', () => {
  for (const type of METHODS) {
    test(`${type}()`, async (t) => {
      const { analytics, segment } = await startPair(t, EAGER);
      const bag = { email: EMAIL };
      const told = settled(analytics, type, { ...MINIMAL[type], properties: bag, traits: bag });
      await analytics.register(scrubber());
      await analytics.flush();
      assertClean(segment, 1);
      const [error, { event }] = await told;
      assert.deepEqual([error, event.messageId], [undefined, segment.events[0].messageId]);
      assert.ok(event.timestamp instanceof Date);
      assert.deepEqual(analytics.stats().delivered, 1);
    });
  }

  test('all of a turn, in their order, and each once', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    const before = trackMany(analytics, 5, 'before');
    await nextTurn();
    const held = trackMany(analytics, 300, 'held');
    const seen = [];
    const see = (context) => {
      seen.push(context.event.messageId);
      return context;
    };
    const registered = analytics.register(scrubber({ track: see }));
    const after = trackMany(analytics, 5, 'after');
    await registered;
    await analytics.flush();
    assert.deepEqual(seen, [...held, ...after]);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), [...before, ...held, ...after].toSorted());
    assert.equal(segment.duplicates().size, 0);
    const stats = analytics.stats();
    assertConserved(stats);
    assert.deepEqual([stats.accepted, stats.delivered, counted(stats.refused)], [310, 310, {}]);
  });

  test('deliver, and whoever waits for its disk', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const analytics = spool.open(segment, EAGER);
    const delivery = analytics.deliver.track(emailed({ messageId: 'mine' }));
    await analytics.register(scrubber());
    await delivery.persisted;
    await analytics.flush();
    assert.equal((await delivery).messageId, 'mine');
    assertClean(segment, 1);
    await analytics.closeAndFlush();
    assert.deepEqual(leftIn(spool), []);
  });

  test('a spool: what was taken back is not found there again', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const analytics = spool.open(segment, EAGER);
    for (let index = 0; index < 50; index += 1) analytics.track(emailed());
    await analytics.register(scrubber());
    await analytics.closeAndFlush();
    assertClean(segment, 50);
    assert.deepEqual(leftIn(spool), []);
    const next = spool.open(segment, EAGER);
    await next.flush();
    assertClean(segment, 50);
  });

  test('httpClient', async (t) => {
    const bodies = [];
    const httpClient = async (_url, { body }) => {
      bodies.push(String(body));
      return { status: 200, headers: {}, text: async () => '' };
    };
    const { analytics } = await startPair(t, { ...EAGER, httpClient, gzip: false });
    analytics.track(emailed());
    await analytics.register(scrubber());
    await analytics.flush();
    assert.equal(bodies.length, 1);
    assert.ok(!bodies[0].includes(EMAIL));
  });

  test('a recording client', async () => {
    const analytics = new RecordingAnalytics();
    const told = settled(analytics, 'track', emailed());
    analytics.track(emailed());
    await analytics.register(scrubber());
    await told;
    await analytics.flush();
    assert.equal(analytics.events.length, 2);
    assert.ok(!JSON.stringify(analytics.events).includes(EMAIL));
    const { accepted, delivered, pending } = analytics.stats();
    assert.deepEqual([accepted, delivered, pending], [2, 2, 0]);
  });

  test('a listener that tracks and a plugin that comes in the same turn', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    const registered = new Promise((resolve) => {
      analytics.once('track', () => {
        analytics.track(emailed());
        resolve(analytics.register(scrubber()));
      });
    });
    analytics.track(MINIMAL.track);
    await registered;
    await analytics.flush();
    assertClean(segment, 2);
  });
});

describe('whatever the plugin does', () => {
  test('a plugin that takes its time to load holds what was tracked before', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    let loaded;
    const load = () => new Promise((resolve) => (loaded = resolve));
    analytics.track(emailed());
    const registered = analytics.register(scrubber({ load }));
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    assert.equal(segment.requestCount, 0);
    loaded();
    await registered;
    await analytics.flush();
    assertClean(segment, 1);
  });

  test('a plugin that cancels ends what was tracked before', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    const told = settled(analytics, 'track', emailed());
    const track = (context) => context.cancel(new Error('mine'));
    await analytics.register(scrubber({ track }));
    const [error] = await told;
    assert.equal(error.message, 'mine');
    await analytics.flush();
    const stats = analytics.stats();
    assert.deepEqual(
      [stats.accepted, counted(stats.refused), segment.requestCount],
      [0, { cancelled: 1 }, 0],
    );
  });

  test('a plugin that comes later in the turn sees what the first has seen', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    const order = [];
    const note = (name) => (context) => {
      order.push(name);
      return context;
    };
    analytics.track(emailed());
    const first = analytics.register(scrubber({ name: 'first', track: note('first') }));
    const second = analytics.register(scrubber({ name: 'second', track: note('second') }));
    await Promise.all([first, second]);
    await analytics.flush();
    assert.deepEqual([order, segment.eventCount], [['first', 'second'], 1]);
  });

  test('a plugin that fails to load lets everything pass', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    analytics.track(MINIMAL.track);
    const load = async () => {
      throw new Error('mine');
    };
    await analytics.register(scrubber({ load }));
    await analytics.flush();
    assert.equal(segment.eventCount, 1);
  });
});

describe('the end of a turn', () => {
  test('comes by itself: what was tracked leaves without anybody asking', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    analytics.track(MINIMAL.track);
    await segment.waitForEvents(1);
    assert.equal(analytics.stats().accepted, 1);
  });

  test('is no matter for a plugin that comes after it', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    analytics.track(emailed());
    await segment.waitForEvents(1);
    await analytics.register(scrubber());
    analytics.track(emailed());
    await segment.waitForEvents(2);
    assert.deepEqual(
      segment.events.map(({ properties }) => properties.email),
      [EMAIL, undefined],
    );
  });

  test('is waited for by flush(), whose limit is kept', async (t) => {
    const { analytics } = await startPair(t);
    analytics.track(MINIMAL.track);
    const report = await analytics.flush({ timeout: 60_000 });
    assert.equal(report.delivered, 1);
  });

  test('of a client that closes in it: what was tracked is delivered, and the plugin has seen it', async (t) => {
    const { analytics, segment } = await startPair(t, EAGER);
    analytics.track(emailed());
    const closed = analytics.closeAndFlush();
    void analytics.register(scrubber());
    const report = await closed;
    assertClean(segment, 1);
    assert.equal(report.unflushed.length, 0);
  });

  test('a turn with more than half of maxQueueBytes is no reason to refuse anything', async (t) => {
    const { analytics, segment } = await startPair(t, {
      ...EAGER,
      maxQueueBytes: 65_536,
      overflow: 'drop-newest',
    });
    for (let round = 0; round < 20; round += 1) {
      assert.ok(analytics.track({ ...MINIMAL.track, properties: { text: 'x'.repeat(2_000) } }));
      // Whoever blocks the loop lets others work meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    await analytics.flush();
    assert.equal(segment.eventCount, 20);
  });
});

describe('ways out in the turn of the call', () => {
  const program = (end) => `
    import { Analytics } from '@companion/segment';
    const analytics = new Analytics({ writeKey: 'k', host: process.argv[1], exitTimeout: 30_000 });
    for (let index = 0; index < 3; index += 1) analytics.track({ userId: 'u', event: 'e' });
    ${end}`;
  const ENDS = {
    'process.exit()': 'process.exit(0)',
    'an exception': "process.on('uncaughtException', () => process.exit(0)); throw new Error('mine')",
    'the end of the program': '',
  };
  for (const [what, end] of Object.entries(ENDS)) {
    test(`${what}: what was tracked is delivered`, async (t) => {
      const segment = await startSegment(t);
      const args = ['--input-type=module', '-e', program(end), segment.url];
      const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: 'inherit' });
      const [code] = await once(child, 'exit');
      assert.deepEqual([code, segment.eventCount], [0, 3]);
    });
  }

  test('kill -9: what was tracked is in the spool', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const text = `
      import { Analytics } from '@companion/segment';
      const spool = { directory: process.argv[2] };
      const analytics = new Analytics({ writeKey: process.argv[3], host: process.argv[1], flushAt: 1, spool });
      while (analytics.stats().spool !== 'ready');
      for (let index = 0; index < 3; index += 1) analytics.track({ userId: 'u', event: 'e' });
      process.kill(process.pid, 'SIGKILL');`;
    const args = ['--input-type=module', '-e', text, 'http://127.0.0.1:9', spool.directory, KEY];
    const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: 'inherit' });
    await once(child, 'exit');
    await recoverAll(spool, segment, 3);
    assert.equal(segment.eventCount, 3);
  });
});

test('several clients have turns of their own', async (t) => {
  const segment = await startSegment(t);
  const [clean, plain] = [startClient(t, segment, EAGER), startClient(t, segment, EAGER)];
  clean.track(emailed({ messageId: 'clean' }));
  plain.track(emailed({ messageId: 'plain' }));
  await clean.register(scrubber());
  await Promise.all([clean.flush(), plain.flush()]);
  const emails = Object.fromEntries(
    segment.events.map(({ messageId, properties }) => [messageId, properties.email]),
  );
  assert.deepEqual(emails, { clean: undefined, plain: EMAIL });
});
