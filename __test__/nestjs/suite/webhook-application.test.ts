/** The webhook in applications that do other things, too: neither changes what the other does. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  Body,
  Controller,
  Injectable,
  Module,
  Post,
  ValidationPipe,
  type INestApplication,
} from '@nestjs/common';
import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  CommercetoolsWebhookModule,
  WebhookHandler,
  type CommercetoolsWebhookOptions,
} from '@companion/segment/commercetools/nestjs';
import { SegmentModule, SegmentService } from '@companion/segment/nestjs';
import { RecordingSegmentService, SegmentTestingModule } from '@companion/segment/nestjs/testing';

import { CapturingLogger, currentAdapter, startSegment, WRITE_KEY, type Scope } from './support.js';
import {
  assertAnswer,
  customerCreated,
  DONE,
  refusedWith,
  SnsTopic,
  startWebhook,
  TRAITS,
  usersOf,
  webhookOf,
} from './webhook-support.js';

const isExpress = currentAdapter() === 'express';
const newAdapter = () => (isExpress ? new ExpressAdapter() : new FastifyAdapter());

class Order {
  static readonly members = ['total'];
  declare total: number;
}

@Controller('orders')
class OrdersController {
  @Post()
  create(@Body() order: Order): object {
    return Object.assign({ isOrder: order instanceof Order }, order);
  }
}

/** In the place of class-validator and class-transformer, which are no part of this project. */
const validatorPackage = {
  validate: async (value: Record<string, unknown>) => {
    const { members } = value.constructor as unknown as typeof Order;
    for (const name of Object.keys(value)) if (!members.includes(name)) Reflect.deleteProperty(value, name);
    return [];
  },
};
const instanceOf = (type: new () => object, value: object) => Object.assign(new type(), value);
const transformerPackage = { plainToClass: instanceOf, plainToInstance: instanceOf, classToPlain: Object };
const PIPE = new ValidationPipe({
  whitelist: true,
  transform: true,
  validatorPackage,
  transformerPackage: transformerPackage as never,
});

test('a global validation pipe sees the bodies of others only', async (t) => {
  const webhook = await startWebhook(
    t,
    { authentication: 'none' },
    { root: { controllers: [OrdersController] }, prepare: (app) => void app.useGlobalPipes(PIPE) },
  );
  assertAnswer(await webhook.post({ total: 5, hidden: 1 }, {}, '/orders'), 201, { isOrder: true, total: 5 });
  assertAnswer(await webhook.post(customerCreated()), 200, DONE);
  assert.deepEqual(webhook.segment.events[0]?.traits, TRAITS);
});

test('other routes keep their types and limits', async (t) => {
  const webhook = await startWebhook(t, undefined, { root: { controllers: [OrdersController] } });
  const order = { total: 5, notes: 'x'.repeat(150_000) };
  // 100 KB are the default of Express, 1 MiB that of Fastify.
  const large = await webhook.post(order, {}, '/orders');
  assert.equal(large.status, isExpress ? 413 : 201);
  const cloudEvent = { 'content-type': 'application/cloudevents+json' };
  const unread = await webhook.post({ total: 5 }, cloudEvent, '/orders');
  if (isExpress) assertAnswer(unread, 201, { isOrder: false });
  else assert.equal(unread.status, 415);
  const broken = await webhook.post('{"total": ', {}, '/orders');
  assert.equal(broken.status, 400);
  assertAnswer(await webhook.post(customerCreated(150_000)), 200, DONE);
});

test('the webhook is where the application wants it', async (t) => {
  const prefixed = await startWebhook(t, undefined, { prepare: (app) => void app.setGlobalPrefix('v1') });
  const large = customerCreated(250_000);
  assert.equal((await prefixed.post(customerCreated())).status, 404);
  assertAnswer(await prefixed.post(large, {}, '/v1/api/webhook'), 200, DONE);

  for (const path of ['hooks/customers', '/hooks/customers/']) {
    const moved = await startWebhook(t, { authentication: 'none', path });
    assert.equal((await moved.post(customerCreated())).status, 404);
    assertAnswer(await moved.post(large, {}, '/hooks/customers'), 200, DONE);
    const asText = { 'content-type': 'text/plain' };
    assertAnswer(await moved.post(large, asText, '/hooks/customers?source=shop'), 200, DONE);
  }
});

test('there may be two, each with senders of its own', async (t) => {
  const topic = new SnsTopic();
  const webhook = await startWebhook(
    t,
    { authentication: topic.authentication },
    {
      root: {
        imports: [
          CommercetoolsWebhookModule.forRoot({ authentication: { secret: 'shop-2' }, path: 'api/second' }),
        ],
      },
    },
  );
  const { post } = webhook;
  const asText = { 'content-type': 'text/plain' };
  assertAnswer(await post(topic.notification(customerCreated()), asText), 200, DONE);
  assertAnswer(
    await post(customerCreated(), { 'x-webhook-secret': 'shop-2' }),
    403,
    refusedWith('Forbidden'),
  );
  const headers = { ...asText, 'x-webhook-secret': 'shop-2' };
  assertAnswer(await post(customerCreated(), headers, '/api/second'), 200, DONE);
  const wrong = await post(topic.notification(customerCreated()), asText, '/api/second');
  assertAnswer(wrong, 401, refusedWith('Unauthorized'));
  assert.equal(webhook.segment.eventCount, 2);
});

test('the context of the request is not that of the customer', async (t) => {
  const segment = await startSegment(t);
  const requestContext = {
    userId: () => 'sender',
    anonymousId: () => 'sender',
    context: () => ({ from: 'shop' }),
  };
  const connection = { writeKey: WRITE_KEY, host: segment.url };
  const more = {
    imports: [SegmentModule.registerClient({ name: 'product', ...connection, requestContext })],
  };
  const webhook = await startWebhook(t, { authentication: 'none', clientName: 'product' }, { root: more });
  const headers = { 'user-agent': 'Amazon Simple Notification Service Agent', 'accept-language': 'de' };
  assertAnswer(await webhook.post(customerCreated(), headers), 200, DONE);
  const [event] = segment.events;
  assert.deepEqual(Object.keys(event?.context ?? {}), ['library']);
  assert.deepEqual([event?.userId, event?.anonymousId], [TRAITS.email, undefined]);
});

describe('the webhook identifies with', () => {
  test('the client of that name, and no other', async (t) => {
    const marketing = await startSegment(t, { writeKeys: ['marketing-key'] });
    const client = { name: 'marketing', writeKey: 'marketing-key', host: marketing.url };
    const root = { imports: [SegmentModule.registerClient(client)] };
    const webhook = await startWebhook(t, { authentication: 'none', clientName: 'marketing' }, { root });
    assertAnswer(await webhook.post(customerCreated()), 200, DONE);
    assert.deepEqual([marketing.eventCount, webhook.segment.eventCount], [1, 0]);

    // Not with the one without a name because there is none of this name.
    await assert.rejects(startWebhook(t, { authentication: 'none', clientName: 'sales' }), /sales/);
  });

  test('a client that it is given', async (t) => {
    const calls: unknown[] = [];
    const client = {
      identify: async (params: unknown) => void calls.push(params),
      flush: async () => void calls.push('flush'),
      closeAndFlush: async () => {},
    };
    const webhook = await startWebhook(t, { authentication: 'none', client });
    assertAnswer(await webhook.post(customerCreated()), 200, DONE);
    assert.equal(webhook.segment.requestCount, 0);
    const messageId = 'ct:shop:message-CustomerCreated';
    const timestamp = '2026-03-01T12:00:00.000Z';
    assert.deepEqual(calls, [{ userId: TRAITS.email, traits: TRAITS, messageId, timestamp }, 'flush']);

    client.flush = async () => {
      throw new Error(`no answer for ${TRAITS.email}`);
    };
    assertAnswer(await webhook.post(customerCreated()), 500, refusedWith('Internal server error'));
    assert.ok(!webhook.logger.text.includes(TRAITS.email));
  });

  test('the client of the module, whatever a factory leaves undefined', async (t) => {
    const client = undefined;
    const webhook = await startWebhook(t, { authentication: 'none', client, callTimeout: undefined });
    assertAnswer(await webhook.post(customerCreated()), 200, DONE);
    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
  });
});

@Injectable()
class Settings {
  readonly secret = 'from-settings';

  createCommercetoolsWebhookOptions(): CommercetoolsWebhookOptions {
    return { authentication: { secret: this.secret }, userId: 'customerId' };
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

test('its options may come from a factory', async (t) => {
  const factory = (settings: Settings) => settings.createCommercetoolsWebhookOptions();
  for (const options of [
    { imports: [SettingsModule], inject: [Settings], useFactory: factory },
    { imports: [SettingsModule], useExisting: Settings },
    { useClass: Settings },
  ]) {
    const asynchronous = CommercetoolsWebhookModule.forRootAsync({ ...options, path: 'api/async' });
    const webhook = await startWebhook(t, undefined, { root: { imports: [asynchronous] } });
    const headers = { 'x-webhook-secret': 'from-settings' };
    assert.equal((await webhook.post(customerCreated(), {}, '/api/async')).status, 401);
    assertAnswer(await webhook.post(customerCreated(), headers, '/api/async'), 200, DONE);
    assert.deepEqual(usersOf(webhook), ['c-1']);
  }
});

describe('an application that was made in another way', () => {
  const SECRET = { 'x-webhook-secret': 'a-secret' };
  const authentication = { secret: 'a-secret' };

  async function listening(t: Scope, app: INestApplication, logger = new CapturingLogger()) {
    const segment = await startSegment(t);
    t.after(() => app.close());
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const running = { app, url, close: () => app.close(), send: () => fetch(url) };
    return webhookOf(running, segment, logger);
  }

  test('with rawBody', async (t) => {
    const imports = [SegmentTestingModule.forRoot(), CommercetoolsWebhookModule.forRoot({ authentication })];
    class RootModule {}
    const root = { module: RootModule, imports, controllers: [OrdersController] };
    const settings = { rawBody: true, logger: false, abortOnError: false } as const;
    const app = await NestFactory.create(root, newAdapter(), settings);
    const { post } = await listening(t, app);
    for (const type of ['application/json', 'text/plain', 'application/cloudevents+json']) {
      const headers = { ...SECRET, 'content-type': type };
      assertAnswer(await post(customerCreated(250_000), headers), 200, DONE);
    }
    const order = await post({ total: 5 }, {}, '/orders');
    assertAnswer(order, 201, { isOrder: false, total: 5 });
    assert.equal(app.get(RecordingSegmentService).identifies().length, 3);
  });

  test('by a testing module', async (t) => {
    const testing = await Test.createTestingModule({
      imports: [
        SegmentModule.forRoot({ enabled: false }),
        CommercetoolsWebhookModule.forRoot({ authentication }),
      ],
    })
      .setLogger(new CapturingLogger())
      .overrideProvider(SegmentService)
      .useValue(new RecordingSegmentService())
      .compile();
    const app = testing.createNestApplication(newAdapter());
    const { post } = await listening(t, app);
    // Nest 10 does not tell when it has its adapter: there Express has limited JSON before.
    const json = isExpress && !('init$' in HttpAdapterHost.prototype) ? 90_000 : 250_000;
    const sizes = {
      'application/json': json,
      'text/plain': 250_000,
      'application/cloudevents+json': 250_000,
    };
    for (const [type, size] of Object.entries(sizes)) {
      const headers = { ...SECRET, 'content-type': type };
      assertAnswer(await post(customerCreated(size), headers), 200, DONE);
    }
    assertAnswer(await post(customerCreated()), 401, refusedWith('Unauthorized'));
    const recorder = app.get<RecordingSegmentService>(SegmentService);
    assert.deepEqual(
      recorder.identifies().map(({ userId }) => userId),
      Array(3).fill(TRAITS.email),
    );
    assert.deepEqual(app.get(WebhookHandler).stats().refused, { 'credentials-missing': 1 });
  });

  test('with a double in the place of the service', async (t) => {
    const calls: unknown[] = [];
    const testing = await Test.createTestingModule({
      imports: [
        SegmentModule.forRoot({ enabled: false }),
        CommercetoolsWebhookModule.forRoot({ authentication }),
      ],
    })
      .setLogger(new CapturingLogger())
      .overrideProvider(SegmentService)
      .useValue({ identify: ({ userId }: { userId: string }) => calls.push(userId) })
      .compile();
    const { post } = await listening(t, testing.createNestApplication(newAdapter()));
    assertAnswer(await post(customerCreated(), SECRET), 200, DONE);
    assert.deepEqual(calls, [TRAITS.email]);
  });

  test('with a client that is disabled', async (t) => {
    const imports = [
      SegmentModule.forRoot({ enabled: false }),
      CommercetoolsWebhookModule.forRoot({ authentication }),
    ];
    class RootModule {}
    const settings = { logger: false, abortOnError: false } as const;
    const app = await NestFactory.create({ module: RootModule, imports }, newAdapter(), settings);
    const { post } = await listening(t, app);
    assertAnswer(await post(customerCreated(), SECRET), 200, DONE);
  });
});
