/** What a scrape of prom-client says of clients. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import * as esm from '@companion/segment/prometheus';
import { RecordingAnalytics } from '@companion/segment/testing';
import { AggregatorRegistry, Counter, Registry } from 'prom-client';

import { announce, announced } from '../dist/metrics/sources.js';
import { BROKEN, sourceLike, startMeasured } from './support/measured.mjs';

const { registerSegmentMetrics } = esm;
const cjs = createRequire(import.meta.url)('@companion/segment/prometheus');

const BASE_UNITS = /_(?:bytes|seconds)(?:_total)?$/;

/** What a registry says: `{ name: { help, type, samples: { 'labels': value } } }`. */
async function scrape(register) {
  const families = {};
  const text = await register.metrics();
  for (const line of text.split('\n').filter((each) => each !== '' && each !== '# EOF')) {
    const comment = /^# (?<what>HELP|TYPE) (?<name>\w+) (?<rest>.+)$/.exec(line)?.groups;
    if (comment !== undefined) {
      families[comment.name] ??= { samples: {} };
      families[comment.name][comment.what.toLowerCase()] = comment.rest;
      continue;
    }
    const { name, labels, value } = /^(?<name>\w+)\{(?<labels>[^}]*)\} (?<value>[\d.e+-]+)$/.exec(
      line,
    ).groups;
    const family = families[name] ?? families[name.replace(/_total$/, '')];
    assert.equal(family.samples[labels], undefined, `twice: ${line}`);
    family.samples[labels] = Number(value);
  }
  return families;
}

const samplesOf = async (register, name) => (await scrape(register))[name].samples;

/** One number per client. */
async function valuesOf(register, name) {
  const samples = Object.entries(await samplesOf(register, name));
  return Object.fromEntries(samples.map(([labels, value]) => [/client="([^"]*)"/.exec(labels)[1], value]));
}

const byLabel = (label, counts) =>
  Object.fromEntries(
    Object.entries(counts).map(([name, count]) => [`client="default",${label}="${name}"`, count]),
  );

function measuring(...calls) {
  const register = new Registry();
  for (const clients of calls) registerSegmentMetrics(register, clients);
  return register;
}

describe('the metrics', () => {
  test('are the counters of stats()', async (t) => {
    const analytics = await startMeasured(t);
    const stats = analytics.stats();
    assert.deepEqual([stats.delivered, stats.dropped.rejected, stats.refused.not_serializable], [2, 1, 1]);
    assert.ok(stats.bytesRaw > stats.bytesSent);
    assert.ok(stats.requests > 1);

    const families = await scrape(measuring(analytics));
    const age = families.segment_oldest_pending_age_seconds.samples['client="default"'];
    const lastSuccess = families.segment_last_success_timestamp_seconds.samples['client="default"'];
    assert.ok(age >= stats.oldestPendingAgeMs / 1_000);
    assert.ok(lastSuccess > 0);
    const one = (value) => ({ 'client="default"': value });
    assert.deepEqual(
      Object.fromEntries(Object.entries(families).map(([name, { samples }]) => [name, samples])),
      {
        segment_events_accepted_total: one(stats.accepted),
        segment_events_delivered_total: one(stats.delivered),
        segment_events_dropped_total: byLabel('reason', stats.dropped),
        segment_events_refused_total: byLabel('reason', stats.refused),
        segment_events_recovered_total: one(stats.recovered),
        segment_events_pending: one(stats.pending),
        segment_events_spooled: one(stats.spooled),
        segment_requests_total: one(stats.requests),
        segment_request_retries_total: one(stats.retries),
        segment_request_body_bytes_total: one(stats.bytesSent),
        segment_request_json_bytes_total: one(stats.bytesRaw),
        segment_requests_in_flight: one(stats.inFlight),
        segment_consecutive_failures: one(stats.consecutiveFailures),
        segment_last_success_timestamp_seconds: one(lastSuccess),
        segment_oldest_pending_age_seconds: one(age),
        segment_queue_bytes: one(stats.queueBytes),
        segment_queue_limit_bytes: one(stats.maxQueueBytes),
        segment_spool_bytes: one(stats.spoolBytes),
        segment_spool_state: byLabel('state', { off: 1, ready: 0, degraded: 0 }),
        segment_spool_orphans: {},
        segment_spool_locked: one(stats.locked),
      },
    );
  });

  test('have every number in its place', async () => {
    // Real clients have zeros where these are; no two are the same.
    const changes = {
      accepted: 1,
      delivered: 2,
      spooled: 3,
      recovered: 4,
      pending: 5,
      requests: 6,
      retries: 7,
    };
    const more = {
      bytesRaw: 8,
      bytesSent: 9,
      consecutiveFailures: 10,
      inFlight: 11,
      queueBytes: 12,
      maxQueueBytes: 13,
    };
    const disk = { spool: 'degraded', spoolBytes: 14, orphans: 15, locked: 16 };
    const source = sourceLike(new RecordingAnalytics(), { ...changes, ...more, ...disk });
    const families = await scrape(measuring(source));
    const numbers = Object.entries(families).map(([name, { samples }]) => [
      name,
      samples['client="default"'],
    ]);
    assert.deepEqual(Object.fromEntries(numbers.filter(([, value]) => value > 0)), {
      segment_events_accepted_total: 1,
      segment_events_delivered_total: 2,
      segment_events_spooled: 3,
      segment_events_recovered_total: 4,
      segment_events_pending: 5,
      segment_requests_total: 6,
      segment_request_retries_total: 7,
      segment_request_json_bytes_total: 8,
      segment_request_body_bytes_total: 9,
      segment_consecutive_failures: 10,
      segment_requests_in_flight: 11,
      segment_queue_bytes: 12,
      segment_queue_limit_bytes: 13,
      segment_spool_bytes: 14,
      segment_spool_orphans: 15,
      segment_spool_locked: 16,
    });
    assert.deepEqual(
      families.segment_spool_state.samples,
      byLabel('state', { off: 0, ready: 0, degraded: 1 }),
    );
  });

  test('leave out nothing that stats() has', async () => {
    const read = new Set();
    const stats = new RecordingAnalytics().stats();
    const noticed = new Proxy(stats, { get: (target, key) => read.add(key) && target[key] });
    await measuring({ stats: () => noticed }).metrics();
    assert.deepEqual([...read].toSorted(), Object.keys(stats).toSorted());
  });

  test('tell ages in seconds: the last success as unix time, absent before the first', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_005_500 });
    const some = { lastSuccessAgeMs: 5_250, oldestPendingAgeMs: 1_500 };
    const none = { lastSuccessAgeMs: null, oldestPendingAgeMs: null };
    const analytics = new RecordingAnalytics();
    const register = measuring({ some: sourceLike(analytics, some), none: sourceLike(analytics, none) });
    assert.deepEqual(await valuesOf(register, 'segment_last_success_timestamp_seconds'), {
      some: 1_700_000_000.25,
    });
    assert.deepEqual(await valuesOf(register, 'segment_oldest_pending_age_seconds'), { some: 1.5, none: 0 });
  });

  test('have every reason from the start, with 0', async () => {
    const analytics = new RecordingAnalytics();
    const register = measuring(analytics);
    const { dropped, refused } = analytics.stats();
    const dropping = await samplesOf(register, 'segment_events_dropped_total');
    const refusing = await samplesOf(register, 'segment_events_refused_total');
    assert.deepEqual(dropping, byLabel('reason', dropped));
    assert.deepEqual(refusing, byLabel('reason', refused));
    assert.deepEqual(new Set([...Object.values(dropping), ...Object.values(refusing)]), new Set([0]));
  });

  test('are named, described and typed as Prometheus wants it', async (t) => {
    for (const [name, { help, type }] of Object.entries(await scrape(measuring(await startMeasured(t))))) {
      assert.match(name, /^segment_[a-z]+(?:_[a-z]+)*$/);
      assert.match(help, /^[A-Z].+\.$/, name);
      assert.ok(['counter', 'gauge'].includes(type), name);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      assert.doesNotMatch(name, /_(?:ms|milliseconds|kb|kilobytes|count|sum|bucket)\b/);
      if (/byte|second/.test(name)) assert.match(name, BASE_UNITS);
    }
  });

  test('are valid OpenMetrics on a registry for that', async (t) => {
    const register = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
    const analytics = await startMeasured(t);
    registerSegmentMetrics(register, analytics);
    for (const scrapes of [1, 2]) {
      const text = await register.metrics();
      assert.match(text, /^# TYPE segment_events_delivered counter$/m, `scrape ${scrapes}`);
      assert.match(text, /^segment_events_delivered_total\{client="default"\} 2$/m);
      assert.ok(text.endsWith('# EOF\n'));
      // What a scrape of OpenMetrics does to the names of counters hides nothing from us.
      registerSegmentMetrics(register, analytics);
    }
  });

  test('of a cluster add up, but for those that do not', async () => {
    const analytics = new RecordingAnalytics();
    analytics.track({ userId: 'u1', event: 'Ordered' });
    const workers = [sourceLike(analytics, { orphans: 3 }), sourceLike(analytics, { orphans: 4 })];
    const texts = await Promise.all(workers.map((worker) => measuring(worker).getMetricsAsJSON()));
    const register = AggregatorRegistry.aggregate(texts);
    assert.deepEqual(await valuesOf(register, 'segment_events_accepted_total'), { default: 2 });
    assert.deepEqual(await valuesOf(register, 'segment_spool_orphans'), { default: 4 });
  });
});

describe('a scrape', () => {
  test('sees the counters as they are now', async () => {
    const analytics = new RecordingAnalytics();
    const register = measuring(analytics);
    for (const accepted of [0, 1, 2]) {
      assert.deepEqual(await valuesOf(register, 'segment_events_accepted_total'), { default: accepted });
      analytics.track({ userId: 'u1', event: 'Ordered' });
    }
  });

  test('asks each client once', async () => {
    const analytics = new RecordingAnalytics();
    const [first, second] = [sourceLike(analytics), sourceLike(analytics)];
    const register = measuring({ first, second });
    assert.deepEqual([first.readings, second.readings], [0, 0]);
    for (const scrapes of [1, 2, 3]) {
      await register.metrics();
      assert.deepEqual([first.readings, second.readings], [scrapes, scrapes]);
    }
  });

  test('survives clients that cannot be read', async () => {
    const analytics = new RecordingAnalytics();
    const strange = sourceLike(analytics, { accepted: -1, delivered: Number.NaN, requests: undefined });
    const empty = { stats: () => undefined };
    const register = measuring({ broken: BROKEN, empty, strange, well: analytics });
    for (const name of ['accepted', 'delivered'].map((each) => `segment_events_${each}_total`)) {
      assert.deepEqual(await valuesOf(register, name), { well: 0 });
    }
    assert.deepEqual(await valuesOf(register, 'segment_events_pending'), { strange: 0, well: 0 });
  });

  test('has names of clients as they are', async () => {
    const register = measuring({
      stats: new RecordingAnalytics(),
      'with "quotes"\n': new RecordingAnalytics(),
    });
    const text = await register.getSingleMetricAsString('segment_events_accepted_total');
    assert.match(text, /^segment_events_accepted_total\{client="stats"\} 0$/m);
    assert.match(text, /^segment_events_accepted_total\{client="with \\"quotes\\"\\n"\} 0$/m);
  });
});

describe('registerSegmentMetrics', () => {
  const accepted = (register) => valuesOf(register, 'segment_events_accepted_total');
  const source = (count) => sourceLike(new RecordingAnalytics(), { accepted: count });

  test('adds clients when it is called again, and replaces those of the same name', async () => {
    const register = measuring(source(1), { other: source(2) });
    assert.deepEqual(await accepted(register), { default: 1, other: 2 });
    registerSegmentMetrics(register, { other: source(3), third: source(4) });
    assert.deepEqual(await accepted(register), { default: 1, other: 3, third: 4 });
  });

  test('starts anew on a registry that was cleared', async () => {
    const register = measuring({ before: source(1) });
    register.clear();
    assert.equal(await register.metrics(), '\n');
    registerSegmentMetrics(register, { after: source(2) });
    assert.deepEqual(await accepted(register), { after: 2 });
  });

  test('leaves out for good what was removed', async () => {
    const register = measuring({ one: source(1) });
    register.removeSingleMetric('segment_events_accepted_total');
    registerSegmentMetrics(register, { two: source(2) });
    assert.deepEqual(await valuesOf(register, 'segment_events_delivered_total'), { one: 0, two: 0 });
    assert.equal(register.getSingleMetric('segment_events_accepted_total'), undefined);
  });

  test('keeps registries apart', async () => {
    const [first, second] = [measuring(source(1)), measuring(source(2))];
    assert.deepEqual([await accepted(first), await accepted(second)], [{ default: 1 }, { default: 2 }]);
  });

  test('registers all or nothing, and says what is in its way', () => {
    const register = new Registry();
    const name = 'segment_requests_total';
    const foreign = new Counter({ name, help: 'Of somebody else.', registers: [register] });
    const message = 'The registry has another metric under the name segment_requests_total.';
    assert.throws(() => registerSegmentMetrics(register, source(1)), { message });
    assert.deepEqual(register.getMetricsAsArray(), [foreign]);
  });

  test('says so at once if something is no client', () => {
    const register = new Registry();
    for (const wrong of [{ web: source(1), web2: undefined }, { web2: 'k' }, { web2: {} }]) {
      const message = "The client 'web2' has no method stats().";
      assert.throws(() => registerSegmentMetrics(register, wrong), { name: 'TypeError', message });
    }
    assert.deepEqual(register.getMetricsAsArray(), []);
  });

  test('is one, however it is loaded', () => {
    const names = ['registerNotificationMetrics', 'registerSegmentMetrics'];
    assert.deepEqual(Object.keys(esm).sort(), names);
    assert.deepEqual(Object.keys(cjs).sort(), names);
    assert.equal(cjs.registerSegmentMetrics, registerSegmentMetrics);
  });

  test('without clients measures those that are announced, at each scrape, the latest under a name', async () => {
    const register = measuring(undefined);
    const [early, late, other] = [source(1), source(2), source(3)];
    announce('announced', early);
    assert.deepEqual(await accepted(register), { announced: 1 });
    announce('announced', late);
    announce('other', other);
    assert.deepEqual(await accepted(register), { announced: 2, other: 3 });
    registerSegmentMetrics(register, { other: source(4) });
    assert.deepEqual(await accepted(register), { announced: 2, other: 4 });
    assert.deepEqual(await accepted(measuring(source(5))), { default: 5 });
    assert.deepEqual([early.readings, late.readings, other.readings], [1, 2, 1]);
  });

  test('keeps no announced client alive', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc');
    const register = measuring(undefined);
    announce('forgotten', source(1));
    assert.equal((await accepted(register)).forgotten, 1);
    for (let turns = 0; turns < 200 && announced().has('forgotten'); turns += 1) {
      await turn();
      collect();
    }
    assert.equal((await accepted(register)).forgotten, undefined);
  });
});
