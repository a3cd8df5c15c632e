/** Every way out of a process ends a pause after failures: the server may long be well. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { messageIdsOf, startSegment } from './support/clients.mjs';
import { FAILURES, SOON_MS } from './support/engine-back-offs.mjs';
import { endBy, runClient } from './support/programs.mjs';
import { makeSpool } from './support/spools.mjs';

/** What is left to do once the client backs off, and how the process ends. */
const WAYS = {
  'process.exit()': { end: () => process.exit(3), code: 3 },
  'a loop that runs dry': { end: () => {} },
  'an uncaught error': {
    end: () => {
      throw new Error('boom');
    },
    code: 1,
  },
};
if (process.platform !== 'win32') {
  // On Windows no process can send it to be listened to.
  WAYS['a signal that flushOnSignal names'] = {
    end: () => {
      setInterval(() => {}, 1_000);
      process.kill(process.pid, 'SIGTERM');
    },
    settings: { flushOnSignal: ['SIGTERM'] },
    signal: 'SIGTERM',
  };
}

const untilBackedOff = `async (analytics) => {
  while (analytics.stats().consecutiveFailures < ${FAILURES}) await new Promise((resolve) => setTimeout(resolve, 5));
}`;

describe('what waits after failures is delivered', { concurrency: 4 }, () => {
  for (const [way, { end, code = 0, signal, settings }] of Object.entries(WAYS)) {
    for (const where of ['in memory', 'in a spool']) {
      for (const [what, fault] of [
        ['503', { status: 503 }],
        ['a reset', { reset: 'after-body' }],
      ]) {
        test(`at ${way}, ${where}, after ${what}`, async (t) => {
          const segment = await startSegment(t, { faults: [{ ...fault, times: FAILURES }] });
          const spool = where === 'in memory' ? undefined : makeSpool(t).directory;
          const program = `async ({ track, analytics }) => {
            track('m1');
            await (${untilBackedOff})(analytics);
            await (${end})();
          }`;
          const more = { flushAt: 1, exitTimeout: SOON_MS, spool, ...settings };
          const ended = await runClient(t, segment, program, more);
          const expected = signal ? endBy(signal) : { code, signal: null };
          assert.deepEqual({ code: ended.code, signal: ended.signal }, expected, ended.stderr);
          assert.deepEqual(messageIdsOf(segment.events), ['m1']);
        });
      }
    }
  }

  for (const [how, last] of [
    ['ends by itself', ''],
    ['calls process.exit()', 'process.exit(0)'],
    ['is terminated', "parentPort.postMessage('backed off'); setInterval(() => {}, 1_000)"],
  ]) {
    test(`when a worker thread ${how}`, async (t) => {
      const segment = await startSegment(t, { faults: [{ status: 503, times: FAILURES }] });
      const source = `
        const { parentPort } = require('node:worker_threads');
        import('@companion/segment').then(async ({ Analytics }) => {
          const analytics = new Analytics({ writeKey: 'k', host: '${segment.url}', flushAt: 1, exitTimeout: ${SOON_MS} });
          analytics.track({ userId: 'u1', event: 'e', messageId: 'm1' });
          await (${untilBackedOff})(analytics);
          ${last};
        });
      `;
      const program = `async () => {
        const { Worker } = await import('node:worker_threads');
        const worker = new Worker(${JSON.stringify(source)}, { eval: true, execArgv: [] });
        worker.once('message', () => void worker.terminate());
        await new Promise((resolve) => worker.once('exit', resolve));
      }`;
      const { code, stderr } = await runClient(t, segment, program);
      assert.deepEqual([code, stderr, messageIdsOf(segment.events)], [0, '', ['m1']]);
    });
  }
});
