/** What the functions of `@companion/segment/aws` may be told: options, environment, write key, logger. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { createHandler, createSqsHandler } from '@companion/segment/aws';
import { createSegmentClient } from '@companion/segment/commercetools';

import { startSegment } from './support/clients.mjs';
import {
  TOPIC,
  created,
  powertoolsLogger,
  snsEvent,
  sqsEvent,
  startHandler,
  useClock,
} from './support/lambda.mjs';
import { KEY, startWithEnvironment, useEnvironment } from './support/pipeline.mjs';
import { runScript } from './support/programs.mjs';
import { PRIVATE, assertNothingPrivate } from './support/receivers.mjs';

const EVENT = snsEvent(created(1));

describe('an option that can not be used is refused when the function is made', () => {
  for (const options of [
    { writeKey: 5 },
    { writeKey: null },
    { reserve: -1 },
    { reserve: '500' },
    { reserve: Number.NaN },
    { maxIdle: -1 },
    { maxIdle: '0' },
    { maxIdle: Number.NaN },
    { userId: 'phone' },
    { mapTraits: 'email' },
    { resolveCustomer: {} },
    { logger: {} },
  ]) {
    for (const create of [createHandler, createSqsHandler]) {
      test(`${inspect(options)} by ${create.name}()`, (t) => {
        useEnvironment(t, { SEGMENT_WRITE_KEY: KEY });
        const [field] = Object.keys(options);
        assert.throws(() => create(options), { name: 'AnalyticsError', code: 'ERR_OPTION_INVALID', field });
      });
    }
  }

  for (const poison of ['Acknowledge', '', 5]) {
    test(`{ poison: ${inspect(poison)} }`, () => {
      const refused = { code: 'ERR_OPTION_INVALID', field: 'poison' };
      assert.throws(() => createSqsHandler({ poison }), refused);
    });
  }

  for (const [name, value, field] of [
    ['SEGMENT_USER_ID', 'phone', 'userId'],
    ['SEGMENT_POISON_RECORDS', 'drop', 'poison'],
  ]) {
    test(`in the environment too: ${name}=${value}`, (t) => {
      useEnvironment(t, { [name]: value });
      assert.throws(() => createSqsHandler(), { code: 'ERR_OPTION_INVALID', field });
    });
  }
});

describe('what can not be used and shows only later loses no record', () => {
  for (const [what, variables, options] of [
    ['a setting', {}, { writeKey: KEY, settings: { flushAt: -1 } }],
    ['SEGMENT_REGION', { SEGMENT_REGION: 'mars' }, { writeKey: KEY }],
    ['SEGMENT_HOST', { SEGMENT_HOST: 'no url' }, { writeKey: KEY }],
    ['a client', {}, { client: {} }],
  ]) {
    test(`${what}: every invocation of createHandler() fails`, async (t) => {
      useEnvironment(t, variables);
      const handler = createHandler(options);
      for (let times = 0; times < 2; times += 1) {
        await assert.rejects(handler(EVENT), { code: 'ERR_OPTION_INVALID' });
      }
    });

    test(`${what}: createSqsHandler() leaves it in the queue`, async (t) => {
      useEnvironment(t, variables);
      const handler = createSqsHandler(options);
      const failed = { batchItemFailures: [{ itemIdentifier: 'sqs-1' }] };
      assert.deepEqual(await handler(sqsEvent(created(1))), failed);
    });
  }
});

describe('the environment', () => {
  test('names the write key and the host', async (t) => {
    const segment = await startWithEnvironment(t, { writeKeys: [KEY] });
    assert.equal((await createHandler()(EVENT)).identified, 1);
    assert.equal(segment.events[0].userId, PRIVATE.email);
  });

  for (const [userId, expected] of [
    ['', PRIVATE.email],
    ['email', PRIVATE.email],
    ['customerId', 'customer-1'],
    ['customerNumber', 'number-1'],
  ]) {
    test(`says what identifies a customer: SEGMENT_USER_ID=${userId}`, async (t) => {
      const segment = await startSegment(t);
      useEnvironment(t, { SEGMENT_USER_ID: userId });
      const handler = createHandler({ writeKey: KEY, settings: { host: segment.url } });
      await handler(EVENT);
      assert.equal(segment.events[0].userId, expected);
    });
  }

  test('is overruled by options', async (t) => {
    const segment = await startSegment(t, { writeKeys: ['another-key'] });
    useEnvironment(t, {
      SEGMENT_WRITE_KEY: KEY,
      SEGMENT_USER_ID: 'customerId',
      SEGMENT_HOST: 'http://127.0.0.1:9',
    });
    const settings = { host: segment.url };
    const handler = createHandler({ writeKey: 'another-key', userId: 'customerNumber', settings });
    assert.equal((await handler(EVENT)).identified, 1);
    assert.equal(segment.events[0].userId, 'number-1');
  });

  for (const [region, host] of [
    ['', 'https://api.segment.io'],
    ['us', 'https://api.segment.io'],
    ['eu', 'https://events.eu1.segmentapis.com'],
  ]) {
    test(`says where Segment is: SEGMENT_REGION=${region}`, async (t) => {
      useEnvironment(t, { SEGMENT_REGION: region });
      const urls = [];
      const httpClient = (url) => {
        urls.push(url);
        return Promise.resolve({ status: 200, statusText: 'OK' });
      };
      await createHandler({ writeKey: KEY, settings: { httpClient } })(EVENT);
      assert.deepEqual(urls, [`${host}/v1/batch`]);
    });
  }
});

describe('the write key', () => {
  for (const key of [undefined, '', ' ']) {
    test(`that is ${inspect(key)} fails every invocation, and neither the import nor createHandler()`, async (t) => {
      const segment = await startSegment(t);
      useEnvironment(t, key === undefined ? {} : { SEGMENT_WRITE_KEY: key });
      const handler = createHandler({ settings: { host: segment.url } });
      const text = key === ' ' ? 'Write key cannot be empty or whitespace only' : 'Missing SEGMENT_WRITE_KEY';
      const message = `1 of 1 records could not be delivered: ${text}`;
      for (let times = 0; times < 3; times += 1) {
        await assert.rejects(handler(EVENT), { code: 'ERR_WRITE_KEY_MISSING', message });
      }
      assert.equal(segment.requestCount, 0);
    });
  }

  test('that is missing leaves a process without a word', async (t) => {
    const source = `
      const { createHandler, createSqsHandler } = await import('@companion/segment/aws');
      createHandler();
      createSqsHandler();
    `;
    const ended = await runScript(t, source, { env: { SEGMENT_WRITE_KEY: '' } });
    assert.deepEqual(ended, { code: 0, signal: null, stdout: '', stderr: '' });
  });

  test('that is missing does not keep what is ignored from being that', async (t) => {
    useEnvironment(t, {});
    await assert.rejects(createHandler()(snsEvent(created(1), 'no json')), /^AnalyticsError: 2 of 2 records/);
  });

  test('that appears later is used', async (t) => {
    const segment = await startWithEnvironment(t, { writeKeys: [KEY] });
    delete process.env.SEGMENT_WRITE_KEY;
    const handler = createHandler();
    await assert.rejects(handler(EVENT), { code: 'ERR_WRITE_KEY_MISSING' });
    process.env.SEGMENT_WRITE_KEY = KEY;
    assert.equal((await handler(EVENT)).identified, 1);
    assert.equal(segment.eventCount, 1);
  });

  test('may come from a function, which may fail and is asked again', async (t) => {
    const { promise, reject } = withResolvers();
    const answers = [
      () => promise,
      () => {
        throw Object.assign(new Error(PRIVATE.token), { name: 'AccessDeniedException' });
      },
      () => '',
      () => KEY,
    ];
    let calls = 0;
    const writeKey = () => answers[calls++]();
    const { segment, handler, logger } = await startHandler(t, {
      writeKey,
      segment: { writeKeys: [KEY] },
    });
    // It is asked when the function is made, and the first event waits for that.
    const first = handler(EVENT);
    reject(new Error(PRIVATE.token));
    for (const [failing, text] of [
      [() => first, 'Error in a function'],
      [() => handler(EVENT), 'AccessDeniedException in a function'],
      [() => handler(EVENT), 'Write key cannot be empty'],
    ]) {
      const message = new RegExp(`^1 of 1 records could not be delivered: ${text}`);
      await assert.rejects(failing, { message });
    }
    assert.equal((await handler(EVENT)).identified, 1);
    assert.deepEqual([calls, segment.eventCount], [4, 1]);
    assertNothingPrivate(logger.lines);
  });

  test('is asked for once by all who wait, before the first event, and kept', async (t) => {
    const { promise, resolve } = withResolvers();
    let calls = 0;
    const writeKey = () => {
      calls += 1;
      return promise;
    };
    const { segment, handler } = await startHandler(t, { writeKey });
    assert.equal(calls, 1);
    const results = [1, 2, 3].map((number) => handler(snsEvent(created(number), created(number + 10))));
    resolve(KEY);
    assert.deepEqual(
      (await Promise.all(results)).map(({ identified }) => identified),
      [2, 2, 2],
    );
    await handler(EVENT);
    assert.deepEqual([calls, segment.eventCount], [1, 7]);
  });

  test('is asked for again after five minutes, and the new one is used', async (t) => {
    const clock = useClock(t);
    const keys = ['first-key', KEY, KEY];
    let calls = 0;
    const writeKey = () => keys[calls++];
    const { segment, handler } = await startHandler(t, { writeKey, segment: { writeKeys: [KEY] } });
    await assert.rejects(handler(EVENT), { code: 'ERR_UNAUTHORIZED' });
    const former = createSegmentClient('first-key', { host: segment.url, maxRetries: 0 });
    clock.pass(299_000);
    await assert.rejects(handler(EVENT), { code: 'ERR_UNAUTHORIZED' });
    assert.equal(calls, 1);
    clock.pass(1_000);
    for (let times = 0; times < 3; times += 1) assert.equal((await handler(EVENT)).identified, 1);
    assert.deepEqual([calls, segment.eventCount], [2, 3]);
    // The client of the old key is not left behind.
    await assert.rejects(former.identify({ userId: 'u1', traits: {} }), { code: 'ERR_CLOSED' });
    const connections = segment.connectionCount;
    clock.pass(300_000);
    // The key is the same, so its client is, with a connection that is as old.
    assert.equal((await handler(EVENT)).identified, 1);
    assert.deepEqual([calls, segment.connectionCount], [3, connections + 1]);
  });

  test('that can not be read again stays in use for five more minutes', async (t) => {
    const clock = useClock(t);
    let calls = 0;
    const writeKey = () => {
      calls += 1;
      if (calls === 1) return KEY;
      throw Object.assign(new Error(PRIVATE.token), { name: 'ThrottlingException' });
    };
    const { segment, handler, logger } = await startHandler(t, { writeKey });
    clock.pass(300_000);
    for (let times = 0; times < 3; times += 1) assert.equal((await handler(EVENT)).identified, 1);
    assert.deepEqual([calls, segment.eventCount], [2, 3]);
    assert.deepEqual(
      logger.lines.filter(({ level }) => level === 'warn'),
      [
        {
          level: 'warn',
          message: 'segment: the write key could not be read again; the old one stays in use',
          fields: { error: 'ThrottlingException' },
        },
      ],
    );
  });
});

function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

describe('a logger', () => {
  test('of Powertools is told of every record: of which message, from where, and nothing of the customer', async (t) => {
    const segment = await startSegment(t);
    const source = `
      const { Logger } = await import('@aws-lambda-powertools/logger');
      const { createHandler } = await import('@companion/segment/aws');
      const handler = createHandler({
        logger: new Logger({ serviceName: 'identify' }),
        settings: { host: '${segment.url}' },
        writeKey: '${KEY}',
      });
      await handler(${JSON.stringify(snsEvent(created(1), `no json: ${PRIVATE.email}`))});
    `;
    const { code, stdout, stderr } = await runScript(t, source, { env: { POWERTOOLS_DEV: 'false' } });
    const lines = `${stdout}${stderr}`.trimEnd().split('\n').map(JSON.parse);
    const told = lines.map(({ level, message, service, reason, messageId, snsMessageId, topicArn }) => [
      [level, message, service],
      reason ?? messageId,
      [snsMessageId, topicArn],
    ]);
    assert.deepEqual(
      [code, told.toSorted()],
      [
        0,
        [
          [['ERROR', 'segment: no notification', 'identify'], 'not-json', ['sns-2', TOPIC]],
          [['INFO', 'segment: customer identified', 'identify'], 'ct:shop:message-1', ['sns-1', TOPIC]],
        ],
      ],
    );
    assertNothingPrivate([stdout, stderr]);
    assert.ok(!stdout.includes(KEY) && !stderr.includes(KEY));
  });

  test('that throws harms nobody', async (t) => {
    const fails = () => {
      throw new Error('no disk');
    };
    const { handler } = await startHandler(t, {
      logger: { ...powertoolsLogger(), info: fails, error: fails },
    });
    assert.equal((await handler(snsEvent(created(1), 'no json'))).identified, 1);
  });
});
