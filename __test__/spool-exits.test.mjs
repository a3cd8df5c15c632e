/** Every way out of a process with a spool: what was accepted is delivered, or on disk for the next one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { messageIdsOf, startSegment } from './support/clients.mjs';
import { endBy, lastLine } from './support/programs.mjs';
import { leftIn, makeSpool, recoverAll, runSpooling, untilEmpty } from './support/spools.mjs';

const COUNT = 20;
const MESSAGE_IDS = Array.from({ length: COUNT }, (_, number) => `m${number}`);
const WORKER = new URL('./support/tracking-worker.mjs', import.meta.url).href;
/** Short where the server hangs, so that no test waits; `stays` is what is left then. */
const SERVERS = [
  ['answers', undefined, 2_147_483_647],
  ['hangs', { faults: [{ hang: true, times: Infinity }] }, 1],
  ['is down', { faults: [{ status: 503, times: Infinity }] }, 1],
];

/** `code`, `signal` and what stderr has to look like. `atOnce`: there is no time to deliver anything. */
const WAYS = {
  'a loop that runs dry': { program: () => {} },
  'process.exit()': { program: () => process.exit(3), code: 3 },
  'process.exit() in a timer': { program: () => setTimeout(() => process.exit(3), 1), code: 3 },
  'an uncaught error': {
    program: () => {
      throw new Error('boom');
    },
    code: 1,
    stderr: /Error: boom/,
  },
  'an unhandled rejection': {
    program: () => void Promise.reject(new Error('boom')),
    code: 1,
    stderr: /Error: boom/,
  },
  SIGKILL: { program: () => process.kill(process.pid, 'SIGKILL'), signal: 'SIGKILL', atOnce: true },
  'SIGTERM without a handler': {
    program: () => process.kill(process.pid, 'SIGTERM'),
    signal: 'SIGTERM',
    atOnce: true,
  },
  'SIGTERM with flushOnSignal': {
    program: () => {
      setInterval(() => {}, 1_000);
      process.kill(process.pid, 'SIGTERM');
    },
    settings: { flushOnSignal: ['SIGTERM'] },
    signal: 'SIGTERM',
    // On Windows no process can send it to be listened to.
    atOnce: process.platform === 'win32',
  },
  'process.abort()': { program: () => process.abort(), signal: 'SIGABRT', stderr: /.*/, atOnce: true },
  'closeAndFlush() and process.exit()': {
    program: async ({ analytics, argument: { exitTimeout } }) => {
      await analytics.closeAndFlush({ timeout: exitTimeout });
      process.exit(3);
    },
    code: 3,
  },
};

/** Everything arrives, from the process itself or from one that follows, and each event once. */
async function assertNothingLost(spool, segment, expected = MESSAGE_IDS) {
  const delivered = new Set(messageIdsOf(segment.events));
  segment.clearFaults();
  await recoverAll(spool, segment, expected.length - delivered.size);
  assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected.toSorted());
  await untilEmpty(spool);
}

for (const [server, options, exitTimeout] of SERVERS) {
  describe(`a server that ${server}: nothing is lost`, { concurrency: 2 }, () => {
    for (const [
      way,
      { program, code = null, signal = null, stderr = /^$/, settings, atOnce },
    ] of Object.entries(WAYS)) {
      test(`at ${way}`, async (t) => {
        const segment = await startSegment(t, options);
        const spool = makeSpool(t);
        const source = `async (given) => {
          for (let number = 0; number < ${COUNT}; number += 1)
            if (!given.track('m' + number)) throw new Error('not accepted');
          await (${program})(given);
        }`;
        const ended = await runSpooling(t, spool, segment, source, {
          argument: { exitTimeout },
          settings: { exitTimeout, ...settings },
        });
        const expected = signal === null ? { code: code ?? 0, signal } : endBy(signal);
        assert.deepEqual({ code: ended.code, signal: ended.signal }, expected);
        assert.match(ended.stderr, stderr);
        if (server === 'answers' && !atOnce)
          assert.equal(segment.eventCount, COUNT, 'delivered on the way out');
        await assertNothingLost(spool, segment);
      });
    }
  });
}

describe('SIGKILL', { concurrency: 2 }, () => {
  for (const [what, settings] of [
    ['', {}],
    [', with a group commit under way', { durability: 'power' }],
    [', encrypted', { encryptionKey: Buffer.alloc(32, 7).toString('base64') }],
  ]) {
    test(`right after the n-th track(), again and again on one directory${what}`, async (t) => {
      const segment = await startSegment(t);
      await segment.pause();
      const spool = makeSpool(t);
      const expected = [];
      for (const count of [1, 2, 30, 1, 700]) {
        const prefix = `p${expected.length}-`;
        expected.push(...Array.from({ length: count }, (_, number) => `${prefix}${number}`));
        const program = ({ track, argument }) => {
          for (let number = 0; number < argument.count; number += 1) track(argument.prefix + number);
          process.kill(process.pid, 'SIGKILL');
        };
        const { signal } = await runSpooling(t, spool, segment, program, {
          argument: { count, prefix },
          settings: { spool: { directory: spool.directory, ...settings } },
        });
        assert.equal(signal, endBy('SIGKILL').signal);
      }
      await segment.resume();
      await recoverAll(spool, segment, expected.length, { spool: settings });
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected.toSorted());
      await untilEmpty(spool);
    });
  }

  test('in the middle of delivery: what was answered and not yet noted comes again, the rest once', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const program = async ({ analytics, track, wait }) => {
      for (let number = 0; number < 2_000; number += 1) track(`m${number}`);
      await wait(() => analytics.stats().delivered > 0);
      process.kill(process.pid, 'SIGKILL');
    };
    const settings = { flushAt: 50, maxConcurrentRequests: 2 };
    const { signal } = await runSpooling(t, spool, segment, program, { settings });
    assert.equal(signal, endBy('SIGKILL').signal);
    const next = spool.open(segment, { flushInterval: 1 });
    await segment.waitForEvents(2_000);
    await next.closeAndFlush();
    assert.equal(new Set(messageIdsOf(segment.events)).size, 2_000);
    const again = segment.duplicates();
    assert.ok(again.size <= 100, `no more than was under way: ${again.size}`);
    await untilEmpty(spool);
  });

  test('of a process that had taken over from another', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
    const spool = makeSpool(t);
    const first = ({ track }) => {
      for (let number = 0; number < 5; number += 1) track(`first${number}`);
      process.kill(process.pid, 'SIGKILL');
    };
    const second = async ({ analytics, track, wait }) => {
      await wait(() => analytics.stats().recovered === 5);
      for (let number = 0; number < 5; number += 1) track(`second${number}`);
      void analytics.flush();
      await wait(() => analytics.stats().inFlight > 0);
      process.kill(process.pid, 'SIGKILL');
    };
    for (const program of [first, second]) {
      const { signal } = await runSpooling(t, spool, segment, program);
      assert.equal(signal, endBy('SIGKILL').signal);
    }
    const expected = ['first', 'second'].flatMap((name) => [0, 1, 2, 3, 4].map((number) => name + number));
    await assertNothingLost(spool, segment, expected);
  });
});

test('two processes that start at once share what a killed one left, each event once', async (t) => {
  const segment = await startSegment(t);
  await segment.pause();
  const spool = makeSpool(t);
  const killed = ({ track }) => {
    for (let number = 0; number < 500; number += 1) track(`m${number}`);
    process.kill(process.pid, 'SIGKILL');
  };
  for (let round = 0; round < 3; round += 1) await runSpooling(t, spool, segment, killed);
  const taking = async ({ analytics, wait }) => {
    await wait(() => analytics.stats().orphans === 0);
    const { accepted, delivered, recovered } = await analytics.closeAndFlush().then(() => analytics.stats());
    console.log(JSON.stringify({ accepted, delivered, recovered }));
  };
  await segment.resume();
  const both = await Promise.all([0, 1].map(() => runSpooling(t, spool, segment, taking)));
  const [one, other] = both.map(({ stdout }) => lastLine(stdout));
  for (const { accepted, delivered, recovered } of [one, other]) {
    assert.deepEqual([accepted, delivered], [recovered, recovered]);
  }
  assert.equal(one.recovered + other.recovered, 1_500);
  assert.deepEqual([segment.eventCount, segment.requests.length > 0], [1_500, true]);
  assert.deepEqual(leftIn(spool), []);
});

describe('worker threads', { concurrency: 2 }, () => {
  for (const [server, options, exitTimeout] of SERVERS.slice(0, 2)) {
    for (const [what, end, ends] of [
      ['is terminated', 'stay', 1],
      ['calls process.exit()', 'exit', 7],
      ['ends by itself', 'none', 0],
    ]) {
      test(`one that ${what} while the server ${server} loses nothing`, async (t) => {
        const segment = await startSegment(t, options);
        const spool = makeSpool(t);
        const program = async ({ argument: { url, end: way, workerData } }) => {
          const { Worker } = await import('node:worker_threads');
          const { once } = await import('node:events');
          const worker = new Worker(new URL(url), { execArgv: [], workerData });
          const exit = once(worker, 'exit');
          await once(worker, 'message');
          if (way === 'stay') await worker.terminate();
          console.log(JSON.stringify((await exit)[0]));
        };
        const settings = { spool: spool.directory, exitTimeout };
        const workerData = { host: segment.url, prefix: 'm', count: COUNT, end, settings };
        const ended = await runSpooling(t, spool, segment, program, {
          argument: { url: WORKER, end, workerData },
        });
        assert.deepEqual([ended.code, ended.signal, ended.stderr], [0, null, '']);
        assert.equal(lastLine(ended.stdout), ends);
        const expected = Array.from({ length: COUNT }, (_, number) => `m-${number}`);
        const delivered = segment.eventCount;
        segment.clearFaults();
        await recoverAll(spool, segment, COUNT - delivered, { writeKey: 'worker' });
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected.toSorted());
      });
    }
  }
});

describe('a process that ends leaves no litter', { concurrency: 2 }, () => {
  for (const [what, program] of [
    ['by itself after it has delivered', ({ track }) => track('m1')],
    ['by itself with nothing to deliver', () => {}],
    ['after closeAndFlush()', ({ track, analytics }) => (track('m1'), analytics.closeAndFlush())],
    ['by process.exit() with events to deliver', ({ track }) => (track('m1'), process.exit(0))],
    ['by process.exit() with nothing to deliver', () => process.exit(0)],
    [
      'by process.exit() after flush()',
      async ({ track, analytics }) => {
        track('m1');
        await analytics.flush();
        process.exit(0);
      },
    ],
  ]) {
    test(what, async (t) => {
      const spool = makeSpool(t);
      const { code, stderr } = await runSpooling(t, spool, await startSegment(t), program);
      assert.deepEqual([code, stderr, leftIn(spool)], [0, '', []]);
    });
  }

  test('by a signal that flushOnSignal names, with nothing to deliver', async (t) => {
    const spool = makeSpool(t);
    const program = () => {
      setInterval(() => {}, 1_000);
      process.kill(process.pid, 'SIGTERM');
    };
    const settings = { flushOnSignal: ['SIGTERM'] };
    const { signal } = await runSpooling(t, spool, await startSegment(t), program, { settings });
    assert.deepEqual([signal, leftIn(spool)], [endBy('SIGTERM').signal, []]);
  });

  test('what a killed one leaves empty, the next one tidies up', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    await runSpooling(t, spool, segment, () => process.kill(process.pid, 'SIGKILL'));
    assert.equal(leftIn(spool).length, 2, 'its directory and its lock');
    assert.equal(
      (
        await runSpooling(t, spool, segment, async ({ analytics, wait }) => {
          await wait(() => analytics.stats().orphans !== null);
        })
      ).code,
      0,
    );
    assert.deepEqual(leftIn(spool), []);
  });
});
