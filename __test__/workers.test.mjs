/** Clients in worker threads: each its own, all on one engine, in a real process each time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { NEVER_MS, messageIdsOf, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const WORKER = new URL('./support/tracking-worker.mjs', import.meta.url).href;

/**
 * Runs `program` with `start(workerData)`, which starts a worker and gives it with promises of its messages and
 * its exit code. The program is text, so it sees nothing of this file.
 */
function run(t, segment, program, settings = { exitTimeout: NEVER_MS }) {
  const source = `async (exported, { url, host, settings }) => {
    const { Worker } = await import('node:worker_threads');
    const { once } = await import('node:events');
    const start = (workerData) => {
      const worker = new Worker(new URL(url), { execArgv: [], workerData: { host, settings, count: 20, prefix: 'w', ...workerData } });
      const exit = new Promise((resolve) => worker.once('exit', resolve));
      const tracked = new Promise((resolve) => worker.once('message', resolve));
      return { worker, exit, tracked };
    };
    await (${program})({ start, once, host, settings, ...exported });
  }`;
  return runProgram(t, source, { url: WORKER, host: segment.url, settings });
}

function assertAll(segment, prefixes, count = 20) {
  const expected = prefixes.flatMap((prefix) =>
    Array.from({ length: count }, (_, index) => `${prefix}-${index}`),
  );
  assert.deepEqual(messageIdsOf(segment.events).toSorted(), expected.toSorted());
}

describe('worker threads', { concurrency: 2 }, () => {
  test('several at once and the main thread deliver everything, and the process ends by itself', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ start, Analytics, host, settings }) => {
      const workers = ['a', 'b', 'c', 'd'].map((prefix) => start({ prefix, count: 500, end: 'flush' }));
      const analytics = new Analytics({ writeKey: 'main', host, ...settings });
      for (let index = 0; index < 500; index += 1)
        analytics.track({ userId: 'u1', event: 'e', messageId: `main-${index}` });
      const { delivered } = await analytics.flush();
      const codes = await Promise.all(workers.map(({ exit }) => exit));
      console.log(JSON.stringify({ delivered, codes }));
    };
    const { code, stderr, stdout } = await run(t, segment, program);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(lastLine(stdout), { delivered: 500, codes: [0, 0, 0, 0] });
    assertAll(segment, ['a', 'b', 'c', 'd', 'main'], 500);
  });

  test('each has its own counters', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ start, once }) => {
      const workers = [10, 20, 30].map((count) => start({ prefix: `w${count}`, count, end: 'flush' }));
      const stats = workers.map(async ({ worker, tracked }) => {
        await tracked;
        return (await once(worker, 'message'))[0].stats;
      });
      console.log(
        JSON.stringify((await Promise.all(stats)).map(({ accepted, delivered }) => [accepted, delivered])),
      );
    };
    const { code, stdout } = await run(t, segment, program);
    assert.equal(code, 0);
    assert.deepEqual(lastLine(stdout), [
      [10, 10],
      [20, 20],
      [30, 30],
    ]);
  });

  for (const [what, end, code] of [
    ['ends without a flush', 'none', 0],
    ['calls process.exit()', 'exit', 7],
    ['dies of an error', 'throw', 1],
  ]) {
    test(`one that ${what} delivers, and the process goes on`, async (t) => {
      const segment = await startSegment(t);
      const program = `async ({ start }) => {
        const { worker, exit } = start({ end: '${end}' });
        const errors = [];
        worker.on('error', ({ message }) => errors.push(message));
        console.log(JSON.stringify({ code: await exit, errors }));
      }`;
      const ended = await run(t, segment, program);
      assert.deepEqual([ended.code, ended.stderr], [0, '']);
      assert.deepEqual(lastLine(ended.stdout), { code, errors: end === 'throw' ? ['the worker fails'] : [] });
      assertAll(segment, ['w']);
    });
  }

  test('one that is terminated with pending events delivers them, and the process goes on', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ start }) => {
      const { worker, tracked } = start({ end: 'stay' });
      await tracked;
      console.log(JSON.stringify(await worker.terminate()));
    };
    const { code, stderr, stdout } = await run(t, segment, program);
    assert.deepEqual([code, stderr, lastLine(stdout)], [0, '', 1]);
    assertAll(segment, ['w']);
  });

  test('one that is terminated while its server hangs is let go of after exitTimeout', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
    const program = async ({ start }) => {
      const { worker, tracked } = start({ end: 'stay' });
      await tracked;
      console.log(JSON.stringify(await worker.terminate()));
    };
    const { code, stderr, stdout } = await run(t, segment, program, { exitTimeout: 50 });
    assert.deepEqual([code, stderr, lastLine(stdout)], [0, '', 1]);
  });

  for (const [what, settings] of [
    ['and a flush under way', { flushAt: 1 }],
    ['and an httpClient', { httpClient: 'fetch' }],
  ]) {
    test(`one that is terminated with callbacks, listeners ${what} does not crash`, async (t) => {
      const segment = await startSegment(t, { faults: [{ delayMs: 5, times: Infinity }] });
      const program = async ({ start }) => {
        for (let round = 0; round < 5; round += 1) {
          const { worker, tracked } = start({ prefix: `r${round}`, end: 'listen' });
          await tracked;
          await worker.terminate();
        }
      };
      const { code, signal, stderr } = await run(t, segment, program, { exitTimeout: 2_000, ...settings });
      assert.deepEqual([code, signal, stderr], [0, null, '']);
    });
  }

  test('a process that exits takes its workers along, with what they had', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ start }) => {
      const workers = ['a', 'b', 'c'].map((prefix) => start({ prefix, end: 'stay' }));
      await Promise.all(workers.map(({ tracked }) => tracked));
      process.exit(6);
    };
    const { code, signal, stderr } = await run(t, segment, program);
    assert.deepEqual([code, signal, stderr], [6, null, '']);
    assertAll(segment, ['a', 'b', 'c']);
  });

  test('an idle client does not hold its worker open', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ start }) => {
      const { exit } = start({ count: 0 });
      console.log(JSON.stringify(await exit));
    };
    const { code, stdout } = await run(t, segment, program);
    assert.deepEqual([code, lastLine(stdout)], [0, 0]);
  });

  test('fifty, one after the other, end without a crash and lose nothing', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ start }) => {
      for (let round = 0; round < 50; round += 1) {
        const { worker, exit, tracked } = start({
          prefix: `r${round}`,
          count: 3,
          end: round % 2 === 0 ? 'none' : 'stay',
        });
        await tracked;
        if (round % 2 === 1) await worker.terminate();
        await exit;
      }
    };
    const { code, signal, stderr } = await run(t, segment, program);
    assert.deepEqual([code, signal, stderr], [0, null, '']);
    assertAll(
      segment,
      Array.from({ length: 50 }, (_, round) => `r${round}`),
      3,
    );
  });
});
