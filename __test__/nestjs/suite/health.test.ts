/** The health indicator: on a page of Terminus, of whichever version is installed, and without it. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Controller, Get, Inject, Injectable } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule, type HealthCheckResult } from '@nestjs/terminus';
import {
  InjectSegment,
  SegmentHealthIndicator,
  SegmentModule,
  SegmentService,
  type HealthThresholds,
  type SegmentHealth,
  type SegmentModuleSyncOptions,
} from '@companion/segment/nestjs';

import { startProgram } from './processes.js';
import { WRITE_KEY, type Scope } from './support.js';
import { startTracked, type TrackedApplication } from './tracked.js';

const CHECK = 'CHECK';
interface Check {
  key?: string;
  thresholds?: HealthThresholds;
}

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly segment: SegmentHealthIndicator,
    @Inject(CHECK) private readonly asked: Check,
  ) {}

  @Get()
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    const { key, thresholds } = this.asked;
    return this.health.check([() => this.segment.isHealthy(key, thresholds)]);
  }
}

interface Page {
  code: number;
  status: string;
  details: Record<string, SegmentHealth>;
  error: Record<string, SegmentHealth>;
}

interface HealthApplication extends TrackedApplication {
  page: () => Promise<Page>;
}

/** Nothing is sent but by a flush. */
const PATIENT = { flushAt: 2_500, flushInterval: 600_000, shutdownTimeout: 1 };
/** The least that there is. */
const SMALL_QUEUE = { maxQueueBytes: 65_536 };

async function startWithHealth(
  scope: Scope,
  options: SegmentModuleSyncOptions = {},
  asked: Check = {},
): Promise<HealthApplication> {
  const started = await startTracked(
    scope,
    { ...PATIENT, ...options },
    {
      // What is unhealthy it would write to the screen.
      imports: [TerminusModule.forRoot({ logger: false })],
      controllers: [HealthController],
      providers: [{ provide: CHECK, useValue: asked }],
    },
  );
  const page = async () => {
    const response = await started.send('GET', '/health');
    const body = (await response.json()) as Omit<Page, 'code'>;
    return { ...body, code: response.status };
  };
  return { ...started, page };
}

const track = (client: SegmentService, properties = {}) =>
  client.track({ userId: 'user-1', event: 'Ordered', properties });

/** Until no more is taken. */
function fill(client: SegmentService): void {
  const text = 'x'.repeat(1_000);
  const most = SMALL_QUEUE.maxQueueBytes / text.length;
  let count = 0;
  while (track(client, { text })) assert.ok((count += 1) <= most);
}

function assertUp({ code, status, details }: Page, key = 'segment'): void {
  assert.deepEqual([code, status, Object.keys(details)], [200, 'ok', [key]]);
  assert.deepEqual([details[key]?.status, details[key]?.reasons], ['up', undefined]);
}

function assertDown({ code, status, error, details }: Page, reason: string): void {
  assert.deepEqual([code, status], [503, 'error']);
  assert.deepEqual([error['segment']?.status, error['segment']?.reasons], ['down', [reason]]);
  assert.deepEqual(details, error);
}

test('a client that has nothing to do is up, and asking for it sends nothing', async (t) => {
  const { page, client, segment } = await startWithHealth(t);
  for (const pending of [0, 1, 2]) {
    const answer = await page();
    assertUp(answer);
    const { queueFill, ...figures } = answer.details['segment'] ?? {};
    assert.deepEqual(figures, {
      status: 'up',
      pending,
      spool: 'off',
      consecutiveFailures: 0,
      lastSuccessAgeMs: null,
    });
    assert.equal(queueFill, 0);
    track(client);
  }
  assert.deepEqual([segment.requestCount, segment.connectionCount], [0, 0]);
});

test('the figures are those of stats()', async (t) => {
  const { page, client } = await startWithHealth(t, SMALL_QUEUE);
  track(client);
  await client.flush();
  track(client, { text: 'x'.repeat(20_000) });
  const { details } = await page();
  const { queueFill, lastSuccessAgeMs, pending } = details['segment'] ?? {};
  const { queueBytes, maxQueueBytes } = client.stats();
  assert.equal(queueFill, Number((queueBytes / maxQueueBytes).toFixed(4)));
  assert.ok(queueFill > 0.01);
  assert.equal(typeof lastSuccessAgeMs, 'number');
  assert.equal(pending, 1);
});

test('a queue that Segment does not empty is down', async (t) => {
  const { page, client, segment } = await startWithHealth(t, { ...SMALL_QUEUE, flushAt: 1 });
  segment.addFaults({ status: 503, times: Infinity });
  assertUp(await page());
  fill(client);
  assertDown(await page(), 'the queue is nearly full');
});

test('a queue is up again once it is delivered', async (t) => {
  const { page, client, segment } = await startWithHealth(t, SMALL_QUEUE);
  fill(client);
  assertDown(await page(), 'the queue is nearly full');
  assert.equal(segment.requestCount, 0);
  await client.flush();
  assertUp(await page());
});

test('how full a queue may be is for the application to say', async (t) => {
  for (const [maxQueueFill, isUp] of [
    [0.01, false],
    [0.5, true],
  ] as const) {
    const { page, client } = await startWithHealth(t, SMALL_QUEUE, { thresholds: { maxQueueFill } });
    track(client, { text: 'x'.repeat(20_000) });
    if (isUp) assertUp(await page());
    else assertDown(await page(), 'the queue is nearly full');
  }
});

test('failures in a row are down where the application says so', async (t) => {
  for (const [maxConsecutiveFailures, isUp] of [
    [1, false],
    [2, true],
    [undefined, true],
  ] as const) {
    const asked = { thresholds: { maxConsecutiveFailures } };
    const { page, client, segment } = await startWithHealth(t, { maxRetries: 0, flushAt: 1 }, asked);
    segment.addFaults({ status: 503 });
    await assert.rejects(client.deliver.track({ userId: 'user-1', event: 'Ordered' }));
    const answer = await page();
    if (isUp) assertUp(answer);
    else assertDown(answer, 'deliveries fail');
    assert.equal(answer.details['segment']?.consecutiveFailures, 1);
    await client.deliver.track({ userId: 'user-1', event: 'Ordered' });
    assertUp(await page());
  }
});

test('events that wait for too long are down where the application says so', async (t) => {
  const longAgo = { thresholds: { maxLastSuccessAge: 0 } };
  const impatient = await startWithHealth(t, {}, longAgo);
  track(impatient.client);
  assertDown(await impatient.page(), 'events wait and none is delivered');
  await impatient.client.flush();
  assertUp(await impatient.page());
  track(impatient.client);
  assertDown(await impatient.page(), 'events wait and none is delivered');

  const patient = await startWithHealth(t, {}, { thresholds: { maxLastSuccessAge: 3_600_000 } });
  track(patient.client);
  assertUp(await patient.page());
});

test('a spool that can not be written is down', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'health-'));
  const sound = await startWithHealth(t, { spool: join(parent, 'spool') });
  // Registered later, so that the clients are closed by then.
  t.after(() => rm(parent, { recursive: true }));
  track(sound.client);
  const { details } = await sound.page();
  assert.deepEqual([details['segment']?.status, details['segment']?.spool], ['up', 'ready']);

  const file = join(parent, 'a-file');
  await writeFile(file, '');
  const broken = await startWithHealth(t, { spool: file });
  track(broken.client);
  const answer = await broken.page();
  assertDown(answer, 'the spool can not be written');
  assert.equal(answer.details['segment']?.spool, 'degraded');
});

test('the key is for the application to choose', async (t) => {
  const { page } = await startWithHealth(t, {}, { key: 'analytics' });
  assertUp(await page(), 'analytics');
});

@Injectable()
class Marketing {
  readonly health: SegmentHealthIndicator;

  constructor(@InjectSegment('marketing') readonly client: SegmentService) {
    this.health = new SegmentHealthIndicator(client);
  }
}

test('each client has an indicator of its own', async (t) => {
  const options = { ...PATIENT, writeKey: WRITE_KEY, host: 'http://127.0.0.1:9' };
  const marketing = SegmentModule.registerClient({ name: 'marketing', ...options });
  const { app, client } = await startTracked(t, PATIENT, { imports: [marketing], providers: [Marketing] });
  const subject = app.get(Marketing);
  track(subject.client);
  track(subject.client);
  track(client);
  const { marketing: ofMarketing } = await subject.health.isHealthy('marketing');
  const { segment: ofDefault } = await app.get(SegmentHealthIndicator).isHealthy();
  assert.deepEqual([ofMarketing.pending, ofDefault.pending], [2, 1]);
});

/** What the call says; Terminus 10 takes what is down for an error with causes. */
async function outcomeOf(indicator: SegmentHealthIndicator): Promise<[isThrown: boolean, SegmentHealth]> {
  try {
    return [false, (await indicator.isHealthy()).segment];
  } catch (error) {
    assert.ok(error instanceof Error);
    const { name, causes } = error as Error & { causes?: { segment: SegmentHealth } };
    assert.ok(causes !== undefined, name);
    return [true, causes.segment];
  }
}

async function majorOfTerminus(): Promise<number> {
  const path = join(process.cwd(), 'node_modules', '@nestjs', 'terminus', 'package.json');
  const { version } = JSON.parse(await readFile(path, 'utf8')) as { version: string };
  return Number.parseInt(version, 10);
}

test('a client that is closed is down, in the way of the Terminus that is there', async (t) => {
  const { app, close } = await startWithHealth(t);
  const indicator = app.get(SegmentHealthIndicator);
  assert.deepEqual((await outcomeOf(indicator))[1].status, 'up');
  await close();
  const [isThrown, health] = await outcomeOf(indicator);
  assert.equal(isThrown, (await majorOfTerminus()) === 10);
  assert.deepEqual([health.status, health.reasons], ['down', ['the client is closed']]);
});

test('without Terminus the call just says it', async (t) => {
  const { code, output } = await startProgram(t, 'without-terminus').ended;
  const said = ['up', 'down', ['the client is closed']];
  assert.deepEqual([code, output], [0, `Terminus is looked for\n${JSON.stringify(said)}\n`]);
});
