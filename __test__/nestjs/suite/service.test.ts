/** What is injected never harms who calls it: whatever it is given, wherever Segment is, whoever reads the log. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Context } from '@companion/segment';
import { SegmentModule, SegmentService } from '@companion/segment/nestjs';

import { linesOf, PATIENT, startService, type OurLine } from './services.js';
import { CapturingLogger, startApplication, startSegment, WRITE_KEY } from './support.js';

const METHODS = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const;

/** What no line may hold. */
const CUSTOMER = 'customer-canary';

/** Good for each of the six methods. */
const GOOD = { userId: CUSTOMER, event: 'Ordered', groupId: CUSTOMER, previousId: CUSTOMER };

/** The six methods without their types. */
type Loose = (params: unknown, callback?: unknown) => boolean;
const methodOf = (service: SegmentService, method: (typeof METHODS)[number]): Loose =>
  (service[method] as Loose).bind(service);

function fails(thrown: unknown): never {
  throw thrown;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function unreadable(): object {
  return Object.defineProperty({}, 'name', { get: () => fails(new Error(CUSTOMER)) });
}

function cyclic(): object {
  const value: Record<string, unknown> = { name: CUSTOMER };
  return (value['itself'] = value);
}

const nested = (levels: number): object => (levels === 0 ? { name: CUSTOMER } : { in: nested(levels - 1) });

/** What to call it, what is given, and as what it is counted. */
const HOSTILE: [string, unknown, 'invalid' | 'not_serializable' | 'event_too_large'][] = [
  ['undefined', undefined, 'invalid'],
  ['null', null, 'invalid'],
  ['a number', 42, 'invalid'],
  ['a text', CUSTOMER, 'invalid'],
  ['a symbol', Symbol(CUSTOMER), 'invalid'],
  ['a function', () => CUSTOMER, 'invalid'],
  ['an array', [CUSTOMER], 'invalid'],
  ['no id', { event: CUSTOMER }, 'invalid'],
  ['an id that is a number', { ...GOOD, userId: 42 }, 'invalid'],
  ['an id that is an object', { ...GOOD, userId: { is: CUSTOMER } }, 'invalid'],
  ['a messageId that is a number', { ...GOOD, messageId: 42 }, 'invalid'],
  ['a messageId that is too long', { ...GOOD, messageId: CUSTOMER.repeat(10) }, 'invalid'],
  ['a date that is none', { ...GOOD, timestamp: CUSTOMER }, 'invalid'],
  ['a context that is a text', { ...GOOD, context: CUSTOMER }, 'invalid'],
  ['a BigInt', { ...GOOD, context: { value: 1n } }, 'not_serializable'],
  ['a cycle', { ...GOOD, context: cyclic() }, 'not_serializable'],
  ['200 levels', { ...GOOD, context: nested(200) }, 'not_serializable'],
  ['40 KB', { ...GOOD, context: { text: CUSTOMER.repeat(3_000) } }, 'event_too_large'],
  [
    'a toJSON() that throws',
    { ...GOOD, context: { toJSON: () => fails(new Error(CUSTOMER)) } },
    'not_serializable',
  ],
  ['a getter that throws', getter(new Error(CUSTOMER)), 'not_serializable'],
  ['a getter that throws a text', getter(CUSTOMER), 'not_serializable'],
  ['a getter that throws nothing', getter(undefined), 'not_serializable'],
  ['a getter that throws what can not be read', getter(unreadable()), 'not_serializable'],
  ['an object that can not be read', revoked(), 'not_serializable'],
];

function getter(thrown: unknown): object {
  return Object.defineProperty({ ...GOOD }, 'userId', { get: () => fails(thrown), enumerable: true });
}

const texts = (lines: OurLine[]) => lines.map(({ text }) => text);

describe('whatever is given', () => {
  for (const [what, params, counted] of HOSTILE) {
    test(`${what}: no method throws, each call is refused, counted and said once`, async (t) => {
      const { service, logger } = await startService(t, { writeKey: WRITE_KEY, host: 'http://127.0.0.1:1' });
      for (const method of METHODS) {
        for (let number = 0; number < 3; number += 1) assert.equal(methodOf(service, method)(params), false);
      }

      const { refused, accepted } = service.stats();
      assert.deepEqual([refused[counted], accepted], [3 * METHODS.length, 0]);
      assert.equal(
        Object.values(refused).reduce((sum, count) => sum + count),
        3 * METHODS.length,
      );
      const lines = linesOf(logger);
      for (const method of METHODS) {
        const own = lines.filter(({ text }) => text.startsWith(`${method}() was refused: `));
        assert.equal(own.length, 1, method);
        assert.match(String(own[0]?.fields['at']), /compiled\/service\.test\.js:\d+:\d+\)?$/);
      }
      assert.equal(lines.length, METHODS.length, texts(lines).join('\n'));
      assert.ok(!logger.text.includes(CUSTOMER) && !logger.text.includes(WRITE_KEY), logger.text);
    });

    test(`${what}: deliver.* rejects and does not throw`, async (t) => {
      const { service } = await startService(t, { writeKey: WRITE_KEY, host: 'http://127.0.0.1:1' });
      for (const method of METHODS) {
        const deliver = service.deliver[method] as (given: unknown) => Promise<unknown>;
        const error = await deliver(params).then(
          () => assert.fail('it was delivered'),
          (reason: unknown) => reason as { code?: unknown; message: string },
        );
        assert.match(String(error.code), /^ERR_(VALIDATION|NOT_SERIALIZABLE|EVENT_TOO_LARGE)$/);
        assert.ok(!error.message.includes(CUSTOMER));
      }
    });
  }
});

/** What an application is made of: a class with a method, somewhere in a file of its own. */
class Checkout {
  constructor(private readonly segment: SegmentService) {}

  pay(userId: unknown): boolean {
    return this.segment.track({ userId: userId as string, event: 'Paid' });
  }

  greet(userId: unknown): boolean {
    return this.segment.identify({ userId: userId as string });
  }
}

describe('what is said of refused calls', () => {
  const closed = { writeKey: WRITE_KEY, host: 'http://127.0.0.1:1' };

  test('the line says what is wrong, its code, and where in the application it is', async (t) => {
    const { service, logger } = await startService(t, closed);
    const checkout = new Checkout(service);
    for (let number = 0; number < 100; number += 1) checkout.pay(undefined);
    checkout.greet(42);

    const [paid, greeted, ...others] = linesOf(logger);
    assert.deepEqual(others, []);
    assert.deepEqual(paid?.level, 'warn');
    const text =
      'track() was refused: .userId/anonymousId/previousId/groupId is nil. ' +
      'This is logged once; stats().refused counts repeats.';
    assert.equal(paid.text, text);
    assert.equal(paid.fields['client'], 'default');
    assert.equal(paid.fields['code'], 'ERR_VALIDATION');
    assert.match(String(paid.fields['at']), /^Checkout\.pay \(compiled\/service\.test\.js:\d+:\d+\)$/);
    assert.match(String(greeted?.fields['at']), /^Checkout\.greet \(compiled\/service\.test\.js:\d+:\d+\)$/);
    assert.equal(service.stats().refused.invalid, 101);
  });

  test('different mistakes of one method are different lines', async (t) => {
    const { service, logger } = await startService(t, closed);
    const track = methodOf(service, 'track');
    for (let number = 0; number < 3; number += 1) {
      track({ event: 'Paid' });
      track({ ...GOOD, event: undefined });
      track({ ...GOOD, properties: CUSTOMER });
      track({ ...GOOD, properties: { amount: 1n } });
      track({ ...GOOD, properties: { text: 'x'.repeat(40_000) } });
    }
    const problems = texts(linesOf(logger)).map((text) =>
      text.replace(/^track\(\) was refused: | This is.*/g, ''),
    );
    assert.deepEqual(problems, [
      '.userId/anonymousId/previousId/groupId is nil.',
      '.event is not a string.',
      '.properties is not an object.',
      "The event's properties.amount is a BigInt. Convert it with String() or Number().",
      problems.at(-1),
    ]);
    assert.match(problems.at(-1) ?? '', /^The event is about 40\d\d\d bytes of JSON/);
  });

  test('an application that changes how stacks are written can still track', async (t) => {
    const { service, logger } = await startService(t, closed);
    const { prepareStackTrace } = Error;
    t.after(() => void (Error.prepareStackTrace = prepareStackTrace));
    Error.prepareStackTrace = (_error, frames) => frames;
    assert.equal(new Checkout(service).pay(undefined), false);
    assert.equal(linesOf(logger).length, 1);
  });

  test('error listeners of the client and callbacks are told, each once', async (t) => {
    const { service } = await startService(t, closed);
    const heard: unknown[][] = [];
    service.client.on('error', (error) => {
      if (error.code === 'delivery_failure') heard.push(['listener', ...told(error.reason, error.ctx)]);
    });
    const callback = (error: unknown, context: Context) =>
      void heard.push(['callback', ...told(error, context)]);
    const told = (error: unknown, { event }: Context) => [(error as { code?: unknown }).code, event.type];

    service.track({ userId: undefined as never, event: 'Paid' }, callback);
    service.group({ ...GOOD, traits: { amount: 1n } }, callback);
    service.page({ ...GOOD, properties: { text: 'x'.repeat(40_000) } }, callback);
    service.alias(null as never);
    assert.deepEqual(heard.splice(0), [
      ['listener', 'ERR_VALIDATION', 'track'],
      ['listener', 'ERR_NOT_SERIALIZABLE', 'group'],
      ['listener', 'ERR_EVENT_TOO_LARGE', 'page'],
      ['listener', 'ERR_VALIDATION', 'alias'],
    ]);
    // Callbacks come after the call.
    await new Promise(setImmediate);
    assert.deepEqual(heard, [
      ['callback', 'ERR_VALIDATION', 'track'],
      ['callback', 'ERR_NOT_SERIALIZABLE', 'group'],
      ['callback', 'ERR_EVENT_TOO_LARGE', 'page'],
    ]);
  });

  test('listeners and callbacks that fail harm nobody', async (t) => {
    const { service, logger } = await startService(t, closed);
    service.client.on('error', () => fails(new Error(CUSTOMER)));
    assert.equal(
      service.track(undefined as never, () => fails(new Error(CUSTOMER))),
      false,
    );
    assert.equal(
      service.track(undefined as never, async () => fails(new Error(CUSTOMER))),
      false,
    );
    assert.ok(!logger.text.includes(CUSTOMER), logger.text);
  });
});

describe('what becomes of accepted calls', () => {
  test('each method delivers; callbacks, deliver.* and flush() tell of it', async (t) => {
    const segment = await startSegment(t, { poison: ({ userId }) => userId === 'poisonous' });
    const { service } = await startService(t, { writeKey: WRITE_KEY, host: segment.url, ...PATIENT });
    const heard: string[] = [];
    for (const method of METHODS) {
      const accepted = methodOf(service, method)(GOOD, (error: unknown, { event }: Context) => {
        heard.push(error === undefined ? event.type : 'failed');
      });
      assert.equal(accepted, true);
    }
    const kept = service.deliver.track({ userId: 'u1', event: 'Paid' });
    const refused = service.deliver.track({ userId: 'poisonous', event: 'Paid' });
    const report = await service.flush();

    // Parts of the batch that was refused are sent side by side.
    assert.deepEqual(heard.toSorted(), METHODS.toSorted());
    assert.match((await kept).messageId, /^[\w-]{36}$/);
    await assert.rejects(refused, { code: 'ERR_REJECTED', status: 400 });
    const { accepted, delivered, pending, dropped } = report;
    assert.deepEqual([accepted, delivered, pending, dropped.rejected], [8, 7, 0, 1]);
    assert.deepEqual(service.stats().delivered, 7);
    assert.deepEqual(segment.events.map(({ type }) => type).toSorted(), [...METHODS, 'track'].toSorted());
  });
});

describe('an outage does not flood the log', () => {
  test('a full queue is one line, however many calls it costs', async (t) => {
    const segment = await startSegment(t);
    await segment.pause();
    const options = { writeKey: WRITE_KEY, host: segment.url, maxQueueBytes: 65_536 };
    const { service, logger } = await startService(t, options);
    let accepted = 0;
    while (service.track(GOOD)) accepted += 1;
    const heard: unknown[] = [];
    service.track(GOOD, (error) => heard.push((error as { code?: unknown }).code));
    for (let number = 0; number < 1_000; number += 1) assert.equal(service.track(GOOD), false);
    await segment.resume();
    await service.flush();

    assert.ok(accepted > 100);
    assert.deepEqual(heard, ['ERR_QUEUE_FULL']);
    assert.equal(service.stats().refused.queue_full, 1_002);
    const lines = linesOf(logger);
    const full = lines.filter(({ text }) => text.startsWith('Calls are refused. '));
    assert.deepEqual(
      full.map(({ level, fields }) => [level, fields['code']]),
      [['error', 'ERR_QUEUE_FULL']],
    );
    assert.ok(lines.length <= 3, texts(lines).join('\n'));
    assert.equal(segment.eventCount, accepted);
    assert.ok(!logger.text.includes(CUSTOMER) && !logger.text.includes(WRITE_KEY), logger.text);
  });

  test('a queue that gives way to the newest is few lines', async (t) => {
    const segment = await startSegment(t);
    const options = { ...PATIENT, flushAt: 2_500, maxQueueBytes: 65_536, overflow: 'drop-oldest' } as const;
    const { service, logger } = await startService(t, { writeKey: WRITE_KEY, host: segment.url, ...options });
    for (let number = 0; number < 2_000; number += 1) assert.equal(service.track(GOOD), true);
    const { dropped } = await service.flush();

    assert.ok(dropped.queue_full > 1_000);
    assert.deepEqual(texts(linesOf(logger)), ['events dropped']);
  });

  test('failing and dropped deliveries are one line each', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 503, times: Infinity }] });
    const options = { flushAt: 1, maxRetries: 1, maxConcurrentRequests: 64 };
    const { service, logger } = await startService(t, { writeKey: WRITE_KEY, host: segment.url, ...options });
    for (let number = 0; number < 50; number += 1) assert.equal(service.track(GOOD), true);
    const { dropped } = await service.flush();

    assert.equal(dropped.server, 50);
    assert.equal(segment.requestCount, 100);
    assert.deepEqual(texts(linesOf(logger)), ['delivery failed, trying again', 'events dropped']);
    assert.ok(!logger.text.includes(CUSTOMER) && !logger.text.includes(WRITE_KEY), logger.text);
  });
});

describe('where the lines go', () => {
  test('app.useLogger() after the start redirects them', async (t) => {
    const first = new CapturingLogger();
    const second = new CapturingLogger();
    const imports = [SegmentModule.forRoot({ writeKey: WRITE_KEY, host: 'http://127.0.0.1:1' })];
    const { app } = await startApplication(t, { root: { imports }, logger: first });
    const checkout = new Checkout(app.get(SegmentService));
    checkout.pay(undefined);
    app.useLogger(second);
    checkout.greet(undefined);

    assert.match(texts(linesOf(first)).join(), /^track\(\) was refused[^\n]*$/);
    assert.match(texts(linesOf(second)).join(), /^identify\(\) was refused[^\n]*$/);
  });

  test('the option logger takes them all, and may fail', async (t) => {
    const lines: unknown[][] = [];
    const take = (...line: unknown[]) => fails(lines.push(line));
    const own = { error: take, warn: take, info: take, debug: take };
    const { service, logger, close } = await startService(t, { enabled: false, logger: own });
    assert.equal(new Checkout(service).pay(undefined), false);
    await close();

    assert.deepEqual(logger.of('Segment'), []);
    assert.match(String(lines[0]?.[0]), /^segment: track\(\) was refused/);
    assert.match(String(lines[1]?.[0]), /^segment: closed/);
    assert.equal(lines.length, 2);
  });

  test('no line of any level holds the write key or what was tracked', async (t) => {
    const segment = await startSegment(t, {
      writeKeys: [WRITE_KEY],
      faults: [{ status: 503 }, { retryAfter: 1 }, { body: CUSTOMER, status: 400 }],
    });
    const options = { writeKey: WRITE_KEY, host: segment.url, logLevel: 'trace' } as const;
    const { service, logger, close } = await startService(t, options);
    for (const method of METHODS) methodOf(service, method)({ ...GOOD, properties: GOOD, traits: GOOD });
    for (const [, params] of HOSTILE) for (const method of METHODS) methodOf(service, method)(params);
    await close();

    assert.equal(segment.eventCount, METHODS.length);
    assert.ok(logger.of('Segment').some(({ level }) => level === 'debug'));
    assert.ok(!logger.text.includes(CUSTOMER) && !logger.text.includes(WRITE_KEY), logger.text);
  });
});
