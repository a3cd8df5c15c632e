/** How an application ends: what it tracks until then is delivered, and one line says what became of it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import {
  Controller,
  Get,
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { getSegmentToken, SegmentModule, SegmentService } from '@companion/segment/nestjs';
import type { FakeSegment } from '@companion/segment/testing';

import { startProgram, type RunningProgram } from './processes.js';
import { clientOf, closingLines, linesOf, PATIENT, startService } from './services.js';
import { CapturingLogger, startApplication, startSegment, WRITE_KEY } from './support.js';

const HANGS = { faults: [{ hang: true, times: Infinity }] };

const CLEAN = { client: 'default', dropped: 0, spooled: 0, unflushed: 0, refused: 0 };

const soon = () => new Promise((resolve) => setImmediate(resolve));

/** A provider that tracks in each hook of the shutdown, and takes its time for it. */
function farewell(where: string, client?: string) {
  @Injectable()
  class Farewell implements OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown {
    constructor(@Inject(getSegmentToken(client)) private readonly segment: SegmentService) {}

    onModuleDestroy(): Promise<void> {
      return this.#track('onModuleDestroy');
    }

    beforeApplicationShutdown(): Promise<void> {
      return this.#track('beforeApplicationShutdown');
    }

    onApplicationShutdown(): Promise<void> {
      return this.#track('onApplicationShutdown');
    }

    async #track(hook: string): Promise<void> {
      await soon();
      this.segment.track({ userId: 'u1', event: `${where}, ${hook}` });
    }
  }
  return Farewell;
}

/** A feature module with such a provider. */
function feature(where: string, imports: DynamicModule[] = [], client?: string): DynamicModule {
  class FeatureModule {}
  return { module: FeatureModule, imports, providers: [farewell(where, client)] };
}

const namesOf = ({ events }: FakeSegment) => events.map(({ event }) => String(event)).sort();

function everyHookOf(...places: string[]): string[] {
  const hooks = ['onModuleDestroy', 'beforeApplicationShutdown', 'onApplicationShutdown'];
  return places.flatMap((where) => hooks.map((hook) => `${where}, ${hook}`)).sort();
}

test('what modules anywhere track in their last hooks is delivered', async (t) => {
  const segment = await startSegment(t);
  const logger = new CapturingLogger();
  const { close } = await startApplication(t, {
    root: {
      imports: [
        feature('before'),
        SegmentModule.forRoot({ writeKey: WRITE_KEY, host: segment.url, ...PATIENT }),
        feature('after', [feature('below', [feature('at the bottom')])]),
      ],
      providers: [farewell('root')],
    },
    logger,
  });
  await close();

  assert.deepEqual(namesOf(segment), everyHookOf('before', 'after', 'below', 'at the bottom', 'root'));
  const counts = { ...CLEAN, accepted: 15, delivered: 15 };
  assert.deepEqual(closingLines(logger), [{ level: 'log', text: 'closed', fields: counts }]);
});

test('the same of a named client that is not global', async (t) => {
  const segment = await startSegment(t);
  const own = SegmentModule.registerClient({
    name: 'marketing',
    isGlobal: false,
    writeKey: WRITE_KEY,
    host: segment.url,
    ...PATIENT,
  });
  const { close } = await startApplication(t, {
    root: {
      imports: [own, feature('feature', [own], 'marketing')],
      providers: [farewell('root', 'marketing')],
    },
  });
  await close();

  assert.deepEqual(namesOf(segment), everyHookOf('feature', 'root'));
});

test('what a request tracks at its end is delivered, though the application closes meanwhile', async (t) => {
  const segment = await startSegment(t);
  let begun = () => {};
  let mayEnd = () => {};
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  const end = new Promise<void>((resolve) => (mayEnd = resolve));

  @Controller()
  class ReportController {
    constructor(private readonly tracker: SegmentService) {}

    @Get('report')
    async report(): Promise<{ accepted: boolean }> {
      this.tracker.track({ userId: 'u1', event: 'Report Begun' });
      begun();
      await end;
      await soon();
      return { accepted: this.tracker.track({ userId: 'u1', event: 'Report Made' }) };
    }
  }

  const imports = [SegmentModule.forRoot({ writeKey: WRITE_KEY, host: segment.url, ...PATIENT })];
  const { app, send, close } = await startApplication(t, {
    root: { imports, controllers: [ReportController] },
  });
  const server = app.getHttpServer() as { close: (...args: unknown[]) => unknown };
  const closeServer = server.close.bind(server);
  server.close = (...args) => {
    // What was tracked before is on its way while the server waits for its last requests.
    void segment.waitForEvents(1).finally(mayEnd);
    return closeServer(...args);
  };
  const response = send('GET', '/report', undefined, { connection: 'close' });
  await hasBegun;
  await close();

  assert.deepEqual(await (await response).json(), { accepted: true });
  assert.deepEqual(namesOf(segment), ['Report Begun', 'Report Made']);
});

test('the closing line accounts for every event', async (t) => {
  const segment = await startSegment(t, { poison: ({ userId }) => userId === 'poisonous' });
  const { service, logger, close } = await startService(t, {
    writeKey: WRITE_KEY,
    host: segment.url,
    ...PATIENT,
  });
  for (const userId of ['u1', 'u2', 'poisonous', 'u3']) service.track({ userId, event: 'Ordered' });
  service.track({ userId: 'u1', event: 'Ordered', properties: { text: 'x'.repeat(40_000) } });
  service.identify({ userId: undefined as never });
  await close();

  const counts = { ...CLEAN, accepted: 4, delivered: 3, dropped: 1, refused: 2 };
  assert.deepEqual(closingLines(logger), [{ level: 'warn', text: 'closed', fields: counts }]);
  assert.equal(segment.eventCount, 3);
});

test('a Segment that hangs does not keep the application from ending', async (t) => {
  const segment = await startSegment(t, HANGS);
  const { service, logger, close } = await startService(t, {
    writeKey: WRITE_KEY,
    host: segment.url,
    shutdownTimeout: 50,
  });
  const closing = t.mock.method(service.client, 'closeAndFlush');
  for (const event of ['one', 'two', 'three']) service.track({ userId: 'u1', event });
  await close();

  assert.deepEqual(closing.mock.calls[0]?.arguments, [{ timeout: 50 }]);
  const counts = { ...CLEAN, accepted: 3, delivered: 0, unflushed: 3 };
  assert.deepEqual(closingLines(logger), [{ level: 'warn', text: 'closed', fields: counts }]);
});

test('what the spool keeps for the next process is counted as such', async (t) => {
  const segment = await startSegment(t, HANGS);
  const directory = await mkdtemp(join(tmpdir(), 'segment-lifecycle-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const options = { writeKey: WRITE_KEY, spool: directory };
  const first = await startService(t, { ...options, host: segment.url, shutdownTimeout: 50 });
  for (const event of ['one', 'two', 'three']) first.service.track({ userId: 'u1', event });
  await first.close();

  const kept = { ...CLEAN, accepted: 3, delivered: 0, spooled: 3 };
  assert.deepEqual(closingLines(first.logger), [{ level: 'log', text: 'closed', fields: kept }]);

  const awake = await startSegment(t);
  const second = await startService(t, { ...options, ...PATIENT, host: awake.url });
  await awake.waitForEvents(3);
  await second.close();
  const recovered = { ...CLEAN, accepted: 3, delivered: 3 };
  assert.deepEqual(closingLines(second.logger), [{ level: 'log', text: 'closed', fields: recovered }]);
});

test('closing twice is closing once', async (t) => {
  const segment = await startSegment(t);
  const { app, service, logger } = await startService(t, {
    writeKey: WRITE_KEY,
    host: segment.url,
    ...PATIENT,
  });
  service.track({ userId: 'u1', event: 'Ordered' });
  await Promise.all([app.close(), app.close()]);
  await app.close();

  assert.equal(segment.eventCount, 1);
  assert.deepEqual(closingLines(logger), [
    { level: 'log', text: 'closed', fields: { ...CLEAN, accepted: 1, delivered: 1 } },
  ]);
});

test('each client has a closing line of its own', async (t) => {
  const segment = await startSegment(t);
  const options = { writeKey: WRITE_KEY, host: segment.url, ...PATIENT };
  const { app, logger, close } = await startService(
    t,
    SegmentModule.forRoot([options, { ...options, name: 'marketing' }]),
  );
  clientOf(app).track({ userId: 'u1', event: 'Ordered' });
  for (const userId of ['u1', 'u2']) clientOf(app, 'marketing').identify({ userId });
  await close();

  const counted = closingLines(logger).map(({ fields }) => [fields['client'], fields['delivered']] as const);
  assert.deepEqual(Object.fromEntries(counted), { default: 1, marketing: 2 });
  assert.equal(counted.length, 2);
});

test('calls after the end are refused, and said so once', async (t) => {
  const segment = await startSegment(t);
  const { service, logger, close } = await startService(t, { writeKey: WRITE_KEY, host: segment.url });
  await close();
  const before = linesOf(logger).length;
  for (let number = 0; number < 5; number += 1) {
    assert.equal(service.track({ userId: 'u1', event: 'Too Late' }), false);
  }
  await assert.rejects(service.deliver.identify({ userId: 'u1' }), { code: 'ERR_CLOSED' });
  const told = await new Promise((resolve) => service.page({ userId: 'u1' }, resolve));
  assert.equal((told as { code?: unknown }).code, 'ERR_CLOSED');

  assert.equal(service.isClosed, true);
  assert.equal(service.stats().refused.closed, 7);
  const lines = linesOf(logger).slice(before);
  assert.deepEqual(
    lines.map(({ level, text }) => [level, text.split(':')[0]]),
    [
      ['warn', 'track() was refused'],
      ['warn', 'identify() was refused'],
      ['warn', 'page() was refused'],
    ],
  );
  assert.match(lines[0]?.text ?? '', /the application is shutting down/);
  assert.match(String(lines[0]?.fields['at']), /compiled\/lifecycle\.test\.js:\d+:\d+/);
  assert.equal(segment.requestCount, 0);
});

/** Runs the program, gives it three orders and whatever ends it. */
async function runServer(t: TestContext, start: string, host: string, end: (program: Served) => unknown) {
  const program = startProgram(t, 'lifecycle', start, host);
  const url = await program.line(/^listening on (\S+)$/m);
  const post = (path: string) => fetch(url + path, { method: 'POST', headers: { connection: 'close' } });
  for (let number = 0; number < 3; number += 1) assert.equal((await post('/orders')).status, 201);
  end({ child: program.child, post });
  return program.ended;
}

interface Served {
  child: RunningProgram['child'];
  post: (path: string) => Promise<Response>;
}

const closedWith = (delivered: number) => new RegExp(`^closed .*"delivered":${delivered},"dropped":0`, 'm');

describe('ways out of a process', { concurrency: 2 }, () => {
  test('SIGTERM with shutdown hooks closes the application, and everything is delivered', async (t) => {
    const segment = await startSegment(t);
    const ended = await runServer(t, 'server-with-hooks', segment.url, ({ child }) => child.kill('SIGTERM'));
    assert.deepEqual([ended.code, ended.signal], [null, 'SIGTERM'], ended.output);
    assert.match(ended.output, closedWith(3));
    assert.equal(segment.eventCount, 3);
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} without shutdown hooks ends the process at once, and everything is delivered`, async (t) => {
      const segment = await startSegment(t);
      const ended = await runServer(t, 'server', segment.url, ({ child }) => child.kill(signal));
      assert.deepEqual([ended.code, ended.signal], [null, signal], ended.output);
      assert.doesNotMatch(ended.output, /^closed/m);
      assert.equal(segment.eventCount, 3);
    });
  }

  for (const [path, what, code] of [
    ['/exit', 'process.exit()', 3],
    ['/crash', 'an uncaught error', 1],
  ] as const) {
    test(`${what} in the application: everything is delivered`, async (t) => {
      const segment = await startSegment(t);
      const end = ({ post }: Served) => post(path).catch(() => 'the process is gone');
      const ended = await runServer(t, 'server-with-hooks', segment.url, end);
      assert.deepEqual([ended.code, ended.signal], [code, null], ended.output);
      assert.equal(segment.eventCount, 4);
    });
  }

  test('an application without a server delivers when it is closed', async (t) => {
    const segment = await startSegment(t);
    const ended = await startProgram(t, 'lifecycle', 'script', segment.url).ended;
    assert.deepEqual([ended.code, ended.signal], [0, null], ended.output);
    assert.match(ended.output, closedWith(3));
    assert.equal(segment.eventCount, 3);
  });

  test('an application that nobody closes keeps no process alive, and delivers', async (t) => {
    const segment = await startSegment(t);
    const ended = await startProgram(t, 'lifecycle', 'script-left-open', segment.url).ended;
    assert.deepEqual([ended.code, ended.signal], [0, null], ended.output);
    assert.equal(segment.eventCount, 3);
  });
});
