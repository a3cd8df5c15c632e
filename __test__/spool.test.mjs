/** Events on disk until they are delivered: what a client with `spool` promises while disk and process are well. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Worker } from 'node:worker_threads';

import {
  KEY,
  MINIMAL,
  assertConserved,
  assertRefused,
  counted,
  failuresOf,
  messageIdsOf,
  settled,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import {
  digestOf,
  leftIn,
  makeSpool,
  recoverAll,
  onlyPayload,
  segmentFiles,
  until,
  untilStats,
} from './support/spools.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };
const DOWN = { faults: [{ status: 503, times: Infinity }] };
const KILOBYTE = { filler: 'x'.repeat(1_000) };
const SPOOLED_TEXT = /spool keeps it/;

/** The server answers again, and requests that hang are cut. */
async function heal(segment) {
  segment.clearFaults();
  await segment.pause();
  await segment.resume();
}

/** Tracks until a call says false; returns the ids of those that were accepted. */
function trackUntilFull(analytics) {
  const messageIds = [];
  const accepts = (messageId) => analytics.track({ ...MINIMAL.track, messageId, properties: KILOBYTE });
  while (accepts(`m${messageIds.length}`)) messageIds.push(`m${messageIds.length}`);
  return messageIds;
}

describe('what is accepted is on disk until it is delivered', { concurrency: 2 }, () => {
  test('and nothing stays on disk after that, not even a directory', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const analytics = spool.open(segment);
    trackMany(analytics, 50);
    const waiting = analytics.stats();
    assert.deepEqual([waiting.pending, waiting.spooled, waiting.recovered, waiting.locked], [50, 0, 0, 0]);
    const files = segmentFiles(spool.source);
    assert.ok(files.length > 0 && files.every(({ bytes }) => bytes.length > 0));
    const onDisk = files.reduce((total, { bytes }) => total + bytes.length, 0);
    assert.equal(waiting.spoolBytes, onDisk);
    const { delivered } = await analytics.closeAndFlush();
    assert.equal(delivered, 50);
    const { spoolBytes, orphans, ...after } = analytics.stats();
    assertConserved(after);
    assert.deepEqual([spoolBytes, orphans], [0, 0]);
    assert.deepEqual(leftIn(spool), []);
  });

  test('closing while the server hangs leaves all of it to the next client, each once and as it was', async (t) => {
    const segment = await startSegment(t, HANGS);
    const spool = makeSpool(t);
    const analytics = spool.open(segment);
    const messageIds = trackMany(analytics, 20);
    const called = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'with-callback' });
    const delivery = analytics.deliver.track({ ...MINIMAL.track, messageId: 'with-promise' });
    const kept = assert.rejects(
      delivery,
      ({ code, message }) => code === 'ERR_CLOSED' && SPOOLED_TEXT.test(message),
    );
    const failures = failuresOf(analytics);
    const report = await analytics.closeAndFlush({ timeout: 1 });
    await kept;
    assert.deepEqual([report.spooled, report.pending, report.unflushed], [22, 0, []]);
    assert.deepEqual(counted(report.dropped), {});
    assertConserved(report);
    const [error, context] = await called;
    assert.deepEqual([error.code, context.event.messageId], ['ERR_CLOSED', 'with-callback']);
    assert.deepEqual(failures, [], 'nothing failed');
    const refused = analytics.track({ ...MINIMAL.track, messageId: 'late' });
    assert.equal(refused, false);

    await heal(segment);
    const next = await recoverAll(spool, segment, 22);
    assert.deepEqual([next.stats.recovered, next.stats.accepted, next.stats.delivered], [22, 22, 22]);
    assert.deepEqual(messageIdsOf(segment.events), [...messageIds, 'with-callback', 'with-promise']);
    assert.deepEqual(leftIn(spool), []);
  });

  test('closing tells each event of a backlog once that it is kept', async (t) => {
    const segment = await startSegment(t, HANGS);
    const spool = makeSpool(t);
    const analytics = spool.open(segment, { maxQueueBytes: 65_536, flushInterval: 1 });
    const told = [];
    for (let number = 0; number < 1_000; number += 1) {
      const event = { ...MINIMAL.track, messageId: `m${number}` };
      analytics.track(event, (error, { event: { messageId } }) => told.push([messageId, error?.code]));
    }
    const { spooled, unflushed } = await analytics.closeAndFlush({ timeout: 1 });
    assert.deepEqual([spooled, unflushed], [1_000, []]);
    await until('all are told', () => told.length >= 1_000);
    assert.deepEqual(
      told.map(([messageId]) => messageId).toSorted(),
      Array.from({ length: 1_000 }, (_, number) => `m${number}`).toSorted(),
    );
    assert.ok(told.every(([, code]) => code === 'ERR_CLOSED'));
    await heal(segment);
    await recoverAll(spool, segment, 1_000);
    assert.deepEqual([segment.eventCount, segment.duplicates().size], [1_000, 0]);
  });

  test('a client that is disabled leaves the spool to others', async (t) => {
    const segment = await startSegment(t, HANGS);
    const spool = makeSpool(t);
    const analytics = spool.open(segment);
    trackMany(analytics, 3);
    await analytics.closeAndFlush({ timeout: 0 });
    const before = leftIn(spool);
    const disabled = spool.open(segment, { disable: true });
    trackMany(disabled, 1, 'disabled');
    await disabled.closeAndFlush();
    assert.deepEqual(leftIn(spool), before);
    await heal(segment);
    await recoverAll(spool, segment, 3);
  });

  test('a backlog beyond maxQueueBytes is delivered once and in order when the server is back', async (t) => {
    const segment = await startSegment(t);
    await segment.pause();
    const spool = makeSpool(t);
    const analytics = spool.open(segment, {
      maxQueueBytes: 65_536,
      maxConcurrentRequests: 1,
      flushInterval: 1,
    });
    const messageIds = trackMany(analytics, 5_000);
    const { accepted, spooled, pending, queueBytes } = analytics.stats();
    assert.deepEqual([accepted, spooled + pending], [5_000, 5_000]);
    assert.ok(spooled > 4_000 && queueBytes <= 65_536);
    await segment.resume();
    await untilStats(analytics, 'all are delivered', ({ delivered }) => delivered === 5_000);
    assert.deepEqual(messageIdsOf(segment.events), messageIds);
    await analytics.closeAndFlush();
    assert.deepEqual(leftIn(spool), []);
  });

  test('closeAndFlush() delivers a backlog that is on disk only', async (t) => {
    const { segment, ...rest } = { segment: await startSegment(t), spool: makeSpool(t) };
    const analytics = rest.spool.open(segment, { maxQueueBytes: 65_536 });
    const delivery = analytics.deliver.track(MINIMAL.track);
    trackMany(analytics, 1_000);
    const last = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'last' });
    const report = await analytics.closeAndFlush();
    assert.deepEqual([report.delivered, report.spooled, segment.eventCount], [1_002, 0, 1_002]);
    assert.equal((await delivery).attempts, 1);
    assert.equal((await last)[0], undefined);
  });

  test('a spool that is full refuses the newest, and nothing of what it accepted is lost', async (t) => {
    const segment = await startSegment(t, DOWN);
    const spool = makeSpool(t);
    const analytics = spool.open(segment, { spool: { maxBytes: 2 ** 20 } });
    const messageIds = trackUntilFull(analytics);
    assertRefused(
      analytics,
      () => analytics.track({ ...MINIMAL.track, properties: KILOBYTE }),
      'ERR_QUEUE_FULL',
    );
    const stats = analytics.stats();
    assert.ok(stats.spoolBytes <= 2 ** 20 && stats.spoolBytes > 2 ** 20 - 2_000);
    assert.equal(stats.accepted, messageIds.length);
    segment.clearFaults();
    await analytics.flush();
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), messageIds.toSorted());
    assert.equal(analytics.track(MINIMAL.track), true, 'there is room again');
  });

  test('a spool that is full gives up the oldest where drop-oldest says so, and tells each once', async (t) => {
    const segment = await startSegment(t, DOWN);
    const spool = makeSpool(t);
    const settings = { overflow: 'drop-oldest', spool: { maxBytes: 2 ** 20 }, maxQueueBytes: 262_144 };
    const analytics = spool.open(segment, settings);
    const failures = failuresOf(analytics);
    const told = [];
    for (let number = 0; number < 2_000; number += 1) {
      const event = { ...MINIMAL.track, messageId: `m${number}`, properties: KILOBYTE };
      assert.equal(
        analytics.track(event, (error, { event: { messageId } }) => told.push([messageId, error?.code])),
        true,
      );
      assert.ok(analytics.stats().spoolBytes <= 2 ** 20);
    }
    const { dropped, accepted } = analytics.stats();
    assert.equal(accepted, 2_000);
    const [gone, left] = [dropped.queue_full, 2_000 - dropped.queue_full];
    assert.ok(gone > 900 && left > 500, `${gone} are gone`);
    segment.clearFaults();
    await analytics.closeAndFlush();
    const expected = Array.from({ length: 2_000 }, (_, number) => `m${number}`);
    assert.deepEqual(
      messageIdsOf(segment.events).toSorted(),
      expected.slice(gone).toSorted(),
      'the newest are kept',
    );
    assert.deepEqual(
      told
        .filter(([, code]) => code === 'ERR_QUEUE_FULL')
        .map(([id]) => id)
        .toSorted(),
      expected.slice(0, gone).toSorted(),
    );
    assert.equal(new Set(told.map(([id]) => id)).size, told.length, 'each once');
    assert.equal(told.length, 2_000);
    assert.equal(failures.length, gone);
    assert.deepEqual(leftIn(spool), []);
  });

  test('what is older than maxEventAge is given up and counted, on disk too', async (t) => {
    const segment = await startSegment(t, DOWN);
    const spool = makeSpool(t);
    const analytics = spool.open(segment, { maxQueueBytes: 65_536, maxEventAge: 1, flushInterval: 1 });
    trackMany(analytics, 1_000);
    const stats = await untilStats(analytics, 'all are given up', ({ dropped }) => dropped.expired === 1_000);
    assert.deepEqual([stats.pending, stats.spooled, segment.eventCount], [0, 0, 0]);
    await analytics.closeAndFlush();
    assert.deepEqual(leftIn(spool), []);
  });

  test('a write key that is refused costs nothing and is told once', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 401, times: Infinity }] });
    const spool = makeSpool(t);
    const analytics = spool.open(segment);
    const failures = failuresOf(analytics);
    const messageIds = trackMany(analytics, 3);
    void analytics.flush();
    await until('the error is told', () => failures.length > 0);
    trackMany(analytics, 2, 'more');
    void analytics.flush();
    const report = await analytics.closeAndFlush({ timeout: 50 });
    assert.deepEqual([report.spooled, counted(report.dropped)], [5, {}]);
    assert.ok(segment.requestCount <= 3, 'one for each time that somebody asks');
    const [{ code, reason }] = failures;
    assert.deepEqual(
      [failures.length, code, reason.code, reason.status],
      [1, 'unknown', 'ERR_UNAUTHORIZED', 401],
    );
    assert.match(reason.message, /write key/);
    assert.ok(!inspect(reason).includes(KEY));
    segment.clearFaults();
    await recoverAll(spool, segment, 5);
    assert.deepEqual(messageIdsOf(segment.events), [...messageIds, 'more0', 'more1']);
  });

  test('an event that Segment refuses is dropped into dead/, and its neighbours are delivered', async (t) => {
    const segment = await startSegment(t, { poison: ({ messageId }) => messageId === 'm3' });
    const spool = makeSpool(t);
    const analytics = spool.open(segment);
    const called = [];
    for (const messageId of ['m1', 'm2', 'm3', 'm4'])
      analytics.track({ ...MINIMAL.track, messageId }, (error) => called.push([messageId, error?.code]));
    const { delivered, dropped } = await analytics.closeAndFlush();
    assert.deepEqual([delivered, counted(dropped)], [3, { rejected: 1 }]);
    assert.deepEqual(
      called.filter(([, code]) => code),
      [['m3', 'ERR_REJECTED']],
    );
    const letters = segmentFiles(join(spool.source, 'dead'));
    assert.equal(letters.length, 1);
    const { event, ...facts } = JSON.parse(onlyPayload(letters[0].bytes));
    assert.deepEqual([event.messageId, facts.reason, facts.status], ['m3', 'rejected', 400]);
    const other = spool.open(segment);
    await untilStats(other, 'it has looked', ({ orphans }) => orphans !== null);
    assert.equal((await other.closeAndFlush()).accepted, 0, 'dead letters are not sent again');
  });
});

describe('one directory for several', { concurrency: 2 }, () => {
  test('clients of one process: each keeps its own, and none takes what the other still has', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const clients = [0, 1, 2].map(() => spool.open(segment));
    const messageIds = clients.flatMap((analytics, number) => trackMany(analytics, 100, `c${number}-`));
    for (const analytics of clients)
      await untilStats(analytics, 'it has looked', ({ orphans }) => orphans !== null);
    for (const analytics of clients) assert.equal((await analytics.closeAndFlush()).delivered, 100);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), messageIds.toSorted());
    for (const analytics of clients) assert.equal(analytics.stats().recovered, 0);
    assert.deepEqual(leftIn(spool), []);
  });

  test('clients with different write keys: none sends what belongs to the other', async (t) => {
    const segment = await startSegment(t, HANGS);
    const spool = makeSpool(t);
    const one = spool.open(segment, { writeKey: 'one' });
    trackMany(one, 3, 'one');
    await one.closeAndFlush({ timeout: 0 });
    await heal(segment);
    const two = spool.open(segment, { writeKey: 'two' });
    await untilStats(two, 'it has looked', ({ orphans }) => orphans !== null);
    trackMany(two, 2, 'two');
    await two.closeAndFlush();
    assert.deepEqual(messageIdsOf(segment.events), ['two0', 'two1']);
    await recoverAll(spool, segment, 3, { writeKey: 'one' });
    assert.equal(segment.eventCount, 5);
  });

  test('two worker threads at once', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const settings = { spool: spool.directory };
    const ends = ['a', 'b'].map((prefix) => {
      const workerData = { host: segment.url, prefix, count: 500, end: 'flush', settings };
      const worker = new Worker(new URL('./support/tracking-worker.mjs', import.meta.url), { workerData });
      return once(worker, 'exit');
    });
    assert.deepEqual(await Promise.all(ends), [[0], [0]]);
    assert.deepEqual([segment.eventCount, segment.duplicates().size], [1_000, 0]);
    assert.deepEqual(leftIn({ ...spool, source: join(spool.directory, digestOf('worker')) }), []);
  });
});
