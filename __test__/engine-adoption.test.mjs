/** What killed processes left on disk: those that take it over keep working meanwhile, share it, and lose nothing of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { messageIdsOf, startSegment, trackMany } from './support/clients.mjs';
import { endBy, lastLine } from './support/programs.mjs';
import { makeSpool, runSpooling, until, untilEmpty, untilStats } from './support/spools.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };
const DOWN = { faults: [{ status: 503, times: Infinity }] };
/** The least that `maxBytes` may be. */
const MAX_BYTES = 2 ** 20;
/** Enough for a recovery to take its time. */
const KILOBYTE = { filler: 'x'.repeat(1_000) };

/** Runs a process that tracks and is killed; `count` of none: until its spool is full. Returns how many were accepted. */
async function kill(t, spool, segment, { prefix, count, maxBytes, properties }) {
  const program = async ({ track, argument }) => {
    let accepted = 0;
    while (accepted < argument.count && track(argument.prefix + accepted, argument.properties)) accepted += 1;
    console.log(JSON.stringify(accepted));
    // What is printed to a pipe has to leave first.
    await new Promise((resolve) => process.stdout.write('', resolve));
    process.kill(process.pid, 'SIGKILL');
  };
  const argument = { prefix, properties, count: count ?? Number.MAX_SAFE_INTEGER };
  const settings = { spool: { directory: spool.directory, maxBytes } };
  const { signal, stdout } = await runSpooling(t, spool, segment, program, { argument, settings });
  assert.equal(signal, endBy('SIGKILL').signal);
  return lastLine(stdout);
}

const idsOf = (prefix, count) => Array.from({ length: count }, (_, number) => prefix + number);

/** Each at least once: what was under way when somebody ended may come again. */
function assertAllArrived(segment, expected) {
  assert.deepEqual([...new Set(messageIdsOf(segment.events))].toSorted(), expected.toSorted());
}

describe('a spool that killed processes have filled', { concurrency: 2 }, () => {
  test('leaves the next process room of its own, and all of it arrives', async (t) => {
    const segment = await startSegment(t, DOWN);
    const spool = makeSpool(t);
    const expected = [];
    for (const prefix of ['a', 'b', 'c']) {
      const count = await kill(t, spool, segment, { prefix, maxBytes: MAX_BYTES });
      assert.ok(count > 1_000, `${count} were accepted`);
      expected.push(...idsOf(prefix, count));
    }
    const analytics = spool.open(segment, { spool: { maxBytes: MAX_BYTES } });
    await untilStats(analytics, 'some are recovered', ({ recovered }) => recovered > 0);
    // By then it has taken over as much as it may.
    await untilStats(analytics, 'three attempts fail', ({ consecutiveFailures }) => consecutiveFailures >= 3);
    expected.push(...trackMany(analytics, 1_000, 'new'));
    assert.equal(analytics.stats().refused.queue_full, 0);
    segment.clearFaults();
    await untilStats(analytics, 'all are taken over', ({ orphans, recovered }) => {
      void analytics.flush();
      return orphans === 0 && recovered === expected.length - 1_000;
    });
    await analytics.flush();
    assertAllArrived(segment, expected);
    const { delivered } = await analytics.closeAndFlush();
    assert.equal(delivered, expected.length);
  });

  test('is shared by two processes that start at once, while Segment is down', async (t) => {
    const segment = await startSegment(t, DOWN);
    const spool = makeSpool(t);
    const expected = [];
    for (const prefix of ['a', 'b', 'c', 'd', 'e', 'f'])
      expected.push(...idsOf(prefix, await kill(t, spool, segment, { prefix, count: 200 })));
    const program = async ({ make, wait, argument: { root, name, directory } }) => {
      const { existsSync, writeFileSync } = await import('node:fs');
      // The first client has a spool of its own; the one that counts begins when both processes are there.
      writeFileSync(`${root}/${name}-ready`, '');
      await wait(() => existsSync(`${root}/one-ready`) && existsSync(`${root}/other-ready`));
      const client = make({ spool: directory });
      await wait(() => client.stats().recovered > 0 || client.stats().orphans === 0);
      const { recovered } = client.stats();
      // Nobody ends before the other has looked: else its share would be up for grabs.
      writeFileSync(`${root}/${name}-done`, '');
      await wait(() => existsSync(`${root}/one-done`) && existsSync(`${root}/other-done`));
      console.log(JSON.stringify(recovered));
      process.kill(process.pid, 'SIGKILL');
    };
    const both = ['one', 'other'].map((name) =>
      runSpooling(t, spool, segment, program, {
        argument: { name, directory: spool.directory },
        settings: { spool: `${spool.root}/aside` },
      }),
    );
    const shares = (await Promise.all(both)).map(({ stdout }) => lastLine(stdout));
    assert.ok(
      shares.every((recovered) => recovered > 0),
      `${shares.join(' and ')} are recovered`,
    );
    segment.clearFaults();
    const next = spool.open(segment, { flushInterval: 1 });
    await until('all arrive', () => new Set(messageIdsOf(segment.events)).size === expected.length);
    await next.closeAndFlush();
    assertAllArrived(segment, expected);
  });

  test('is shared by two clients of one process, while Segment is down', async (t) => {
    const segment = await startSegment(t, DOWN);
    const spool = makeSpool(t);
    const expected = [];
    for (const prefix of ['a', 'b', 'c', 'd'])
      expected.push(...idsOf(prefix, await kill(t, spool, segment, { prefix, count: 200 })));
    const clients = [spool.open(segment), spool.open(segment)];
    for (const analytics of clients)
      await untilStats(
        analytics,
        'it has looked',
        ({ orphans, recovered }) => recovered > 0 || orphans === 0,
      );
    const shares = clients.map((analytics) => analytics.stats().recovered);
    assert.ok(
      shares.every((recovered) => recovered > 0),
      `${shares.join(' and ')} are recovered`,
    );
    segment.clearFaults();
    for (const analytics of clients) void analytics.flush();
    await until('all arrive', () => new Set(messageIdsOf(segment.events)).size === expected.length);
    for (const analytics of clients) await analytics.closeAndFlush();
    assertAllArrived(segment, expected);
  });
});

describe('a client that is closed leaves no directory behind', { concurrency: true }, () => {
  // A segment takes about 230 of these events: none, one and two of them are full, and the last one more or less so.
  for (const count of [30, 150, 300, 400, 500, 600]) {
    test(`${count} events`, async (t) => {
      const segment = await startSegment(t);
      const spool = makeSpool(t);
      const analytics = spool.open(segment, { spool: { maxBytes: MAX_BYTES } });
      trackMany(analytics, count, 'new');
      const { delivered } = await analytics.closeAndFlush();
      assert.equal(delivered, count);
      await untilEmpty(spool);
    });
  }
});

describe('a client that is closed while it takes over', { concurrency: 2 }, () => {
  for (const timeout of [0, 1, 2, 5, 10, 20, 30, 50, 100, 200]) {
    test(`leaves all of it to the next one of the same process, after ${timeout} ms`, async (t) => {
      const segment = await startSegment(t, HANGS);
      const spool = makeSpool(t);
      const expected = idsOf(
        'm',
        await kill(t, spool, segment, { prefix: 'm', count: 3_000, properties: KILOBYTE }),
      );
      const first = spool.open(segment, { flushInterval: 1 });
      await first.closeAndFlush({ timeout });
      segment.clearFaults();
      await segment.pause();
      await segment.resume();
      const second = spool.open(segment, { flushInterval: 1 });
      await until('all arrive', () => new Set(messageIdsOf(segment.events)).size === expected.length);
      await second.closeAndFlush();
      assertAllArrived(segment, expected);
      for (const analytics of [first, second]) assert.equal(analytics.stats().dropped.spool_damaged, 0);
      await untilEmpty(spool);
    });
  }

  test('leaves all of it to a client that is already there', async (t) => {
    const segment = await startSegment(t, HANGS);
    const spool = makeSpool(t);
    const expected = idsOf(
      'm',
      await kill(t, spool, segment, { prefix: 'm', count: 3_000, properties: KILOBYTE }),
    );
    const first = spool.open(segment, { flushInterval: 1 });
    const closing = first.closeAndFlush({ timeout: 50 });
    const second = spool.open(segment, { flushInterval: 1 });
    await closing;
    segment.clearFaults();
    await segment.pause();
    await segment.resume();
    // A client that found all of it taken may look again much later: a third one looks now.
    const third = spool.open(segment, { flushInterval: 1 });
    await until('all arrive', () => new Set(messageIdsOf(segment.events)).size === expected.length);
    for (const analytics of [second, third]) await analytics.closeAndFlush();
    assertAllArrived(segment, expected);
    for (const analytics of [first, second, third]) assert.equal(analytics.stats().dropped.spool_damaged, 0);
  });
});
