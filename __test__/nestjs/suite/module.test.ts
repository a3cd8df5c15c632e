/** How the module is told its options, who gets which client, and what an application hears that was told nonsense. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { inspect } from 'node:util';

import { Inject, Injectable, type DynamicModule } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import {
  getSegmentToken,
  InjectSegment,
  SegmentModule,
  SegmentService,
  type SegmentModuleAsyncOptions,
  type SegmentModuleOptions,
  type SegmentModuleSyncOptions,
  type SegmentOptionsFactory,
} from '@companion/segment/nestjs';
import type { FakeSegment } from '@companion/segment/testing';

import { clientOf, closingLines, linesOf, startService } from './services.js';
import { CapturingLogger, startApplication, startSegment, WRITE_KEY, type Scope } from './support.js';

/** Sets variables for one test; undefined takes one away. */
function setEnvironment(t: TestContext, variables: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    t.after(() => put(name, before));
    put(name, value);
  }
}

function put(name: string, value: string | undefined): void {
  if (value === undefined) Reflect.deleteProperty(process.env, name);
  else process.env[name] = value;
}

const strict = (scope: Scope) => startSegment(scope, { writeKeys: [WRITE_KEY] });

const usersOf = ({ events }: FakeSegment) => events.map(({ userId }) => userId);

describe('one client', () => {
  test('forRoot() takes what it needs from the environment', async (t) => {
    const segment = await strict(t);
    setEnvironment(t, { SEGMENT_WRITE_KEY: WRITE_KEY, SEGMENT_HOST: segment.url });
    const { service } = await startService(t, SegmentModule.forRoot());
    service.identify({ userId: 'u1' });
    await service.flush();
    assert.deepEqual(usersOf(segment), ['u1']);
  });

  test('options win over the environment', async (t) => {
    const segment = await strict(t);
    setEnvironment(t, {
      SEGMENT_WRITE_KEY: 'wrong',
      SEGMENT_HOST: 'http://127.0.0.1:1',
      SEGMENT_DISABLE: '1',
    });
    const { service } = await startService(t, { writeKey: WRITE_KEY, host: segment.url, disable: false });
    service.identify({ userId: 'u1' });
    await service.flush();
    assert.deepEqual(usersOf(segment), ['u1']);
  });

  test('null means: not given', async (t) => {
    const segment = await strict(t);
    const names = ['enabled', 'dryRun', 'shutdownTimeout', 'contextProvider', 'logger', 'logLevel', 'spool'];
    const empty = Object.fromEntries(names.map((name) => [name, null]));
    const options = { writeKey: WRITE_KEY, host: segment.url, ...empty };
    const { service, logger, close } = await startService(t, options);
    service.identify({ userId: 'u1' });
    await close();
    assert.deepEqual(usersOf(segment), ['u1']);
    assert.equal(closingLines(logger).length, 1);
  });

  /** The options behind a provider, as an application has them. */
  @Injectable()
  class Settings implements SegmentOptionsFactory {
    constructor(@Inject('SEGMENT_URL') private readonly url: string) {}

    createSegmentOptions(): SegmentModuleOptions {
      return { writeKey: WRITE_KEY, host: this.url };
    }
  }
  class SettingsModule {}
  const url = (segment: FakeSegment) => ({ provide: 'SEGMENT_URL', useValue: segment.url });
  const settings = (segment: FakeSegment): DynamicModule => ({
    module: SettingsModule,
    providers: [url(segment), Settings],
    exports: [Settings, 'SEGMENT_URL'],
  });
  const configured = (segment: FakeSegment, isGlobal: boolean) =>
    ConfigModule.forRoot({
      isGlobal,
      ignoreEnvFile: true,
      load: [() => ({ segment: { key: WRITE_KEY, url: segment.url } })],
    });
  const fromConfig = {
    inject: [ConfigService],
    useFactory: (config: ConfigService) => ({
      writeKey: config.getOrThrow<string>('segment.key'),
      host: config.get<string>('segment.url'),
      spool: config.get<string>('segment.spool'),
    }),
  };

  type Imported = DynamicModule | Promise<DynamicModule>;
  const forms: [string, (segment: FakeSegment) => [SegmentModuleAsyncOptions, ...Imported[]]][] = [
    ['useFactory', ({ url: host }) => [{ useFactory: () => ({ writeKey: WRITE_KEY, host }) }]],
    ['async useFactory', ({ url: host }) => [{ useFactory: async () => ({ writeKey: WRITE_KEY, host }) }]],
    ['useFactory with a global ConfigService', (segment) => [fromConfig, configured(segment, true)]],
    [
      'useFactory with an imported ConfigService',
      (segment) => [{ ...fromConfig, imports: [configured(segment, false)] }],
    ],
    [
      'useFactory with extraProviders',
      (segment) => [
        {
          extraProviders: [url(segment)],
          inject: ['SEGMENT_URL'],
          useFactory: (host: string) => ({ writeKey: WRITE_KEY, host }),
        },
      ],
    ],
    ['useClass with extraProviders', (segment) => [{ useClass: Settings, extraProviders: [url(segment)] }]],
    ['useClass with imports', (segment) => [{ useClass: Settings, imports: [settings(segment)] }]],
    ['useExisting with imports', (segment) => [{ useExisting: Settings, imports: [settings(segment)] }]],
  ];
  for (const [form, make] of forms) {
    test(`forRootAsync: ${form}`, async (t) => {
      const segment = await strict(t);
      const [options, ...others] = make(segment);
      class TogetherModule {}
      const imports = [...others, SegmentModule.forRootAsync(options)];
      const { service } = await startService(t, { module: TogetherModule, imports });
      service.identify({ userId: 'u1' });
      await service.flush();
      assert.deepEqual(usersOf(segment), ['u1']);
    });
  }
});

describe('several clients', () => {
  @Injectable()
  class Campaigns {
    @InjectSegment('marketing') readonly property: SegmentService;

    constructor(
      readonly usual: SegmentService,
      @InjectSegment('marketing') readonly marketing: SegmentService,
      @Inject(getSegmentToken('marketing')) readonly byToken: SegmentService,
      @InjectSegment() readonly unnamed: SegmentService,
    ) {}
  }

  type Options = SegmentModuleSyncOptions & { name: string };
  const forms: [string, (usual: SegmentModuleSyncOptions, marketing: Options) => DynamicModule[]][] = [
    ['forRoot([...])', (...both) => [SegmentModule.forRoot(both)]],
    [
      'forRootAsync([...])',
      (usual, { name, ...marketing }) => [
        SegmentModule.forRootAsync([{ useFactory: () => usual }, { name, useFactory: () => marketing }]),
      ],
    ],
    [
      'registerClient()',
      (usual, marketing) => [SegmentModule.forRoot(usual), SegmentModule.registerClient(marketing)],
    ],
    [
      'registerClientAsync()',
      (usual, { name, ...marketing }) => [
        SegmentModule.registerClientAsync({ name, useFactory: async () => marketing }),
        SegmentModule.forRootAsync({ useFactory: () => usual }),
      ],
    ],
  ];
  for (const [form, make] of forms) {
    test(`${form}: each is injected under its name and sends to its own source`, async (t) => {
      const usual = await strict(t);
      const marketing = await startSegment(t, { writeKeys: ['marketing-key'] });
      const options = { name: 'marketing', writeKey: 'marketing-key', host: marketing.url };
      const imports = make({ writeKey: WRITE_KEY, host: usual.url }, options);
      const { app } = await startApplication(t, { root: { imports, providers: [Campaigns] } });
      const campaigns = app.get(Campaigns);

      assert.equal(campaigns.marketing, campaigns.property);
      assert.equal(campaigns.marketing, campaigns.byToken);
      assert.equal(campaigns.marketing, clientOf(app, 'marketing'));
      assert.equal(campaigns.usual, campaigns.unnamed);
      assert.equal(campaigns.usual, app.get(SegmentService));
      assert.deepEqual([campaigns.usual.name, campaigns.marketing.name], ['default', 'marketing']);
      campaigns.usual.identify({ userId: 'u1' });
      campaigns.marketing.identify({ userId: 'u2' });
      await Promise.all([campaigns.usual.flush(), campaigns.marketing.flush()]);
      assert.deepEqual([usersOf(usual), usersOf(marketing)], [['u1'], ['u2']]);
    });
  }

  @Injectable()
  class Orders {
    constructor(readonly segment: SegmentService) {}
  }
  /** A feature module. */
  function feature(...imports: DynamicModule[]): DynamicModule {
    class OrdersModule {}
    return { module: OrdersModule, imports, providers: [Orders] };
  }

  test('two calls of forRoot() make two clients, each for the module that imports it', async (t) => {
    const [first, second] = [await strict(t), await strict(t)];
    const options = { writeKey: WRITE_KEY, isGlobal: false };
    const logger = new CapturingLogger();
    const { app, close } = await startApplication(t, {
      root: {
        imports: [
          feature(SegmentModule.forRoot({ ...options, host: first.url })),
          feature(SegmentModule.forRoot({ ...options, host: second.url })),
        ],
      },
      logger,
    });
    const [one, other] = app.get(Orders, { strict: false, each: true });
    one?.segment.identify({ userId: 'u1' });
    other?.segment.identify({ userId: 'u2' });
    await close();
    assert.deepEqual([usersOf(first), usersOf(second)], [['u1'], ['u2']]);
    assert.equal(closingLines(logger).length, 2);
  });

  test('isGlobal: false has to be imported where it is injected', async (t) => {
    const own = SegmentModule.forRoot({ enabled: false, isGlobal: false });
    const { app } = await startApplication(t, { root: { imports: [own, feature(own)] } });
    assert.equal(app.get(Orders, { strict: false }).segment, app.get(SegmentService));

    const error = await refused(t, [own, feature()]);
    assert.match(error.message, /Nest can't resolve dependencies of the Orders \(\?\)/);
    assert.match(error.message, /SegmentService/);
  });
});

/** The error with which an application does not start. */
async function refused(t: TestContext, imports: DynamicModule[], logger = new CapturingLogger()) {
  const start = startApplication(t, { root: { imports }, logger });
  return start.then(
    () => assert.fail('the application started'),
    (error: unknown) => error as Error & { code?: string; field?: string; limit?: string },
  );
}

describe('an application whose options can not work does not start', () => {
  const advice = 'or enabled: false to run without Segment.';
  const missing = `Missing SEGMENT_WRITE_KEY. Set it, or give SegmentModule a writeKey, ${advice}`;
  const missingNamed =
    "Missing SEGMENT_WRITE_KEY. The environment's key is the default client's: " +
    `give the client 'marketing' a writeKey, ${advice}`;

  for (const [what, module, text, environment] of [
    ['forRoot()', SegmentModule.forRoot(), missing],
    ['forRootAsync()', SegmentModule.forRootAsync({ useFactory: () => ({ flushAt: 1 }) }), missing],
    ['a named client', SegmentModule.registerClient({ name: 'marketing' }), missingNamed, WRITE_KEY],
  ] as const) {
    test(`${what} without a write key`, async (t) => {
      setEnvironment(t, { SEGMENT_WRITE_KEY: environment, SEGMENT_DISABLE: undefined });
      const logger = new CapturingLogger();
      const error = await refused(t, [module], logger);
      assert.equal(error.message, text);
      assert.deepEqual(
        [error.name, error.code, error.field],
        ['AnalyticsError', 'ERR_WRITE_KEY_MISSING', 'writeKey'],
      );
      assert.ok(logger.text.includes(text), 'and Nest says so in the log');
      assert.ok(!`${inspect(error)}${logger.text}`.includes(WRITE_KEY));
    });
  }

  const invalid: [Record<string, unknown>, string][] = [
    [{ enabled: 'false' }, 'enabled'],
    [{ dryRun: 1 }, 'dryRun'],
    [{ shutdownTimeout: '10s' }, 'shutdownTimeout'],
    [{ shutdownTimeout: -1 }, 'shutdownTimeout'],
    [{ shutdownTimeout: Number.NaN }, 'shutdownTimeout'],
    [{ contextProvider: {} }, 'contextProvider'],
    [{ logger: {} }, 'logger'],
    [{ logLevel: 'loud' }, 'logLevel'],
    [{ flushAt: '15' }, 'flushAt'],
    [{ flushAt: 1_000_000 }, 'flushAt'],
    [{ region: 'moon' }, 'region'],
    [{ host: 'http://segment.example' }, 'host'],
    [{ spool: 42 }, 'spool'],
    [{ writeKey: 42 }, 'writeKey'],
    [{ flushat: 15 }, 'flushat'],
    [{ shutDownTimeout: 15 }, 'shutDownTimeout'],
    // Beside the factory, not in what it returns.
    [{ name: 'marketing' }, 'name'],
    [{ requestContext: true }, 'requestContext'],
    [{ enabled: false, flushAt: '15' }, 'flushAt'],
    [{ dryRun: true, flushat: 15 }, 'flushat'],
  ];
  for (const [options, field] of invalid) {
    test(`with ${inspect(options)}`, async (t) => {
      const logger = new CapturingLogger();
      const useFactory = () => ({ writeKey: WRITE_KEY, ...options }) as SegmentModuleOptions;
      const error = await refused(t, [SegmentModule.forRootAsync({ useFactory })], logger);
      assert.deepEqual([error.code, error.field], ['ERR_OPTION_INVALID', field]);
      assert.ok(error.message.includes(field) && logger.text.includes(error.message));
      assert.ok(!`${inspect(error)}${logger.text}`.includes(WRITE_KEY));
    });
  }
});

describe('nothing reaches Segment', () => {
  const off: [string, SegmentModuleSyncOptions, Record<string, string>][] = [
    ['enabled: false', { enabled: false }, {}],
    ['SEGMENT_DISABLE', {}, { SEGMENT_DISABLE: '1' }],
    ['enabled: false beside a write key', { enabled: false, writeKey: WRITE_KEY }, {}],
  ];
  for (const [what, options, environment] of off) {
    test(`${what}: calls are checked and counted, and the application is none the wiser`, async (t) => {
      const segment = await startSegment(t);
      setEnvironment(t, { SEGMENT_WRITE_KEY: undefined, ...environment });
      const { service, logger, close } = await startService(t, { ...options, host: segment.url });
      assert.equal(service.identify({ userId: 'u1' }), true);
      assert.equal(service.identify({ userId: undefined as never }), false);
      const kept = service.deliver.identify({ userId: 'u1' });
      const { accepted, delivered, refused: left } = { ...(await service.flush()), ...service.stats() };
      assert.equal((await kept).messageId.length, 36);
      await close();

      assert.deepEqual([accepted, delivered, left.invalid], [2, 2, 1]);
      assert.equal(segment.connectionCount, 0);
      const text = 'closed; nothing was sent, the client is disabled';
      assert.deepEqual(closingLines(logger), [
        { level: 'log', text, fields: { client: 'default', refused: 1 } },
      ]);
    });
  }

  test('dryRun logs the names of what would be sent, and no values', async (t) => {
    const segment = await startSegment(t);
    setEnvironment(t, { SEGMENT_WRITE_KEY: undefined });
    const { service, logger, close } = await startService(t, { dryRun: true, host: segment.url });
    const canary = { plan: 'customer-canary', address: { city: 'customer-canary' } };
    service.track({ userId: 'customer-canary', event: 'Signed Up', properties: canary });
    service.identify({ userId: 'customer-canary', traits: canary });
    service.alias({ userId: 'customer-canary', previousId: 'customer-canary' });
    await service.flush();

    const note = '(dry run, not sent)';
    assert.deepEqual(linesOf(logger), [
      { level: 'log', text: `track ${note}`, fields: { client: 'default', with: 'plan, address' } },
      { level: 'log', text: `identify ${note}`, fields: { client: 'default', with: 'plan, address' } },
      { level: 'log', text: `alias ${note}`, fields: { client: 'default' } },
    ]);
    await close();
    assert.equal(segment.connectionCount, 0);
    assert.ok(!logger.text.includes('customer-canary'));
  });
});

test('the write key is in no line, whatever Segment says of it', async (t) => {
  const segment = await startSegment(t, { writeKeys: ['another'] });
  const { service, logger, close } = await startService(t, {
    writeKey: WRITE_KEY,
    host: segment.url,
    logLevel: 'trace',
  });
  const lost = service.deliver.identify({ userId: 'u1' });
  void service.flush();
  await assert.rejects(lost, (error) => {
    assert.ok(!inspect(error).includes(WRITE_KEY));
    return (error as { code?: unknown }).code === 'ERR_UNAUTHORIZED';
  });
  await close();
  assert.ok(logger.of('Segment').length > 2);
  assert.ok(!logger.text.includes(WRITE_KEY));
  assert.ok(!inspect(service, { depth: 10, showHidden: true }).includes(WRITE_KEY));
});
