/** The end of a process or of a worker thread waits for all of its clients at once, not for one after the other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { KEY, NEVER_MS, messageIdsOf, startSegment } from './support/clients.mjs';
import { lastLine, runClient, runProgram } from './support/programs.mjs';
import { makeSpool } from './support/spools.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };
const EXIT_TIMEOUT_MS = 1_000;
/** One exitTimeout with room for a busy machine; ten of them, one after the other, are far more. */
const AT_MOST_MS = 5_000;
const TEN = Array.from({ length: 10 }, (_, number) => `m${number}`);

/** Ten clients, each with an event, and then the end. */
const tenClients = (end) => `({ make }) => {
  for (let number = 0; number < 10; number += 1)
    make().track({ userId: 'u1', event: 'e', messageId: 'm' + number });
  (${end})();
}`;

describe('ten clients, and a server that takes its time: all deliver within one exitTimeout', () => {
  for (const where of ['in memory', 'in a spool']) {
    for (const [way, end, code] of [
      ['process.exit()', () => process.exit(3), 3],
      [
        'an uncaught error',
        () => {
          throw new Error('boom');
        },
        1,
      ],
    ]) {
      test(`at ${way}, with events ${where}`, async (t) => {
        const segment = await startSegment(t, { faults: [{ delayMs: 600, times: Infinity }] });
        const spool = where === 'in memory' ? undefined : makeSpool(t).directory;
        const settings = { exitTimeout: 3_000, spool };
        const ended = await runClient(t, segment, tenClients(end), settings);
        assert.equal(ended.code, code);
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), TEN);
      });
    }
  }

  test('when a worker thread with them ends', async (t) => {
    const segment = await startSegment(t, { faults: [{ delayMs: 600, times: Infinity }] });
    const { took, ...ended } = await terminateWorker(t, segment, 3_000);
    assert.deepEqual(ended, { code: 0, stderr: '' });
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), TEN);
    assert.ok(took < AT_MOST_MS, `it took ${took} ms`);
  });
});

/** Terminates a worker thread with ten clients, and says how long that took. */
async function terminateWorker(t, segment, exitTimeout) {
  const source = `
    const { parentPort } = require('node:worker_threads');
    import('@companion/segment').then(({ Analytics }) => {
      for (let number = 0; number < 10; number += 1) {
        const analytics = new Analytics({ writeKey: 'k', host: '${segment.url}', exitTimeout: ${exitTimeout} });
        analytics.track({ userId: 'u1', event: 'e', messageId: 'm' + number });
      }
      parentPort.postMessage('tracked');
      setInterval(() => {}, 1_000);
    });
  `;
  const program = `async () => {
    const { Worker } = await import('node:worker_threads');
    const worker = new Worker(${JSON.stringify(source)}, { eval: true, execArgv: [] });
    await new Promise((resolve) => worker.once('message', resolve));
    const begun = performance.now();
    await worker.terminate();
    console.log(JSON.stringify(performance.now() - begun));
  }`;
  const { code, stderr, stdout } = await runClient(t, segment, program);
  return { code, stderr, took: lastLine(stdout) };
}

describe('a server that hangs delays the end by one exitTimeout, however many clients there are', () => {
  test('worker.terminate() with ten clients', async (t) => {
    const segment = await startSegment(t, HANGS);
    const { took, ...ended } = await terminateWorker(t, segment, EXIT_TIMEOUT_MS);
    assert.deepEqual(ended, { code: 0, stderr: '' });
    assert.ok(took < AT_MOST_MS, `it took ${took} ms`);
  });

  for (const [way, end] of [
    ['at the end of a script', ''],
    ['at process.exit()', 'process.exit(0)'],
  ]) {
    test(`fifteen clients that nobody refers to, ${way}`, async (t) => {
      const segment = await startSegment(t, HANGS);
      const program = `async ({ Analytics }, settings) => {
        for (let number = 0; number < 15; number += 1) {
          new Analytics(settings).track({ userId: 'u1', event: 'e' });
        }
        for (let turn = 0; turn < 20; turn += 1) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          globalThis.gc();
        }
        console.log(JSON.stringify(Date.now()));
        ${end}
      }`;
      const settings = { writeKey: KEY, host: segment.url, exitTimeout: EXIT_TIMEOUT_MS };
      const options = { nodeOptions: ['--expose-gc'] };
      const { code, stderr, stdout } = await runProgram(t, program, settings, options);
      const took = Date.now() - lastLine(stdout);
      assert.deepEqual([code, stderr], [0, '']);
      assert.ok(took < AT_MOST_MS, `it took ${took} ms`);
    });
  }

  for (const [what, turns] of [
    ['that nobody has referred to for a while', 20],
    ['that nobody refers to any more', 0],
  ]) {
    test(`clients ${what}, and clients that are held: all deliver at process.exit()`, async (t) => {
      const segment = await startSegment(t, { faults: [{ delayMs: 600, times: Infinity }] });
      const program = `async ({ Analytics }, settings) => {
        const kept = [];
        for (let number = 0; number < 10; number += 1) {
          const analytics = new Analytics(settings);
          analytics.track({ userId: 'u1', event: 'e', messageId: 'm' + number });
          if (number % 2 === 0) kept.push(analytics);
        }
        globalThis.gc();
        for (let turn = 0; turn < ${turns}; turn += 1) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          globalThis.gc();
        }
        process.exit(kept.length);
      }`;
      const settings = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS, exitTimeout: 3_000 };
      const { code } = await runProgram(t, program, settings, { nodeOptions: ['--expose-gc'] });
      assert.equal(code, 5);
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), TEN);
    });
  }
});
