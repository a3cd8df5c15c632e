/** Every orderly way out of a process delivers what was accepted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { messageIdsOf, startSegment } from './support/clients.mjs';
import { PATIENT, lastLine, runClient } from './support/programs.mjs';

describe('what was tracked is delivered without a flush', { concurrency: 2 }, () => {
  for (const [what, program, code, stderr] of [
    ['at the end of a script', ({ track }) => track('m1'), 0, /^$/],
    [
      'at process.exit()',
      ({ track }) => {
        track('m1');
        process.exit(3);
      },
      3,
      /^$/,
    ],
    [
      'at process.exit() in a timer',
      ({ track }) => {
        setTimeout(() => {
          track('m1');
          process.exit(3);
        }, 1);
      },
      3,
      /^$/,
    ],
    [
      'with process.exitCode',
      ({ track }) => {
        track('m1');
        process.exitCode = 4;
      },
      4,
      /^$/,
    ],
    [
      'at an uncaught error',
      ({ track }) => {
        setImmediate(() => {
          track('m1');
          throw new Error('boom');
        });
      },
      1,
      /Error: boom/,
    ],
    [
      'at an unhandled rejection',
      ({ track }) => {
        track('m1');
        void Promise.reject(new Error('boom'));
      },
      1,
      /Error: boom/,
    ],
    [
      'at an error of ours',
      ({ track, analytics }) => {
        track('m1');
        analytics.track({});
      },
      1,
      /ValidationError/,
    ],
    [
      'when it was tracked in a beforeExit handler',
      ({ track }) => {
        process.once('beforeExit', () => track('m1'));
      },
      0,
      /^$/,
    ],
    [
      'when it was tracked in an exit handler that came first',
      ({ make }) => {
        process.on('exit', () => late.track({ userId: 'u1', event: 'e', messageId: 'm1' }));
        const late = make();
      },
      0,
      /^$/,
    ],
    [
      'by a client that nobody holds any more',
      ({ make }) => {
        (() => make().track({ userId: 'u1', event: 'e', messageId: 'm1' }))();
      },
      0,
      /^$/,
    ],
    [
      'at the end of a script with a timer that was unref()ed',
      ({ track }) => {
        track('m1');
        setInterval(() => {}, 1e6).unref();
      },
      0,
      /^$/,
    ],
  ]) {
    test(what, async (t) => {
      const segment = await startSegment(t);
      const ended = await runClient(t, segment, program);
      assert.deepEqual([ended.code, ended.signal], [code, null]);
      assert.match(ended.stderr, stderr);
      assert.deepEqual(messageIdsOf(segment.events), ['m1']);
    });
  }

  test('thousands of events, by several clients', async (t) => {
    const segment = await startSegment(t);
    const { code } = await runClient(t, segment, ({ make }) => {
      for (let client = 0; client < 5; client += 1) {
        const analytics = make();
        for (let index = 0; index < 1_000; index += 1)
          analytics.track({ userId: 'u1', event: 'e', messageId: `${client}-${index}` });
      }
      process.exit(0);
    });
    assert.equal(code, 0);
    assert.equal(segment.eventCount, 5_000);
    assert.equal(segment.duplicates().size, 0);
  });

  test('after a failed attempt, within exitTimeout', async (t) => {
    for (const program of [
      ({ track }) => track('m1'),
      ({ track }) => {
        track('m1');
        process.exit(0);
      },
    ]) {
      const segment = await startSegment(t, { faults: [{ status: 500 }] });
      await runClient(t, segment, program);
      assert.equal(segment.eventCount, 1);
    }
  });

  test('through plugins', async (t) => {
    const segment = await startSegment(t);
    const { code } = await runClient(t, segment, async ({ track, analytics }) => {
      const slow = () => new Promise((resolve) => setTimeout(resolve, 10));
      await analytics.register({
        name: 'slow',
        type: 'before',
        isLoaded: () => true,
        load: slow,
        track: slow,
      });
      track('m1');
    });
    assert.deepEqual([code, messageIdsOf(segment.events)], [0, ['m1']]);
  });

  test('through a client of the application, where the loop runs dry', async (t) => {
    const segment = await startSegment(t);
    const program = ({ make }) => {
      const httpClient = (url, request) => fetch(url, request);
      make({ httpClient }).track({ userId: 'u1', event: 'e', messageId: 'm1' });
    };
    const { code, stderr } = await runClient(t, segment, program);
    assert.deepEqual([code, stderr, messageIdsOf(segment.events)], [0, '', ['m1']]);
  });

  for (const [what, after] of [
    ['before', () => {}],
    [
      'after',
      (analytics) => {
        while (analytics.stats().pending > 0);
      },
    ],
  ]) {
    test(`and callbacks and listeners hear of it, where the loop runs dry ${what} the delivery`, async (t) => {
      const segment = await startSegment(t);
      const program = `({ track, analytics }) => {
        analytics.on('track', ({ event }) => console.log('listener', event.messageId));
        track('m1', (error, { event }) => console.log('callback', error, event.messageId));
        void analytics.deliver.track({ userId: 'u1', event: 'e' }).then(() => console.log('promise'));
        (${after})(analytics);
      }`;
      const { stdout } = await runClient(t, segment, program, {
        ...PATIENT,
        flushAt: 1,
        maxConcurrentRequests: 1,
      });
      const lines = stdout.trim().split('\n');
      assert.deepEqual(lines.slice(0, 2), ['callback undefined m1', 'listener m1']);
      assert.ok(lines.includes('promise'));
    });
  }

  test('and callbacks are called, where nobody awaits anything', async (t) => {
    const segment = await startSegment(t);
    const program = ({ track, analytics }) => {
      track('m1', () => console.log('"called"'));
      while (analytics.stats().pending > 0);
    };
    const { stdout } = await runClient(t, segment, program, { ...PATIENT, flushAt: 1 });
    assert.equal(lastLine(stdout), 'called');
  });

  test('and listeners are told, where nobody awaits anything', async (t) => {
    const segment = await startSegment(t);
    const program = ({ track, analytics }) => {
      analytics.on('track', () => console.log('"told"'));
      track('m1');
      while (analytics.stats().pending > 0);
    };
    const { stdout } = await runClient(t, segment, program, { ...PATIENT, flushAt: 1 });
    assert.equal(lastLine(stdout), 'told');
  });
});
