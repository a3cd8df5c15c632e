/** What holds a process open, which is only who awaits a promise of ours, and what does not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startSegment } from './support/clients.mjs';
import { lastLine, runClient } from './support/programs.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };

describe('nothing is held up', { concurrency: 2 }, () => {
  for (const [what, program] of [
    ['by an idle client', () => {}],
    [
      'by an idle client with listeners',
      ({ analytics }) => {
        for (const event of ['track', 'error', 'drained']) analytics.on(event, () => {});
      },
    ],
    [
      'by a client that has delivered, with its connection open',
      async ({ track, analytics }) => {
        track('m1');
        await analytics.flush();
      },
    ],
    [
      'by a closed client',
      async ({ track, analytics }) => {
        track('m1');
        await analytics.closeAndFlush();
      },
    ],
    [
      'by a hundred clients',
      ({ make }) => {
        for (let count = 0; count < 100; count += 1) make();
      },
    ],
    [
      'by a client whose promises have settled',
      async ({ analytics }) => {
        await Promise.all([analytics.deliver.track({ userId: 'u1', event: 'e' }), analytics.flush()]);
      },
    ],
  ]) {
    test(what, async (t) => {
      const segment = await startSegment(t);
      const { code, signal, stderr } = await runClient(t, segment, program);
      assert.deepEqual([code, signal, stderr], [0, null, '']);
    });
  }

  for (const [what, program, code] of [
    ['at the end of a script', ({ track }) => track('m1'), 0],
    [
      'at process.exit()',
      ({ track }) => {
        track('m1');
        process.exit(3);
      },
      3,
    ],
    [
      'at an uncaught error',
      ({ track }) => {
        track('m1');
        throw new Error('boom');
      },
      1,
    ],
    [
      'with a callback and a listener',
      ({ track, analytics }) => {
        analytics.on('drained', () => {});
        track('m1', () => {});
      },
      0,
    ],
    [
      'with many clients',
      ({ make }) => {
        for (let count = 0; count < 20; count += 1) make().track({ userId: 'u1', event: 'e' });
      },
      0,
    ],
  ]) {
    for (const [how, faults] of [
      ['that hangs', HANGS.faults],
      ['that refuses', [{ status: 503, times: Infinity }]],
    ]) {
      test(`for longer than exitTimeout by a server ${how}, ${what}`, async (t) => {
        const segment = await startSegment(t, { faults });
        const ended = await runClient(t, segment, program, { exitTimeout: 50 });
        assert.deepEqual([ended.code, ended.signal, segment.eventCount], [code, null, 0]);
      });
    }
  }

  test('by a server that is down', async (t) => {
    const segment = await startSegment(t);
    await segment.pause();
    const { code, stderr } = await runClient(t, segment, ({ track }) => track('m1'), { exitTimeout: 50 });
    assert.deepEqual([code, stderr], [0, '']);
  });

  test('by a client of the application at process.exit(), which can not send any more', async (t) => {
    const segment = await startSegment(t);
    const program = ({ make }) => {
      const httpClient = (url, request) => fetch(url, request);
      make({ httpClient }).track({
        userId: 'u1',
        event: 'e',
      });
      process.exit(5);
    };
    assert.equal((await runClient(t, segment, program)).code, 5);
  });

  test('by signals: no handler is installed for them', async (t) => {
    const segment = await startSegment(t, HANGS);
    const program = ({ track, analytics }) => {
      track('m1');
      void analytics.flush();
      console.log(JSON.stringify(['SIGTERM', 'SIGINT', 'SIGHUP'].map((name) => process.listenerCount(name))));
      process.kill(process.pid, 'SIGTERM');
    };
    const { code, signal, stdout } = await runClient(t, segment, program);
    assert.deepEqual([code, signal, lastLine(stdout)], [null, 'SIGTERM', [0, 0, 0]]);
  });
});

describe('promises hold the process open until they settle', { concurrency: 2 }, () => {
  for (const [what, program] of [
    [
      'flush()',
      async ({ track, analytics }) => {
        track('m1');
        await analytics.flush();
        console.log('"over"');
      },
    ],
    [
      'closeAndFlush()',
      async ({ track, analytics }) => {
        track('m1');
        await analytics.closeAndFlush();
        console.log('"over"');
      },
    ],
    [
      'deliver',
      async ({ analytics }) => {
        await analytics.deliver.track({ userId: 'u1', event: 'e' });
        console.log('"over"');
      },
    ],
  ]) {
    test(what, async (t) => {
      const segment = await startSegment(t, { faults: [{ status: 500 }, { delayMs: 50 }] });
      const { code, stdout } = await runClient(t, segment, program, { flushAt: 1, exitTimeout: 0 });
      assert.deepEqual([code, lastLine(stdout), segment.eventCount], [0, 'over', 1]);
    });
  }
});
