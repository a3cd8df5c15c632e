/** What the OpenTelemetry SDK collects of clients. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { afterEach, describe, test } from 'node:test';

import * as esm from '@companion/segment/opentelemetry';
import { RecordingAnalytics } from '@companion/segment/testing';
import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';

import { announce } from '../dist/metrics/sources.js';
import { NEVER_MS } from './support/clients.mjs';
import { BROKEN, sourceLike, startMeasured } from './support/measured.mjs';

const require = createRequire(import.meta.url);
const { version } = require('@companion/segment/package.json');
const { registerSegmentInstruments } = esm;
const cjs = require('@companion/segment/opentelemetry');

/** Collects when it is asked to. */
class ManualReader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}

/** A provider that is gone with the test, a meter of it, and its next collection by name. */
function startProvider(t) {
  const reader = new ManualReader();
  const provider = new MeterProvider({ readers: [reader] });
  t.after(() => provider.shutdown());
  const collect = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    assert.deepEqual(errors, []);
    const all = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
    return Object.fromEntries(all.map((metric) => [metric.descriptor.name, metric]));
  };
  return { provider, reader, meter: provider.getMeter('test'), collect };
}

/** `{ 'client/reason or state': value }` */
const pointsOf = ({ dataPoints }) =>
  Object.fromEntries(
    dataPoints.map(({ attributes, value }) => {
      const { 'segment.client': client, ...rest } = attributes;
      return [[client, ...Object.values(rest)].join('/'), value];
    }),
  );

const byName = (counts) =>
  Object.fromEntries(Object.entries(counts).map(([name, count]) => [`default/${name}`, count]));

const one = (value) => ({ default: value });

describe('the instruments', () => {
  test('have the counters of stats()', async (t) => {
    const { meter, collect } = startProvider(t);
    const analytics = await startMeasured(t);
    registerSegmentInstruments(meter, analytics);
    const stats = analytics.stats();
    assert.deepEqual([stats.delivered, stats.dropped.rejected, stats.refused.not_serializable], [2, 1, 1]);

    const collected = await collect();
    const points = Object.fromEntries(
      Object.entries(collected).map(([name, metric]) => [name, pointsOf(metric)]),
    );
    const age = points['segment.oldest_pending.age'].default;
    const lastSuccess = points['segment.last_success.timestamp'].default;
    assert.ok(age >= stats.oldestPendingAgeMs / 1_000);
    assert.ok(lastSuccess > 0);
    assert.deepEqual(points, {
      'segment.event.accepted': one(stats.accepted),
      'segment.event.delivered': one(stats.delivered),
      'segment.event.dropped': byName(stats.dropped),
      'segment.event.refused': byName(stats.refused),
      'segment.event.recovered': one(stats.recovered),
      'segment.event.pending': one(stats.pending),
      'segment.event.spooled': one(stats.spooled),
      'segment.requests': one(stats.requests),
      'segment.request.retries': one(stats.retries),
      'segment.request.body.size': one(stats.bytesSent),
      'segment.request.json.size': one(stats.bytesRaw),
      'segment.request.active': one(stats.inFlight),
      'segment.request.consecutive_failures': one(stats.consecutiveFailures),
      'segment.last_success.timestamp': one(lastSuccess),
      'segment.oldest_pending.age': one(age),
      'segment.queue.usage': one(stats.queueBytes),
      'segment.queue.limit': one(stats.maxQueueBytes),
      'segment.spool.usage': one(stats.spoolBytes),
      'segment.spool.status': byName({ off: 1, ready: 0, degraded: 0 }),
      'segment.spool.locked': one(stats.locked),
    });
  });

  test('say what tells numbers apart in attributes of their own', async (t) => {
    const { meter, collect } = startProvider(t);
    registerSegmentInstruments(meter, new RecordingAnalytics());
    const collected = await collect();
    const keys = Object.entries(collected).map(([name, { dataPoints }]) => [
      name,
      Object.keys(dataPoints[0].attributes),
    ]);
    assert.deepEqual(Object.fromEntries(keys.filter(([, { length }]) => length > 1)), {
      'segment.event.dropped': ['segment.client', 'segment.reason'],
      'segment.event.refused': ['segment.client', 'segment.reason'],
      'segment.spool.status': ['segment.client', 'segment.spool.state'],
    });
  });

  test('are named and described as the semantic conventions want it', async (t) => {
    const { meter, collect } = startProvider(t);
    registerSegmentInstruments(
      meter,
      sourceLike(new RecordingAnalytics(), { orphans: 0, lastSuccessAgeMs: 0 }),
    );
    const collected = Object.values(await collect());
    const names = collected.map(({ descriptor }) => descriptor.name);
    for (const { descriptor } of collected) {
      assert.match(descriptor.name, /^segment(?:\.[a-z]+(?:_[a-z]+)*)+$/);
      assert.doesNotMatch(descriptor.name, /total|bytes|seconds/);
      assert.ok(
        !names.some((name) => name.startsWith(`${descriptor.name}.`)),
        `${descriptor.name} is a namespace`,
      );
      assert.match(descriptor.unit, /^(?:\{(?:event|request|file)\}|By|s|1)$/);
      assert.match(descriptor.description, /^[A-Z].+\.$/);
    }
  });

  test('are counters, sums that go up and down, and gauges', async (t) => {
    const { meter, collect } = startProvider(t);
    registerSegmentInstruments(
      meter,
      sourceLike(new RecordingAnalytics(), { orphans: 0, lastSuccessAgeMs: 0 }),
    );
    const kinds = { counter: [], updown: [], gauge: [] };
    for (const { descriptor, dataPointType, isMonotonic } of Object.values(await collect())) {
      if (dataPointType === DataPointType.GAUGE) kinds.gauge.push(descriptor.name);
      else kinds[isMonotonic ? 'counter' : 'updown'].push(descriptor.name);
    }
    assert.deepEqual(kinds, {
      counter: [
        'segment.event.accepted',
        'segment.event.delivered',
        'segment.event.dropped',
        'segment.event.refused',
        'segment.event.recovered',
        'segment.requests',
        'segment.request.retries',
        'segment.request.body.size',
        'segment.request.json.size',
      ],
      updown: [
        'segment.event.pending',
        'segment.event.spooled',
        'segment.request.active',
        'segment.queue.usage',
        'segment.queue.limit',
        'segment.spool.usage',
        'segment.spool.status',
      ],
      gauge: [
        'segment.request.consecutive_failures',
        'segment.last_success.timestamp',
        'segment.oldest_pending.age',
        'segment.spool.orphans',
        'segment.spool.locked',
      ],
    });
  });

  test('keep fractions of seconds', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_005_500 });
    const { meter, collect } = startProvider(t);
    const ages = { lastSuccessAgeMs: 5_250, oldestPendingAgeMs: 1_500 };
    registerSegmentInstruments(meter, sourceLike(new RecordingAnalytics(), ages));
    const collected = await collect();
    assert.deepEqual(pointsOf(collected['segment.last_success.timestamp']), one(1_700_000_000.25));
    assert.deepEqual(pointsOf(collected['segment.oldest_pending.age']), one(1.5));
  });

  test('report differences to an exporter that wants them', async (t) => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: NEVER_MS });
    const provider = new MeterProvider({ readers: [reader] });
    t.after(() => provider.shutdown());
    const analytics = new RecordingAnalytics();
    registerSegmentInstruments(provider.getMeter('test'), analytics);
    for (const tracked of [3, 2]) {
      for (let count = 0; count < tracked; count += 1) analytics.track({ userId: 'u1', event: 'Ordered' });
      await provider.forceFlush();
      const { metrics: exported } = exporter.getMetrics().at(-1).scopeMetrics[0];
      const accepted = exported.find(({ descriptor }) => descriptor.name === 'segment.event.accepted');
      assert.deepEqual(pointsOf(accepted), one(tracked));
    }
  });
});

describe('registerSegmentInstruments', () => {
  afterEach(() => metrics.disable());

  test('asks each client once per collection', async (t) => {
    const { meter, collect } = startProvider(t);
    const [first, second] = [sourceLike(new RecordingAnalytics()), sourceLike(new RecordingAnalytics())];
    registerSegmentInstruments(meter, { first, second });
    assert.deepEqual([first.readings, second.readings], [0, 0]);
    for (const collections of [1, 2, 3]) {
      await collect();
      assert.deepEqual([first.readings, second.readings], [collections, collections]);
    }
  });

  test('returns a function that stops observing, and may be called again', async (t) => {
    const { meter, collect } = startProvider(t);
    const [stopped, going] = [sourceLike(new RecordingAnalytics()), sourceLike(new RecordingAnalytics())];
    const stop = registerSegmentInstruments(meter, { stopped });
    registerSegmentInstruments(meter, { going });
    await collect();
    stop();
    stop();
    await collect();
    assert.deepEqual([stopped.readings, going.readings], [1, 2]);
  });

  test('survives clients that cannot be read', async (t) => {
    const { meter, collect } = startProvider(t);
    registerSegmentInstruments(meter, { broken: BROKEN, well: new RecordingAnalytics() });
    assert.deepEqual(pointsOf((await collect())['segment.event.accepted']), { well: 0 });
  });

  test('takes the global meter by default, under the name and version of the package', async (t) => {
    const { provider, reader } = startProvider(t);
    metrics.setGlobalMeterProvider(provider);
    registerSegmentInstruments(undefined, new RecordingAnalytics());
    const { resourceMetrics } = await reader.collect();
    const [{ scope }] = resourceMetrics.scopeMetrics;
    assert.deepEqual([scope.name, scope.version], ['@companion/segment', version]);
  });

  test('does nothing without an SDK', () => {
    const source = sourceLike(new RecordingAnalytics());
    registerSegmentInstruments(undefined, source)();
    assert.equal(source.readings, 0);
  });

  test('without clients observes those that are announced, whenever they come', async (t) => {
    const { meter, collect } = startProvider(t);
    registerSegmentInstruments(meter);
    assert.deepEqual(await collect(), {});
    const later = sourceLike(new RecordingAnalytics());
    announce('later', later);
    assert.deepEqual(pointsOf((await collect())['segment.event.accepted']), { later: 0 });
    assert.equal(later.readings, 1);
  });

  test('says so at once if something is no client', (t) => {
    const message = "The client 'web' has no method stats().";
    const { meter } = startProvider(t);
    assert.throws(() => registerSegmentInstruments(meter, { web: {} }), { name: 'TypeError', message });
  });

  test('is one, however it is loaded', () => {
    assert.deepEqual(Object.keys(esm), ['registerSegmentInstruments']);
    assert.deepEqual(Object.keys(cjs), ['registerSegmentInstruments']);
    assert.equal(cjs.registerSegmentInstruments, registerSegmentInstruments);
  });
});
