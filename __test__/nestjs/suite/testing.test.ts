/** How users test their applications: with a module that records, or with a recorder in the place of a client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Body, Controller, Injectable, Logger, Module, Post, type DynamicModule } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  getSegmentToken,
  InjectSegment,
  SegmentContext,
  SegmentHealthIndicator,
  SegmentModule,
  SegmentService,
  Track,
} from '@companion/segment/nestjs';
import { RecordingSegmentService, SegmentTestingModule } from '@companion/segment/nestjs/testing';

import { clientOf } from './services.js';
import { CapturingLogger, currentAdapter } from './support.js';

@Injectable()
class Orders {
  constructor(private readonly segment: SegmentService) {}

  @Track('Order Completed', {
    properties: ([order]: [{ userId: string; total: number }]) => ({ total: order.total }),
    userId: ([order]: [{ userId: string; total: number }]) => order.userId,
  })
  async complete(order: { userId: string; total: number }): Promise<string> {
    return `receipt of ${order.total}`;
  }

  greet(userId: string): boolean {
    return this.segment.identify({ userId, traits: { greeted: true } });
  }
}

@Injectable()
class Campaigns {
  constructor(@InjectSegment('marketing') private readonly segment: SegmentService) {}

  @Track('Campaign Begun', { client: 'marketing', userId: ([name]: [string]) => name })
  begin(name: string): number {
    return name.length;
  }

  group(groupId: string): boolean {
    return this.segment.group({ userId: 'u1', groupId });
  }
}

async function compiled(imports: DynamicModule[], providers: [] | [typeof Orders] | [typeof Campaigns]) {
  return Test.createTestingModule({ imports, providers }).setLogger(new CapturingLogger()).compile();
}

describe('SegmentTestingModule', () => {
  test('records what providers track, under the same tokens', async () => {
    const module = await compiled([SegmentTestingModule.forRoot()], [Orders]);
    const orders = module.get(Orders);
    assert.equal(await orders.complete({ userId: 'u1', total: 42 }), 'receipt of 42');
    assert.equal(orders.greet('u2'), true);

    const segment = module.get(RecordingSegmentService);
    assert.equal(segment, module.get(SegmentService));
    assert.equal(segment.name, 'default');
    assert.deepEqual(
      segment.tracks().map(({ event, userId, properties }) => [event, userId, properties]),
      [['Order Completed', 'u1', { total: 42 }]],
    );
    assert.deepEqual(
      segment.identifies().map(({ userId, traits }) => [userId, traits]),
      [['u2', { greeted: true }]],
    );
    assert.equal(segment.events.length, 2);
  });

  test('with a name stands in for that client', async () => {
    const module = await compiled([SegmentTestingModule.forRoot({ name: 'marketing' })], [Campaigns]);
    assert.equal(module.get(Campaigns).begin('spring'), 6);
    module.get(Campaigns).group('g1');

    const segment = module.get(RecordingSegmentService);
    assert.equal(segment, clientOf(module, 'marketing'));
    assert.equal(segment.name, 'marketing');
    assert.deepEqual(
      segment.events.map(({ type }) => type),
      ['track', 'group'],
    );
    assert.throws(() => module.get(SegmentService), /could not find SegmentService/);
  });

  test('several of them are several recorders', async () => {
    const imports = [SegmentTestingModule.forRoot(), SegmentTestingModule.forRoot({ name: 'marketing' })];
    const module = await compiled(imports, [Campaigns]);
    module.get(Campaigns).begin('spring');
    const [usual, marketing] = [clientOf(module), clientOf(module, 'marketing')];
    assert.ok(usual instanceof RecordingSegmentService && marketing instanceof RecordingSegmentService);
    assert.deepEqual([usual.events.length, marketing.tracks().length], [0, 1]);
  });

  test('takes a contextProvider, and knows the context of jobs', async () => {
    const contextProvider = () => ({ userId: 'from the provider', anonymousId: 'a1' });
    const module = await compiled([SegmentTestingModule.forRoot({ contextProvider })], []);
    const segment = module.get(RecordingSegmentService);
    const page = () => segment.page({ name: 'Home' });
    page();
    SegmentContext.run({ userId: 'from the job' }, page);
    assert.deepEqual(
      segment.pages().map(({ userId, anonymousId }) => [userId, anonymousId]),
      [
        ['from the provider', 'a1'],
        ['from the job', 'a1'],
      ],
    );
  });

  test('its health is that of a client', async () => {
    const module = await compiled([SegmentTestingModule.forRoot()], []);
    const { segment } = await module.get(SegmentHealthIndicator).isHealthy();
    assert.equal(segment.status, 'up');
  });
});

describe('RecordingSegmentService', () => {
  test('waitFor() resolves when the events are there', async () => {
    const segment = new RecordingSegmentService();
    const both = segment.waitFor(2);
    segment.screen({ userId: 'u1', name: 'Home' });
    setImmediate(() => segment.alias({ userId: 'u1', previousId: 'u0' }));
    assert.equal((await both).length, 2);
    assert.deepEqual(
      [segment.screens().length, segment.aliases().length, segment.groups().length],
      [1, 1, 0],
    );
    await assert.rejects(segment.waitFor(3, { timeoutMs: 1 }), /2 of 3 events/);
  });

  test('failNext() lets the next delivery fail, as callers and promises see it', async () => {
    const segment = new RecordingSegmentService();
    segment.failNext(new Error('no luck'));
    await assert.rejects(segment.deliver.track({ userId: 'u1', event: 'Paid' }), {
      code: 'ERR_REJECTED',
      message: 'no luck',
    });
    const { attempts } = await segment.deliver.track({ userId: 'u1', event: 'Paid' });
    assert.equal(attempts, 1);
    assert.equal(segment.tracks().length, 1);
  });

  test('clear() forgets, and goes on', () => {
    const segment = new RecordingSegmentService();
    segment.identify({ userId: 'u1' });
    segment.clear();
    assert.equal(segment.events.length, 0);
    segment.identify({ userId: 'u2' });
    assert.deepEqual(
      segment.identifies().map(({ userId }) => userId),
      ['u2'],
    );
    assert.equal(segment.stats().accepted, 2);
  });

  test('refuses what the real one refuses', () => {
    const logger = new CapturingLogger();
    const segment = new RecordingSegmentService({ logger });
    assert.equal(segment.track({ userId: undefined as never, event: 'Paid' }), false);
    assert.equal(segment.track({ userId: 'u1', event: 'Paid', properties: { amount: 1n } }), false);
    assert.equal(segment.events.length, 0);
    const { invalid, not_serializable: unwritten } = segment.stats().refused;
    assert.deepEqual([invalid, unwritten], [1, 1]);
    assert.equal(logger.of('Segment').length, 2);
  });
});

describe('a whole application', () => {
  @Controller()
  class OrdersController {
    constructor(
      private readonly orders: Orders,
      private readonly campaigns: Campaigns,
    ) {}

    @Post('orders')
    async create(@Body() order: { userId: string; total: number }): Promise<{ receipt: string }> {
      this.campaigns.begin('spring');
      return { receipt: await this.orders.complete(order) };
    }
  }

  /** The application as it runs in production, but for the write keys, which its tests do not have. */
  @Module({
    imports: [
      SegmentModule.forRoot({ requestContext: true }),
      SegmentModule.registerClient({ name: 'marketing' }),
    ],
    controllers: [OrdersController],
    providers: [Orders, Campaigns],
  })
  class AppModule {}

  test('runs with recorders in the place of its clients, and needs no write key', async (t) => {
    const { SEGMENT_WRITE_KEY: key } = process.env;
    assert.equal(key, undefined);
    const [usual, marketing] = [new RecordingSegmentService(), new RecordingSegmentService({}, 'marketing')];
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(SegmentService)
      .useValue(usual)
      .overrideProvider(getSegmentToken('marketing'))
      .useValue(marketing)
      .setLogger(new CapturingLogger())
      .compile();
    const adapter = currentAdapter() === 'express' ? new ExpressAdapter() : new FastifyAdapter();
    const app = module.createNestApplication(adapter);
    t.after(() => app.close());
    await app.listen(0, '127.0.0.1');
    const response = await fetch(`${await app.getUrl()}/orders?voucher=secret`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'suite/1', connection: 'close' },
      body: JSON.stringify({ userId: 'u1', total: 42 }),
    });
    assert.deepEqual(await response.json(), { receipt: 'receipt of 42' });

    const [order] = await usual.waitFor(1);
    assert.deepEqual([order?.event, order?.userId], ['Order Completed', 'u1']);
    assert.deepEqual([order?.context?.['userAgent'], order?.context?.page], ['suite/1', { path: '/orders' }]);
    assert.deepEqual(
      marketing.tracks().map(({ event }) => event),
      ['Campaign Begun'],
    );
    await app.close();
    assert.deepEqual([usual.isClosed, marketing.isClosed], [true, true]);
  });
});

test('a provider made without Nest works, and @Track does nothing', async () => {
  const logger = new CapturingLogger();
  Logger.overrideLogger(logger);
  const segment = new RecordingSegmentService();
  const orders = new Orders(segment);
  assert.equal(await orders.complete({ userId: 'u1', total: 42 }), 'receipt of 42');
  assert.equal(segment.events.length, 0);
  assert.equal(orders.greet('u1'), true);
  assert.equal(segment.identifies().length, 1);
  assert.deepEqual(logger.lines, []);
});
