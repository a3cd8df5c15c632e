/** What analytics-node does to its process, and what this package does: the same program with both. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { KEY, NEVER_MS, startSegment } from './support/clients.mjs';
import { lastLine, runScript } from './support/programs.mjs';

const THEIRS = '@segment/analytics-node';
const OURS = '@companion/segment';

/**
 * Runs `program(Analytics, argument)` of a package in a process of its own. It is given as text: it sees nothing of its
 * surroundings.
 */
function run(t, specifier, program, argument = {}, options = {}) {
  const source = `
    const { Analytics } = await import('${specifier}');
    await (${program})(Analytics, ${JSON.stringify(argument)});
  `;
  return runScript(t, source, options);
}

/** Nothing leaves by itself. Theirs waits 1.25 times as long for the end, and a timer can not be set to everything. */
const HOUR_MS = 3_600_000;

const settingsFor = (segment, more) => ({
  writeKey: KEY,
  host: segment.url,
  flushInterval: HOUR_MS,
  ...more,
});

describe('what was tracked when the process ends', { concurrency: true }, () => {
  for (const [what, end] of [
    [
      'process.exit()',
      (Analytics, { settings }) => {
        const analytics = new Analytics(settings);
        for (const messageId of ['m0', 'm1', 'm2']) analytics.track({ userId: 'u1', event: 'e', messageId });
        process.exit(3);
      },
    ],
    [
      'SIGTERM',
      (Analytics, { settings }) => {
        const analytics = new Analytics(settings);
        for (const messageId of ['m0', 'm1', 'm2']) analytics.track({ userId: 'u1', event: 'e', messageId });
        setImmediate(() => process.kill(process.pid, 'SIGTERM'));
      },
    ],
  ]) {
    const expected = what === 'SIGTERM' ? [null, 'SIGTERM'] : [3, null];

    test(`${what}: theirs sends none of it`, async (t) => {
      const segment = await startSegment(t);
      const { code, signal } = await run(t, THEIRS, end, { settings: settingsFor(segment) });
      assert.deepEqual([code, signal], expected);
      assert.deepEqual([segment.requestCount, segment.eventCount], [0, 0]);
    });

    test(`${what}: ours sends all of it, on signals where flushOnSignal says so`, async (t) => {
      const segment = await startSegment(t);
      const settings = settingsFor(segment, { flushOnSignal: ['SIGTERM'], exitTimeout: NEVER_MS });
      const { code, signal } = await run(t, OURS, end, { settings });
      assert.deepEqual([code, signal], expected);
      assert.deepEqual(segment.events.map(({ messageId }) => messageId).toSorted(), ['m0', 'm1', 'm2']);
    });
  }
});

describe('a listener of drained that throws', { concurrency: true }, () => {
  const program = async (Analytics, { settings }) => {
    const analytics = new Analytics(settings);
    analytics.on('drained', () => {
      throw new Error('boom');
    });
    analytics.track({ userId: 'u1', event: 'e' });
    await analytics.closeAndFlush();
  };

  test('theirs: an unhandled rejection, which ends the process', async (t) => {
    const segment = await startSegment(t);
    const { code, stderr } = await run(t, THEIRS, program, { settings: settingsFor(segment) });
    assert.equal(code, 1);
    assert.match(stderr, /Error: boom/);
  });

  test('ours: the process goes on', async (t) => {
    const segment = await startSegment(t);
    const { code, stderr } = await run(t, OURS, program, { settings: settingsFor(segment) });
    assert.deepEqual([code, stderr, segment.eventCount], [0, '', 1]);
  });
});

describe('12 batches that are tried again', { concurrency: true }, () => {
  const program = async (Analytics, { settings }) => {
    const warnings = [];
    process.on('warning', ({ name }) => warnings.push(name));
    const analytics = new Analytics(settings);
    for (let number = 0; number < 12; number += 1) analytics.track({ userId: 'u1', event: 'e' });
    await analytics.closeAndFlush();
    console.log(JSON.stringify(warnings));
  };
  const more = { flushAt: 1, maxRetries: 1, maxConcurrentRequests: 64 };
  const faults = [{ status: 503, times: 12 }];

  test('theirs leaves a listener for each on one signal', async (t) => {
    const segment = await startSegment(t, { faults });
    const { maxConcurrentRequests: _ours, ...settings } = settingsFor(segment, more);
    const { stdout, stderr } = await run(t, THEIRS, program, { settings });
    assert.deepEqual(lastLine(stdout), ['MaxListenersExceededWarning']);
    assert.match(stderr, /11 abort listeners added to \[AbortSignal\]/);
    assert.equal(segment.eventCount, 12);
  });

  test('ours leaves none', async (t) => {
    const segment = await startSegment(t, { faults });
    const settings = settingsFor(segment, more);
    const { stdout, stderr } = await run(t, OURS, program, { settings });
    assert.deepEqual([lastLine(stdout), stderr, segment.eventCount], [[], '', 12]);
    assert.equal(segment.requestCount, 24);
  });
});

describe('20,000 events in a row', () => {
  const EVENTS = 20_000;
  const program = async (Analytics, { settings, count }) => {
    const analytics = new Analytics(settings);
    for (let number = 0; number < count; number += 1) {
      analytics.track({ userId: 'u1', event: 'Ordered', properties: { number } });
    }
    await analytics.closeAndFlush();
  };

  test('theirs opens more than 1,000 connections', async (t) => {
    const segment = await startSegment(t, { record: false });
    await run(t, THEIRS, program, { settings: settingsFor(segment), count: EVENTS });
    assert.equal(segment.eventCount, EVENTS);
    assert.ok(segment.connectionCount > 1_000, `${segment.connectionCount} connections`);
  });

  test('ours opens as many as maxConcurrentRequests, which is 4', async (t) => {
    const segment = await startSegment(t, { record: false });
    await run(t, OURS, program, { settings: settingsFor(segment), count: EVENTS });
    assert.equal(segment.eventCount, EVENTS);
    assert.ok(segment.connectionCount <= 4, `${segment.connectionCount} connections`);
  });
});

describe('50,000 events while Segment answers 503', () => {
  const EVENTS = 50_000;
  const MAX_QUEUE_BYTES = 8 * 1_024 * 1_024;
  /** Tracks them, a thousand a turn, and tells what each costs that waits. */
  const program = async (Analytics, { settings, count }) => {
    const httpClient = { makeRequest: async () => ({ status: 503, statusText: 'Service Unavailable' }) };
    const analytics = new Analytics({ ...settings, httpClient });
    const heap = () => {
      gc();
      return process.memoryUsage().heapUsed;
    };
    const before = { heap: heap(), rss: process.memoryUsage.rss() };
    let taken = 0;
    for (let number = 0; number < count; number += 1) {
      if (analytics.track({ userId: 'u1', event: 'e' }) !== false) taken += 1;
      if (number % 1_000 === 0) await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
    const grown = { heap: heap() - before.heap, rss: process.memoryUsage.rss() - before.rss };
    const { pending, refused } = analytics.stats?.() ?? {};
    console.log(JSON.stringify({ taken, grown, pending, full: refused?.queue_full }));
    process.exit(0);
  };
  const options = { nodeOptions: ['--expose-gc'] };

  test('theirs takes all of them, and a heap of more than 4 KB for each', async (t) => {
    const settings = { writeKey: KEY, flushInterval: HOUR_MS };
    const { stdout } = await run(t, THEIRS, program, { settings, count: EVENTS }, options);
    const { taken, grown } = lastLine(stdout);
    t.diagnostic(`${Math.round(grown.heap / taken)} bytes of heap for each event`);
    assert.equal(taken, EVENTS);
    assert.ok(grown.heap > 4_096 * EVENTS, `${grown.heap} bytes of heap`);
  });

  test('ours takes what maxQueueBytes allows and says so of the rest; the heap does not grow', async (t) => {
    const settings = { writeKey: KEY, flushInterval: HOUR_MS, maxQueueBytes: MAX_QUEUE_BYTES };
    const { stdout } = await run(t, OURS, program, { settings, count: EVENTS }, options);
    const { taken, grown, pending, full } = lastLine(stdout);
    t.diagnostic(
      `${Math.round(grown.heap / taken)} bytes of heap for each of ${taken} events, ${grown.rss} in all`,
    );
    assert.deepEqual([taken, taken + full], [pending, EVENTS]);
    assert.ok(full > 0);
    assert.ok(grown.heap < 100 * taken, `${grown.heap} bytes of heap`);
    assert.ok(grown.rss < 8 * MAX_QUEUE_BYTES, `${grown.rss} bytes in all`);
  });
});
