/** A page for Prometheus, with the clients of the application on it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Controller, Get, Inject, Res } from '@nestjs/common';
import { getSegmentToken, SegmentModule, SegmentService } from '@companion/segment/nestjs';
import { registerSegmentMetrics } from '@companion/segment/prometheus';
import { Registry } from 'prom-client';

import { startSegment, WRITE_KEY, type Scope } from './support.js';
import { startTracked, type TrackedApplication } from './tracked.js';

/** What Express's and Fastify's responses have in common. */
interface Answer {
  header(name: string, value: string): unknown;
}

@Controller('metrics')
class MetricsController {
  constructor(@Inject(Registry) private readonly register: Registry) {}

  @Get()
  scrape(@Res({ passthrough: true }) response: Answer): Promise<string> {
    response.header('content-type', this.register.contentType);
    return this.register.metrics();
  }
}

const MINIMAL = { userId: 'user-1', event: 'Ordered' };

interface Measured extends TrackedApplication {
  marketing: SegmentService;
  page: () => Promise<string>;
}

async function startMeasured(scope: Scope, register: Registry): Promise<Measured> {
  const segment = await startSegment(scope);
  const options = { name: 'marketing', writeKey: WRITE_KEY, host: segment.url };
  const started = await startTracked(
    scope,
    { flushAt: 2_500, flushInterval: 600_000 },
    {
      imports: [SegmentModule.registerClient(options)],
      controllers: [MetricsController],
      providers: [{ provide: Registry, useValue: register }],
    },
  );
  const marketing = started.app.get<SegmentService>(getSegmentToken('marketing'));
  const page = async () => (await started.send('GET', '/metrics')).text();
  return { ...started, marketing, page };
}

/** `segment_events_accepted_total{client="default"}` and its value. */
function samplesOf(page: string): Map<string, number> {
  const lines = page.split('\n').filter((line) => line.startsWith('segment_'));
  const samples = lines.map((line): [string, number] => {
    const end = line.lastIndexOf(' ');
    return [line.slice(0, end), Number(line.slice(end))];
  });
  assert.equal(new Set(samples.map(([name]) => name)).size, lines.length);
  return new Map(samples);
}

/** What the page has to say of a client, ages aside. */
function samplesFor(client: SegmentService): [string, number][] {
  const { dropped, refused, ...stats } = client.stats();
  const label = `client="${client.name}"`;
  const by = (name: string, counts: Record<string, number>) =>
    Object.entries(counts).map(([reason, count]): [string, number] => [
      `${name}{${label},reason="${reason}"}`,
      count,
    ]);
  const one = (name: string, value: number): [string, number] => [`${name}{${label}}`, value];
  return [
    one('segment_events_accepted_total', stats.accepted),
    one('segment_events_delivered_total', stats.delivered),
    ...by('segment_events_dropped_total', dropped),
    ...by('segment_events_refused_total', refused),
    one('segment_events_pending', stats.pending),
    one('segment_events_spooled', stats.spooled),
    one('segment_requests_total', stats.requests),
    one('segment_request_retries_total', stats.retries),
    one('segment_request_body_bytes_total', stats.bytesSent),
    one('segment_request_json_bytes_total', stats.bytesRaw),
    one('segment_consecutive_failures', stats.consecutiveFailures),
    one('segment_queue_bytes', stats.queueBytes),
    one('segment_queue_limit_bytes', stats.maxQueueBytes),
  ];
}

test('the page has the figures of each client, under its name', async (t) => {
  const register = new Registry();
  registerSegmentMetrics(register);
  const { client, marketing, segment, page } = await startMeasured(t, register);
  segment.addFaults({ status: 400, times: Infinity });
  client.track(MINIMAL);
  await client.flush();
  segment.clearFaults();
  for (const event of ['a', 'b', 'c']) client.track({ ...MINIMAL, event });
  await client.flush();
  // Without an event, and with what has no JSON.
  assert.equal(client.track({ userId: 'user-1' } as typeof MINIMAL), false);
  assert.equal(client.track({ ...MINIMAL, properties: { big: 1n } }), false);
  client.track(MINIMAL);
  marketing.track(MINIMAL);
  await marketing.flush();

  const samples = samplesOf(await page());
  for (const one of [client, marketing]) {
    for (const [name, value] of samplesFor(one)) assert.equal(samples.get(name), value, name);
  }
  // So that not all of them are zeros.
  const { accepted, delivered, dropped, refused, pending } = client.stats();
  const some = [accepted, delivered, dropped.rejected, refused.invalid, refused.not_serializable, pending];
  assert.deepEqual(some, [5, 3, 1, 1, 1, 1]);
  assert.equal(samples.get('segment_events_delivered_total{client="marketing"}'), 1);
  const lastSuccess = samples.get('segment_last_success_timestamp_seconds{client="marketing"}');
  assert.ok((lastSuccess ?? 0) > 0);
});

test('each scrape has the figures of its time', async (t) => {
  const register = new Registry();
  registerSegmentMetrics(register);
  const { client, page } = await startMeasured(t, register);
  for (const accepted of [0, 1, 2]) {
    const samples = samplesOf(await page());
    assert.equal(samples.get('segment_events_accepted_total{client="default"}'), accepted);
    assert.equal(samples.get('segment_events_accepted_total{client="marketing"}'), 0);
    client.track(MINIMAL);
  }
});

test('the page is Prometheus text', async (t) => {
  const register = new Registry();
  registerSegmentMetrics(register);
  const { send } = await startMeasured(t, register);
  const response = await send('GET', '/metrics');
  assert.equal(response.status, 200);
  // Express writes the same in another order.
  const partsOf = (type: string | null) => new Set((type ?? '').split(';').map((part) => part.trim()));
  assert.deepEqual(partsOf(response.headers.get('content-type')), partsOf(register.contentType));
  const page = await response.text();
  assert.match(
    page,
    /^# HELP segment_events_delivered_total \S.*\n# TYPE segment_events_delivered_total counter$/m,
  );
  assert.match(page, /^# TYPE segment_events_pending gauge$/m);
  assert.ok(!page.includes(WRITE_KEY));
});

test('to register again, before and after the clients are there, changes nothing', async (t) => {
  const [once, often] = [new Registry(), new Registry()];
  registerSegmentMetrics(once);
  registerSegmentMetrics(often);
  registerSegmentMetrics(often);
  const { client, page } = await startMeasured(t, often);
  client.track(MINIMAL);
  registerSegmentMetrics(often);
  const samples = samplesOf(await page());
  assert.equal(samples.size, samplesOf(await once.metrics()).size);
  assert.equal(samples.get('segment_events_accepted_total{client="default"}'), 1);
});
