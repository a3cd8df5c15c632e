/** What analytics-node does to its process, and what this package does: the same program with both. */
import assert from 'node:assert/strict';

import { KEY, NEVER_MS, startSegment } from '../support/clients.mjs';
import { lastLine, runScript } from '../support/programs.mjs';

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

/** Ends of a process with three events in its client. */
const ends = [
  [
    'process.exit()',
    [3, null],
    (Analytics, { settings }) => {
      const analytics = new Analytics(settings);
      for (const messageId of ['m0', 'm1', 'm2']) analytics.track({ userId: 'u1', event: 'e', messageId });
      process.exit(3);
    },
  ],
  [
    'SIGTERM',
    [null, 'SIGTERM'],
    (Analytics, { settings }) => {
      const analytics = new Analytics(settings);
      for (const messageId of ['m0', 'm1', 'm2']) analytics.track({ userId: 'u1', event: 'e', messageId });
      setImmediate(() => process.kill(process.pid, 'SIGTERM'));
    },
  ],
].map(([what, expected, end]) => ({
  what: `what was tracked when the process ends by ${what}`,
  theirs: [
    'sends none of it',
    async (t) => {
      const segment = await startSegment(t);
      const { code, signal } = await run(t, THEIRS, end, { settings: settingsFor(segment) });
      assert.deepEqual([code, signal], expected);
      assert.deepEqual([segment.requestCount, segment.eventCount], [0, 0]);
    },
  ],
  ours: [
    'sends all of it, on signals where flushOnSignal says so',
    async (t) => {
      const segment = await startSegment(t);
      const settings = settingsFor(segment, { flushOnSignal: ['SIGTERM'], exitTimeout: NEVER_MS });
      const { code, signal } = await run(t, OURS, end, { settings });
      assert.deepEqual([code, signal], expected);
      assert.deepEqual(segment.events.map(({ messageId }) => messageId).toSorted(), ['m0', 'm1', 'm2']);
    },
  ],
}));

const throwingOnDrained = async (Analytics, { settings }) => {
  const analytics = new Analytics(settings);
  analytics.on('drained', () => {
    throw new Error('boom');
  });
  analytics.track({ userId: 'u1', event: 'e' });
  await analytics.closeAndFlush();
};

const tryingAgain = async (Analytics, { settings }) => {
  const warnings = [];
  process.on('warning', ({ name }) => warnings.push(name));
  const analytics = new Analytics(settings);
  for (let number = 0; number < 12; number += 1) analytics.track({ userId: 'u1', event: 'e' });
  await analytics.closeAndFlush();
  console.log(JSON.stringify(warnings));
};
const AGAIN = { flushAt: 1, maxRetries: 1, maxConcurrentRequests: 64 };
const faults = [{ status: 503, times: 12 }];

const EVENTS_IN_A_ROW = 20_000;
const trackingInARow = async (Analytics, { settings, count }) => {
  const analytics = new Analytics(settings);
  for (let number = 0; number < count; number += 1) {
    analytics.track({ userId: 'u1', event: 'Ordered', properties: { number } });
  }
  await analytics.closeAndFlush();
};

const EVENTS_IN_AN_OUTAGE = 50_000;
const MAX_QUEUE_BYTES = 8 * 1_024 * 1_024;
/** Tracks them, a thousand a turn, and tells what each costs that waits. */
const trackingInAnOutage = async (Analytics, { settings, count }) => {
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

export const cases = [
  ...ends,
  {
    what: 'a listener of drained that throws',
    theirs: [
      'ends the process by an unhandled rejection',
      async (t) => {
        const segment = await startSegment(t);
        const { code, stderr } = await run(t, THEIRS, throwingOnDrained, { settings: settingsFor(segment) });
        assert.equal(code, 1);
        assert.match(stderr, /Error: boom/);
      },
    ],
    ours: [
      'lets the process go on',
      async (t) => {
        const segment = await startSegment(t);
        const { code, stderr } = await run(t, OURS, throwingOnDrained, { settings: settingsFor(segment) });
        assert.deepEqual([code, stderr, segment.eventCount], [0, '', 1]);
      },
    ],
  },
  {
    what: '12 batches that are tried again',
    theirs: [
      'leaves a listener for each on one signal',
      async (t) => {
        const segment = await startSegment(t, { faults });
        const { maxConcurrentRequests: _ours, ...settings } = settingsFor(segment, AGAIN);
        const { stdout, stderr } = await run(t, THEIRS, tryingAgain, { settings });
        assert.deepEqual(lastLine(stdout), ['MaxListenersExceededWarning']);
        assert.match(stderr, /11 abort listeners added to \[AbortSignal\]/);
        assert.equal(segment.eventCount, 12);
      },
    ],
    ours: [
      'leaves none',
      async (t) => {
        const segment = await startSegment(t, { faults });
        const settings = settingsFor(segment, AGAIN);
        const { stdout, stderr } = await run(t, OURS, tryingAgain, { settings });
        assert.deepEqual([lastLine(stdout), stderr, segment.eventCount], [[], '', 12]);
        assert.equal(segment.requestCount, 24);
      },
    ],
  },
  {
    what: '20,000 events in a row',
    theirs: [
      'opens more than 1,000 connections',
      async (t) => {
        const segment = await startSegment(t, { record: false });
        await run(t, THEIRS, trackingInARow, { settings: settingsFor(segment), count: EVENTS_IN_A_ROW });
        assert.equal(segment.eventCount, EVENTS_IN_A_ROW);
        assert.ok(segment.connectionCount > 1_000, `${segment.connectionCount} connections`);
      },
    ],
    ours: [
      'opens as many as maxConcurrentRequests, which is 4',
      async (t) => {
        const segment = await startSegment(t, { record: false });
        await run(t, OURS, trackingInARow, { settings: settingsFor(segment), count: EVENTS_IN_A_ROW });
        assert.equal(segment.eventCount, EVENTS_IN_A_ROW);
        assert.ok(segment.connectionCount <= 4, `${segment.connectionCount} connections`);
      },
    ],
  },
  {
    what: '50,000 events while Segment answers 503',
    theirs: [
      'takes all of them, and a heap of more than 4 KB for each',
      async (t) => {
        const settings = { writeKey: KEY, flushInterval: HOUR_MS };
        const { stdout } = await run(
          t,
          THEIRS,
          trackingInAnOutage,
          { settings, count: EVENTS_IN_AN_OUTAGE },
          options,
        );
        const { taken, grown } = lastLine(stdout);
        t.diagnostic(`${Math.round(grown.heap / taken)} bytes of heap for each event`);
        assert.equal(taken, EVENTS_IN_AN_OUTAGE);
        assert.ok(grown.heap > 4_096 * EVENTS_IN_AN_OUTAGE, `${grown.heap} bytes of heap`);
      },
    ],
    ours: [
      'takes what maxQueueBytes allows and says so of the rest; the heap does not grow',
      async (t) => {
        const settings = { writeKey: KEY, flushInterval: HOUR_MS, maxQueueBytes: MAX_QUEUE_BYTES };
        const { stdout } = await run(
          t,
          OURS,
          trackingInAnOutage,
          { settings, count: EVENTS_IN_AN_OUTAGE },
          options,
        );
        const { taken, grown, pending, full } = lastLine(stdout);
        t.diagnostic(
          `${Math.round(grown.heap / taken)} bytes of heap for each of ${taken} events, ${grown.rss} in all`,
        );
        assert.deepEqual([taken, taken + full], [pending, EVENTS_IN_AN_OUTAGE]);
        assert.ok(full > 0);
        assert.ok(grown.heap < 100 * taken, `${grown.heap} bytes of heap`);
        assert.ok(grown.rss < 8 * MAX_QUEUE_BYTES, `${grown.rss} bytes in all`);
      },
    ],
  },
];
