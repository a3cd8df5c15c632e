/** Every orderly way out of a process delivers what was accepted, and none is held up. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { NEVER_MS, messageIdsOf, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };

/** As long as it takes: no test passes or fails by its speed. */
const PATIENT = { exitTimeout: NEVER_MS };

/**
 * Runs a program that gets `make(settings)` for clients, a first client and its `track(messageId)`. Nothing leaves
 * before the end by itself. The program is text, so it sees nothing of this file.
 */
function run(t, segment, program, settings = PATIENT) {
  const source = `async ({ Analytics }, { settings }) => {
    const make = (more) => new Analytics({ ...settings, ...more });
    const analytics = make();
    const track = (messageId, callback) => analytics.track({ userId: 'u1', event: 'e', messageId }, callback);
    await (${program})({ analytics, track, make });
  }`;
  const defaults = { writeKey: 'k', host: segment.url, flushInterval: NEVER_MS };
  return runProgram(t, source, { settings: { ...defaults, ...settings } });
}

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
      const ended = await run(t, segment, program);
      assert.deepEqual([ended.code, ended.signal], [code, null]);
      assert.match(ended.stderr, stderr);
      assert.deepEqual(messageIdsOf(segment.events), ['m1']);
    });
  }

  test('thousands of events, by several clients', async (t) => {
    const segment = await startSegment(t);
    const { code } = await run(t, segment, ({ make }) => {
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
      await run(t, segment, program);
      assert.equal(segment.eventCount, 1);
    }
  });

  test('through plugins', async (t) => {
    const segment = await startSegment(t);
    const { code } = await run(t, segment, async ({ track, analytics }) => {
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
    const { code, stderr } = await run(t, segment, program);
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
      const { stdout } = await run(t, segment, program, { ...PATIENT, flushAt: 1, maxConcurrentRequests: 1 });
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
    const { stdout } = await run(t, segment, program, { ...PATIENT, flushAt: 1 });
    assert.equal(lastLine(stdout), 'called');
  });

  test('and listeners are told, where nobody awaits anything', async (t) => {
    const segment = await startSegment(t);
    const program = ({ track, analytics }) => {
      analytics.on('track', () => console.log('"told"'));
      track('m1');
      while (analytics.stats().pending > 0);
    };
    const { stdout } = await run(t, segment, program, { ...PATIENT, flushAt: 1 });
    assert.equal(lastLine(stdout), 'told');
  });
});

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
      const { code, signal, stderr } = await run(t, segment, program);
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
        const ended = await run(t, segment, program, { exitTimeout: 50 });
        assert.deepEqual([ended.code, ended.signal, segment.eventCount], [code, null, 0]);
      });
    }
  }

  test('by a server that is down', async (t) => {
    const segment = await startSegment(t);
    await segment.pause();
    const { code, stderr } = await run(t, segment, ({ track }) => track('m1'), { exitTimeout: 50 });
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
    assert.equal((await run(t, segment, program)).code, 5);
  });

  test('by signals: no handler is installed for them', async (t) => {
    const segment = await startSegment(t, HANGS);
    const program = ({ track, analytics }) => {
      track('m1');
      void analytics.flush();
      console.log(JSON.stringify(['SIGTERM', 'SIGINT', 'SIGHUP'].map((name) => process.listenerCount(name))));
      process.kill(process.pid, 'SIGTERM');
    };
    const { code, signal, stdout } = await run(t, segment, program);
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
      const { code, stdout } = await run(t, segment, program, { flushAt: 1, exitTimeout: 0 });
      assert.deepEqual([code, lastLine(stdout), segment.eventCount], [0, 'over', 1]);
    });
  }
});
