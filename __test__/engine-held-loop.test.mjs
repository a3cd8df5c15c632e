/** A loop that is held up: what it has to be told is bounded, and nothing of it is lost. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { KEY, NEVER_MS, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const COUNT = 100_000;
const MIB = 1_048_576;
const HELD_MS = 4_000;

/** Tracks events of a kilobyte to whom somebody listens, and lets nobody listen for some seconds. */
const program = `async ({ Analytics }, { settings, count, heldMs, ways }) => {
  const analytics = new Analytics(settings);
  const told = new Uint8Array(count);
  let many = 0;
  const tell = ({ event: { messageId } }) => {
    told[Number(messageId.slice(1))] += 1;
    many += 1;
  };
  if (ways === 'listener') analytics.on('track', tell);
  const callback = ways === 'callback' ? (_error, context) => tell(context) : undefined;
  const properties = { filler: 'x'.repeat(800) };
  for (let number = 0; number < count; number += 1) {
    if (!analytics.track({ userId: 'u1', event: 'e', messageId: 'm' + number, properties }, callback))
      throw new Error('not accepted');
  }
  const before = process.memoryUsage.rss();
  void analytics.flush();
  let peak = 0;
  const look = () => (peak = Math.max(peak, process.memoryUsage.rss()));
  const until = performance.now() + heldMs;
  while (performance.now() < until) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    look();
  }
  const { delivered } = analytics.stats();
  while (many < count) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    look();
  }
  await new Promise((resolve) => setImmediate(resolve));
  const once = told.every((times) => times === 1);
  console.log(JSON.stringify({ delivered, grown: peak - before, once, stats: analytics.stats() }));
}`;

describe('a loop that is held up for seconds', () => {
  for (const ways of ['listener', 'callback']) {
    test(`gets all of it afterwards, and memory stays bounded: a ${ways}`, async (t) => {
      const segment = await startSegment(t, { record: false });
      const settings = {
        writeKey: KEY,
        host: segment.url,
        flushInterval: NEVER_MS,
        maxQueueBytes: 256 * MIB,
      };
      const argument = { settings, count: COUNT, heldMs: HELD_MS, ways };
      const { code, stdout, stderr } = await runProgram(t, program, argument);
      assert.deepEqual([code, stderr], [0, '']);
      const { delivered, grown, once, stats } = lastLine(stdout);
      t.diagnostic(`${delivered} delivered meanwhile, ${Math.round(grown / MIB)} MiB more`);
      assert.deepEqual([stats.delivered, stats.pending, once], [COUNT, 0, true]);
      assert.ok(delivered < COUNT / 5, `${delivered} were delivered although nobody could be told`);
      assert.ok(grown < 200 * MIB, `${grown} bytes more`);
    });
  }

  test('delivers everything where nobody has to be told', async (t) => {
    const segment = await startSegment(t, { record: false });
    const source = `async ({ Analytics }, { settings, count }) => {
      const analytics = new Analytics(settings);
      analytics.on('error', () => {});
      for (let number = 0; number < count; number += 1) analytics.track({ userId: 'u1', event: 'e' });
      void analytics.flush();
      while (analytics.stats().pending > 0);
      console.log(JSON.stringify(analytics.stats().delivered));
      process.exit(0);
    }`;
    const settings = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS };
    const { stdout } = await runProgram(t, source, { settings, count: 20_000 });
    assert.equal(lastLine(stdout), 20_000);
  });

  test('delivers everything at process.exit(), although nobody can be told any more', async (t) => {
    const segment = await startSegment(t, { record: false });
    const source = `async ({ Analytics }, { settings, count }) => {
      const analytics = new Analytics(settings);
      analytics.on('track', () => {});
      for (let number = 0; number < count; number += 1) analytics.track({ userId: 'u1', event: 'e' }, () => {});
      process.exit(0);
    }`;
    const settings = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS, exitTimeout: NEVER_MS };
    const { code } = await runProgram(t, source, { settings, count: 20_000 });
    assert.deepEqual([code, segment.eventCount], [0, 20_000]);
  });
});
