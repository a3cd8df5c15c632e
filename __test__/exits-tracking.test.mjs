/** What is tracked while a process ends is delivered, or refused: nothing that returned true is lost. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { NEVER_MS, messageIdsOf, startSegment } from './support/clients.mjs';
import { endBy, runScript } from './support/programs.mjs';

/** Runs the script as the main thread of a process of its own, or in a worker thread of one. */
const PLACES = {
  'the main thread': (source) => source,
  'a worker thread': (source) => `
    import { Worker } from 'node:worker_threads';
    new Worker(new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(source)}`)}));
  `,
};

const TRANSPORTS = { 'the engine': 'undefined', 'an httpClient': '(url, request) => fetch(url, request)' };

/**
 * Runs `program({ analytics, track, make })`; `track(messageId, callback)` notes what the call returned. Gives back the ids
 * that were taken and those that were refused, in order.
 */
async function run(t, segment, program, options = {}) {
  const { transport = 'undefined', place = PLACES['the main thread'], ...settings } = options;
  const defaults = { writeKey: 'k', host: segment.url, flushInterval: NEVER_MS, exitTimeout: NEVER_MS };
  const source = `
    import { writeSync } from 'node:fs';
    import { createRequire } from 'node:module';
    const { Analytics } = createRequire(${JSON.stringify(import.meta.url)})('@companion/segment');
    const httpClient = ${transport};
    const make = (more) => new Analytics({ ...${JSON.stringify({ ...defaults, ...settings })}, httpClient, ...more });
    const trackWith = (client, messageId, callback) => {
      const isTaken = client.track({ userId: 'u1', event: 'e', messageId }, callback);
      writeSync(1, JSON.stringify([messageId, isTaken]) + '\\n');
      return isTaken;
    };
    const analytics = make();
    const track = (messageId, callback) => trackWith(analytics, messageId, callback);
    await (${program})({ analytics, track, trackWith, make });
  `;
  const { code, signal, stderr, stdout } = await runScript(t, place(source));
  const calls = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const idsOf = (wanted) => calls.filter(([, isTaken]) => isTaken === wanted).map(([messageId]) => messageId);
  return { code, signal, stderr, taken: idsOf(true), refused: idsOf(false) };
}

/** Programs that track `m1` to `m3` while the process ends by itself, with the loop running. */
const SOURCES = {
  callbacks: ({ track }) => {
    track('m1', () => track('m2', () => track('m3')));
  },
  'callbacks that are async': ({ track }) => {
    track('m1', async () => {
      await Promise.resolve();
      track('m2', async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        track('m3');
      });
    });
  },
  listeners: ({ analytics, track }) => {
    let last = 1;
    analytics.on('track', () => last < 3 && track(`m${(last += 1)}`));
    track('m1');
  },
  'listeners of drained': ({ analytics, track }) => {
    let last = 1;
    analytics.on('drained', () => last < 3 && track(`m${(last += 1)}`));
    track('m1');
  },
  'listeners of http_response': ({ analytics, track }) => {
    let last = 1;
    analytics.on('http_response', () => last < 3 && track(`m${(last += 1)}`));
    track('m1');
  },
  promises: ({ make, trackWith }) => {
    const prompt = make({ flushAt: 1 });
    const deliver = () => prompt.deliver.identify({ userId: 'u1' });
    trackWith(prompt, 'm1');
    void deliver()
      .then(() => (trackWith(prompt, 'm2'), deliver()))
      .then(() => trackWith(prompt, 'm3'));
  },
  'a before plugin': async ({ analytics, track }) => {
    let last = 1;
    const before = () => void (last < 3 && track(`m${(last += 1)}`));
    await analytics.register({
      name: 'p',
      type: 'before',
      isLoaded: () => true,
      load: async () => {},
      track: before,
    });
    track('m1');
  },
  'a destination plugin that takes its time': async ({ analytics, track }) => {
    let last = 1;
    const send = async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (last < 3) track(`m${(last += 1)}`);
    };
    await analytics.register({
      name: 'p',
      type: 'destination',
      isLoaded: () => true,
      load: async () => {},
      track: send,
    });
    track('m1');
  },
  'an after plugin': async ({ analytics, track }) => {
    let last = 1;
    const after = async () => void (last < 3 && track(`m${(last += 1)}`));
    await analytics.register({
      name: 'p',
      type: 'after',
      isLoaded: () => true,
      load: async () => {},
      track: after,
    });
    track('m1');
  },
  'a listener of beforeExit that came before the client': ({ make, trackWith }) => {
    process.once('beforeExit', () => ['m1', 'm2', 'm3'].forEach((id) => trackWith(late, id)));
    const late = make();
  },
  'a listener of beforeExit that came after the client': ({ track }) => {
    process.once('beforeExit', () => ['m1', 'm2', 'm3'].forEach((id) => track(id)));
  },
  'a listener of beforeExit that blocks': ({ track }) => {
    process.once('beforeExit', () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      for (const id of ['m1', 'm2', 'm3']) track(id);
    });
  },
  'a listener of beforeExit that is async': ({ track }) => {
    const trackLater = async () => {
      for (const id of ['m1', 'm2', 'm3']) {
        for (let turns = 0; turns < 20; turns += 1) await Promise.resolve();
        track(id);
      }
    };
    process.once('beforeExit', () => void trackLater());
  },
  'a client that is made in beforeExit': ({ make, trackWith }) => {
    process.once('beforeExit', () => {
      const late = make();
      trackWith(late, 'm1', () => trackWith(late, 'm2', () => trackWith(late, 'm3')));
    });
  },
  'callbacks of another client': ({ make, trackWith }) => {
    const [one, other] = [make(), make()];
    trackWith(one, 'm1', () => trackWith(other, 'm2', () => trackWith(one, 'm3')));
  },
  'a client that nobody holds': ({ make, trackWith }) => {
    (() => {
      const client = make();
      trackWith(client, 'm1', () => trackWith(client, 'm2', () => trackWith(client, 'm3')));
    })();
  },
};

for (const [where, place] of Object.entries(PLACES)) {
  for (const [how, transport] of Object.entries(TRANSPORTS)) {
    describe(
      `in ${where}, with ${how}: while the process ends by itself, tracked in`,
      { concurrency: 2 },
      () => {
        for (const [what, program] of Object.entries(SOURCES)) {
          test(what, async (t) => {
            const segment = await startSegment(t, { faults: [{ delayMs: 5, times: Infinity }] });
            const { code, stderr, taken, refused } = await run(t, segment, program, { transport, place });
            assert.deepEqual([code, stderr, refused], [0, '', []]);
            assert.deepEqual(taken, ['m1', 'm2', 'm3']);
            const tracks = segment.events.filter(({ type }) => type === 'track');
            assert.deepEqual(messageIdsOf(tracks).toSorted(), ['m1', 'm2', 'm3']);
          });
        }
      },
    );

    describe(`in ${where}, with ${how}: a chain without an end is refused once exitTimeout is over`, () => {
      for (const [what, program] of [
        [
          'in callbacks',
          ({ track }) => {
            let last = 0;
            const next = (error) => error === undefined && track(`m${(last += 1)}`, next);
            next();
          },
        ],
        [
          'in beforeExit',
          ({ track }) => {
            let last = 0;
            let isTaken = true;
            process.on('beforeExit', () => isTaken && (isTaken = track(`m${(last += 1)}`)));
          },
        ],
      ]) {
        test(what, async (t) => {
          const segment = await startSegment(t, { faults: [{ delayMs: 50, times: Infinity }] });
          const ended = await run(t, segment, program, { transport, place, exitTimeout: 1_500 });
          assert.deepEqual([ended.code, ended.stderr, ended.refused.length], [0, '', 1]);
          assert.ok(ended.taken.length > 1);
          assert.deepEqual(messageIdsOf(segment.events), ended.taken);
        });
      }

      test('at once, with exitTimeout: 0', async (t) => {
        const segment = await startSegment(t);
        const program = ({ track }) => process.once('beforeExit', () => track('m1'));
        const ended = await run(t, segment, program, { transport, place, exitTimeout: 0 });
        assert.deepEqual([ended.code, ended.taken, ended.refused], [0, [], ['m1']]);
      });
    });
  }
}

const LATE = `process.on('exit', () => ['m1', 'm2', 'm3'].forEach((id) => track(id)));`;

describe('tracked in a listener of exit that came after the client', { concurrency: 2 }, () => {
  for (const [where, place] of Object.entries(PLACES)) {
    for (const [what, first, code] of [
      ['by itself', '', 0],
      ['by itself, after a delivery', "track('m0');", 0],
      ['by process.exit()', 'process.exit(3);', 3],
      ['by process.exit() with events that wait', "track('m0'); process.exit(3);", 3],
      ['by an error', "track('m0'); setImmediate(() => { throw new Error('boom'); });", 1],
    ]) {
      if (where !== 'the main thread' && code === 1) continue;
      const isMain = where === 'the main thread';
      test(`in ${where}, ${what}: it is delivered`, async (t) => {
        const segment = await startSegment(t);
        const ended = await run(t, segment, `({ track }) => { ${LATE} ${first} }`, { place });
        assert.equal(ended.code, isMain ? code : 0);
        assert.deepEqual(ended.refused, []);
        assert.deepEqual(ended.taken.slice(-3), ['m1', 'm2', 'm3']);
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), ended.taken.toSorted());
      });

      for (const [why, settings, prepare] of [
        ['an httpClient', '{ httpClient: (url, request) => fetch(url, request) }', ''],
        [
          'plugins',
          '{}',
          "await late.register({ name: 'p', type: 'before', isLoaded: () => true, load: async () => {} });",
        ],
      ]) {
        for (const [order, before, after] of [
          ['after', '', LATE],
          ['before', LATE, ''],
        ]) {
          test(`in ${where}, ${what}, with ${why}, ${order} the client: it is refused`, async (t) => {
            const segment = await startSegment(t);
            const program = `async ({ make, trackWith }) => {
              let late;
              const track = (id) => trackWith(late, id);
              ${before}
              late = make(${settings});
              ${prepare}
              ${after}
              ${first.replaceAll("track('m0');", '')}
            }`;
            const ended = await run(t, segment, program, { place });
            assert.deepEqual([ended.taken, ended.refused], [[], ['m1', 'm2', 'm3']]);
            assert.equal(segment.eventCount, 0);
          });
        }
      }
    }
  }

  test('a server that hangs: what may be lost is refused, and the process ends', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
    const ended = await run(t, segment, `({ track }) => { ${LATE} process.exit(3); }`, { exitTimeout: 50 });
    assert.deepEqual([ended.code, ended.taken, ended.refused], [3, [], ['m1', 'm2', 'm3']]);
  });

  test('a client that is made there delivers too', async (t) => {
    const segment = await startSegment(t);
    const program = `({ make, trackWith }) => process.on('exit', () => trackWith(make(), 'm1'))`;
    const ended = await run(t, segment, program);
    assert.deepEqual([ended.taken, messageIdsOf(segment.events)], [['m1'], ['m1']]);
  });
});

describe('a process that goes on after its loop ran dry', { concurrency: 2 }, () => {
  for (const [how, transport] of Object.entries(TRANSPORTS)) {
    test(`with ${how}: nothing is refused, however long ago exitTimeout was over`, async (t) => {
      const segment = await startSegment(t, { faults: [{ hang: true }] });
      const program = ({ analytics, track }) => {
        track('m0');
        // The first way out waits in vain; then the application finds something to do.
        process.once('beforeExit', () => {
          const timer = setInterval(() => {
            if (analytics.stats().pending > 1) return;
          }, 5);
          setTimeout(() => {
            for (const id of ['m1', 'm2', 'm3']) track(id);
            clearInterval(timer);
          }, 200);
        });
      };
      const ended = await run(t, segment, program, { transport, exitTimeout: 40, httpRequestTimeout: 100 });
      assert.deepEqual([ended.code, ended.refused], [0, []]);
    });
  }
});

describe('a signal of flushOnSignal', { concurrency: 2, skip: process.platform === 'win32' }, () => {
  for (const [how, transport] of Object.entries(TRANSPORTS)) {
    for (const name of [
      'callbacks',
      'listeners of drained',
      'an after plugin',
      'callbacks of another client',
    ]) {
      test(`with ${how}: what is tracked in ${name} meanwhile is delivered`, async (t) => {
        const segment = await startSegment(t, { faults: [{ delayMs: 5, times: Infinity }] });
        const program = `async (given) => {
          await (${SOURCES[name]})(given);
          setInterval(() => {}, 1_000);
          process.kill(process.pid, 'SIGTERM');
        }`;
        const ended = await run(t, segment, program, { transport, flushOnSignal: ['SIGTERM'] });
        assert.deepEqual({ code: ended.code, signal: ended.signal }, endBy('SIGTERM'));
        assert.deepEqual([ended.taken, ended.refused], [['m1', 'm2', 'm3'], []]);
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['m1', 'm2', 'm3']);
      });
    }
  }
});
