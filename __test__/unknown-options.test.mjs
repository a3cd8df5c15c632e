/** Whoever calls with an option that does not exist is told: it must not be as if it had not been written. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { Analytics, FetchHTTPClient } from '@companion/segment';
import { createHandler, createSqsHandler, withSegment } from '@companion/segment/aws';
import { esbuild, rollup, unplugin, webpack } from '@companion/segment/bundler';
import {
  NotificationReceiver,
  SnsVerifier,
  createSegmentClient,
  identifyCustomer,
  transformCustomerToSegment,
} from '@companion/segment/commercetools';
import { CommercetoolsWebhookModule, WebhookHandler } from '@companion/segment/commercetools/nestjs';
import {
  SegmentContextInterceptor,
  SegmentContextMiddleware,
  SegmentHealthIndicator,
  SegmentModule,
  Track,
} from '@companion/segment/nestjs';
import { RecordingSegmentService } from '@companion/segment/nestjs/testing';
import { RecordingAnalytics, startFakeSegment } from '@companion/segment/testing';

import { KEY, MINIMAL, NEVER_MS, startPair, startSegment, trackMany } from './support/clients.mjs';

const TOPICS = ['arn:aws:sns:eu-west-1:123456789012:customers'];
const topic = { topicArns: TOPICS };
const client = new RecordingAnalytics();
const service = new RecordingSegmentService();
const receiver = new NotificationReceiver({ client });
const handler = (authentication) => new WebhookHandler(receiver, authentication, silent);
const silent = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const settings = { writeKey: KEY, host: 'http://127.0.0.1:9' };
const customer = { id: 'c1', email: 'c@example.com' };
const method = { value: () => {} };
const decorate = (options) => Track('e', options)({ constructor: Object }, 'm', method);
const webhook = { authentication: 'none' };

/** A call with options, an option that it does not have, and the one that was meant, if that can be told. */
const CALLS = [
  ['new Analytics()', (options) => new Analytics({ ...settings, ...options }), 'flushat', 'flushAt'],
  [
    'new Analytics()',
    (options) => new Analytics({ ...settings, ...options }),
    'maxQueuBytes',
    'maxQueueBytes',
  ],
  [
    'oauthSettings',
    (oauthSettings) => new Analytics({ ...settings, oauthSettings }),
    'oauthSettings.clientID',
    'oauthSettings.clientId',
  ],
  ['flush()', (options) => client.flush(options), 'timeoutMs', 'timeout'],
  ['flush()', (options) => client.flush(options), 'timout', 'timeout'],
  ['closeAndFlush()', (options) => client.closeAndFlush(options), 'time_out', 'timeout'],
  ['flush() of the service', (options) => service.flush(options), 'Timeout', 'timeout'],
  ['createHandler()', createHandler, 'maxIdel', 'maxIdle'],
  ['createHandler()', createHandler, 'poison'],
  ['createSqsHandler()', createSqsHandler, 'posion', 'poison'],
  [
    'settings of createHandler()',
    (options) => createHandler({ settings: options }),
    'settings.flushInterva',
    'settings.flushInterval',
  ],
  ['withSegment()', (options) => withSegment(async () => {}, { client, ...options }), 'maxidle', 'maxIdle'],
  ['NotificationReceiver', (options) => new NotificationReceiver(options), 'userID', 'userId'],
  [
    'transformCustomerToSegment()',
    (options) => transformCustomerToSegment(customer, options),
    'mapTrait',
    'mapTraits',
  ],
  ['identifyCustomer()', (options) => identifyCustomer(customer, options), 'userid', 'userId'],
  ['createSegmentClient()', (options) => createSegmentClient(KEY, options), 'callTimeOut', 'callTimeout'],
  ['SnsVerifier', (options) => new SnsVerifier({ ...topic, ...options }), 'topicArn', 'topicArns'],
  [
    'the webhook',
    (options) => CommercetoolsWebhookModule.forRoot({ ...webhook, ...options }),
    'callTimout',
    'callTimeout',
  ],
  ['the webhook', (options) => CommercetoolsWebhookModule.forRoot({ ...webhook, ...options }), 'pth', 'path'],
  [
    'the webhook with a factory',
    (options) => CommercetoolsWebhookModule.forRootAsync({ useFactory: () => webhook, ...options }),
    'clientname',
    'clientName',
  ],
  [
    'authentication by a secret',
    (options) => handler({ secret: 's', ...options }),
    'authentication.headr',
    'authentication.header',
  ],
  ['authentication by SNS', (options) => handler({ sns: topic, ...options }), 'authentication.topicArns'],
  ['topics of SNS', (options) => handler({ sns: { ...topic, ...options } }), 'maxAges', 'maxAge'],
  [
    'HTTP Basic',
    (options) => handler({ basic: { username: 'u', password: 'p', ...options } }),
    'authentication.basic.realm',
  ],
  [
    'SegmentModule with a factory',
    (options) => SegmentModule.forRootAsync({ useFactory: () => settings, ...options }),
    'requestcontext',
    'requestContext',
  ],
  [
    'a further client with a factory',
    (options) => SegmentModule.registerClientAsync({ name: 'n', useFactory: () => settings, ...options }),
    'isglobal',
    'isGlobal',
  ],
  [
    'clients with factories',
    (options) => SegmentModule.forRootAsync([{ useFactory: () => settings, ...options }]),
    'usefactory',
    'useFactory',
  ],
  [
    'RecordingSegmentService',
    (options) => new RecordingSegmentService(options),
    'shutdowntimeout',
    'shutdownTimeout',
  ],
  [
    'requestContext',
    (requestContext) => SegmentModule.forRoot({ ...settings, requestContext }),
    'requestContext.exclued',
    'requestContext.exclude',
  ],
  [
    'the middleware',
    (options) => new SegmentContextMiddleware(options),
    'requestContext.userID',
    'requestContext.userId',
  ],
  [
    'the interceptor',
    (options) => new SegmentContextInterceptor(options),
    'requestContext.anonymousID',
    'requestContext.anonymousId',
  ],
  ['@Track', decorate, 'property', undefined],
  ['@Track', decorate, 'whn', 'when'],
  [
    'isHealthy()',
    (options) => new SegmentHealthIndicator(service).isHealthy('segment', options),
    'maxQueueFil',
    'maxQueueFill',
  ],
  ['startFakeSegment()', startFakeSegment, 'writeKey', 'writeKeys'],
  ['a fault', (fault) => startFakeSegment({ faults: [fault] }), 'fault.statuss', 'fault.status'],
  [
    'a drip',
    (drip) => startFakeSegment({ faults: [{ drip: { intervalMs: 1, ...drip } }] }),
    'fault.drip.byte',
    'fault.drip.bytes',
  ],
  [
    'a redirect',
    (redirect) => startFakeSegment({ faults: [{ redirect: { location: '/', ...redirect } }] }),
    'fault.redirect.locaton',
    'fault.redirect.location',
  ],
  ['RecordingAnalytics', (options) => new RecordingAnalytics(options), 'Redact', 'redact'],
  ['waitFor()', (options) => client.waitFor(0, options), 'timeoutms', 'timeoutMs'],
  ['waitFor() of the service', (options) => service.waitFor(0, options), 'timeout', 'timeoutMs'],
  ['the plugin for esbuild', esbuild, 'platform', 'platforms'],
  ['the plugin for Rollup', rollup, 'mod', 'mode'],
  ['the plugin for webpack', webpack, 'addon', 'addons'],
  ['the plugin for Vite', unplugin.vite, 'adons', 'addons'],
];

const throwOf = async (call) => {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
};

/** The value is not shown: it may be a secret. */
function assertUnknown(error, field, hint) {
  assert.deepEqual([error?.code, error?.field], ['ERR_OPTION_INVALID', field]);
  assert.equal(error.message, `Unknown option ${field}.${hint} The README lists all options.`);
}

for (const [where, call, path, meant] of CALLS) {
  test(`${where}: ${path} is refused${meant === undefined ? '' : ` for ${meant}`}`, async () => {
    const name = path.split('.').at(-1);
    const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
    assertUnknown(await throwOf(() => call({ [name]: 'canary' })), path, hint);
  });

  test(`${where}: an option ${path} that is null or undefined is none`, async () => {
    const name = path.split('.').at(-1);
    for (const value of [null, undefined]) {
      const error = await throwOf(async () => {
        const made = await call({ [name]: value });
        await made?.close?.();
      });
      assert.ok(!error?.message.startsWith('Unknown'), error?.message);
    }
  });
}

describe('settings of a client in another place', () => {
  for (const [where, call, advice] of [
    ['createHandler()', createHandler, 'It is an option of the client: { settings: { ... } }.'],
    ['createSqsHandler()', createSqsHandler, 'It is an option of the client: { settings: { ... } }.'],
    [
      'withSegment()',
      (options) => withSegment(async () => {}, { client, ...options }),
      'It is an option of new Analytics(), for client.',
    ],
    [
      'NotificationReceiver',
      (options) => new NotificationReceiver(options),
      'It is an option of createSegmentClient(writeKey, options), for client.',
    ],
    [
      'the webhook',
      (options) => CommercetoolsWebhookModule.forRoot({ ...webhook, ...options }),
      'It is an option of SegmentModule.forRoot().',
    ],
    [
      'SegmentModule with a factory',
      (options) => SegmentModule.forRootAsync({ useFactory: () => settings, ...options }),
      'It is one of those that useFactory returns.',
    ],
  ]) {
    for (const name of ['host', 'region', 'flushAt']) {
      test(`${where}: ${name} is refused, and the text says where it belongs`, async () => {
        assertUnknown(await throwOf(() => call({ [name]: 'http://127.0.0.1:9' })), name, ` ${advice}`);
      });
    }
  }

  test('options of the module in what a factory returns', () => {
    const make = () => new RecordingSegmentService({ requestContext: true });
    assert.throws(make, { message: /^Unknown option requestContext\. It stands beside useFactory, / });
  });

  test('a write key in the settings of a function', () => {
    assert.throws(() => createHandler({ settings: { writeKey: KEY } }), {
      field: 'settings.writeKey',
      message: /It is an argument of its own\./,
    });
  });
});

describe('what is no object is refused as options', () => {
  for (const [where, call] of [
    ['createHandler()', createHandler],
    ['createSqsHandler()', createSqsHandler],
    ['NotificationReceiver', (options) => new NotificationReceiver(options)],
    ['createSegmentClient()', (options) => createSegmentClient(KEY, options)],
    ['startFakeSegment()', startFakeSegment],
    ['requestContext', (requestContext) => SegmentModule.forRoot({ ...settings, requestContext })],
    ['the plugin for webpack', webpack],
  ]) {
    for (const options of ['canary', 5, ['canary']]) {
      test(`${where}: ${inspect(options)}`, async () => {
        const error = await throwOf(() => call(options));
        assert.equal(error?.code, 'ERR_OPTION_INVALID');
        assert.ok(!error.message.includes('canary'));
      });
    }
  }
});

describe('values of options', () => {
  for (const [what, call, field] of [
    [
      'userId of requestContext that is no function',
      () => new SegmentContextMiddleware({ userId: 'u1' }),
      'requestContext.userId',
    ],
    [
      'context of requestContext that is no function',
      () => new SegmentContextMiddleware({ context: {} }),
      'requestContext.context',
    ],
    [
      'a fact that there is not',
      () => new SegmentContextMiddleware({ exclude: ['IP'] }),
      'requestContext.exclude',
    ],
    ['exclude that is text', () => new SegmentContextMiddleware({ exclude: 'ip' }), 'requestContext.exclude'],
    ['on of @Track', () => decorate({ on: 'sucess' }), 'on'],
    ['userId of @Track', () => decorate({ userId: 'u1' }), 'userId'],
    [
      'a threshold of text',
      () => new SegmentHealthIndicator(service).isHealthy('s', { maxQueueFill: '0.9' }),
      'maxQueueFill',
    ],
    [
      'a threshold that is not a number',
      () => new SegmentHealthIndicator(service).isHealthy('s', { maxQueueFill: Number.NaN }),
      'maxQueueFill',
    ],
    ['a path of the webhook', () => CommercetoolsWebhookModule.forRoot({ ...webhook, path: 5 }), 'path'],
    ['writeKeys of the fake Segment', () => startFakeSegment({ writeKeys: KEY }), 'writeKeys'],
    ['faults of the fake Segment', () => startFakeSegment({ faults: { status: 503 } }), 'faults'],
    ['poison of the fake Segment', () => startFakeSegment({ poison: true }), 'poison'],
    ['a fetch that is none', () => new FetchHTTPClient('fetch'), 'fetchFn'],
  ]) {
    test(`${what}: refused`, async () => {
      const { code, field: named } = (await throwOf(call)) ?? {};
      assert.deepEqual([code, named], ['ERR_OPTION_INVALID', field]);
    });
  }
});

describe('flush() and closeAndFlush()', () => {
  const wrong = ['5s', '5000', '', Number.NaN, true, {}, [5], () => 5, Symbol('5'), 5n];
  for (const [name, value] of wrong.map((timeout) => ['timeout', timeout])) {
    test(`${name} ${inspect(value)} rejects; nothing is closed, and nothing lost`, async (t) => {
      const { analytics, segment } = await startPair(t);
      trackMany(analytics, 1);
      const expected = {
        code: 'ERR_OPTION_INVALID',
        field: name,
        message: 'The option timeout must be a number of milliseconds.',
      };
      await assert.rejects(analytics.flush({ [name]: value }), expected);
      await assert.rejects(analytics.flush({ [name]: value, close: true }), expected);
      await assert.rejects(analytics.closeAndFlush({ [name]: value }), expected);
      assert.equal(segment.requestCount, 0);
      assert.equal(analytics.track(MINIMAL.track), true, 'the client is open');
      assert.equal((await analytics.flush()).delivered, 2);
    });
  }

  for (const close of ['true', 1, 0, {}, 'yes']) {
    test(`close ${inspect(close)} rejects`, async (t) => {
      const { analytics } = await startPair(t);
      await assert.rejects(analytics.flush({ close }), { code: 'ERR_OPTION_INVALID', field: 'close' });
      assert.equal(analytics.track(MINIMAL.track), true);
    });
  }

  test('as listeners and hooks of others they take what those are called with', async (t) => {
    const { analytics } = await startPair(t);
    class Server {
      address = 'somewhere';
    }
    for (const given of ['SIGTERM', 0, null, undefined, new Server(), new Error('x'), []]) {
      trackMany(analytics, 1);
      await analytics.flush(given, 15);
    }
    assert.equal((await analytics.closeAndFlush('SIGTERM', 15)).delivered, 7);
  });
});

describe('redact', () => {
  for (const [path, meant] of [
    ['propertys.ssn', 'properties.ssn'],
    ['Properties.ssn', 'properties.ssn'],
    ['trait.email', 'traits.email'],
    ['ssn', ''],
    ['event.properties.ssn', ''],
    ['message.traits', ''],
    ['userId.x', ''],
    ['*', ''],
    ['*.ssn', ''],
    ['.properties.ssn', ''],
    ['constructor', ''],
  ]) {
    test(`a path ${path} leads nowhere: it would hide nothing`, () => {
      assert.throws(
        () => new Analytics({ ...settings, redact: ['properties.a', path] }),
        (error) => {
          assert.deepEqual([error.code, error.field], ['ERR_OPTION_INVALID', 'redact']);
          const text = `The option redact has a path that leads nowhere: ${path}. `;
          const advice =
            meant === ''
              ? 'Paths begin with properties, traits, context, integrations, or are an id or a name.'
              : `Did you mean ${meant}?`;
          assert.equal(error.message, text + advice);
          return true;
        },
      );
    });
  }

  for (const redact of [
    ['properties..ssn'],
    ['properties.'],
    ['properties.items[0].ssn'],
    ['properties.items[*].ssn'],
    ['messageId'],
    { paths: ['properties.ssn'] },
    'properties.ssn',
    [5],
    [''],
  ]) {
    test(`${inspect(redact)} is refused`, () => {
      assert.throws(() => new Analytics({ ...settings, redact }), {
        code: 'ERR_OPTION_INVALID',
        field: 'redact',
      });
    });
  }

  test('the members that events have, and whatever is below objects, are taken', () => {
    const redact = [
      'properties',
      'properties.a.*.b',
      'traits.*',
      'context.ip',
      'integrations.Mail.list',
      'userId',
      'anonymousId',
      'groupId',
      'previousId',
      'event',
      'name',
      'category',
    ];
    void new Analytics({ ...settings, flushInterval: NEVER_MS, redact }).closeAndFlush();
  });
});

test('createHandler({ host }) sends to nobody', async (t) => {
  const segment = await startSegment(t);
  assert.throws(() => createHandler({ host: segment.url, writeKey: KEY }), { field: 'host' });
});
