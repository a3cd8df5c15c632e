/** No call gets the context of a request that is not its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';

import { Body, Controller, Get, Headers, Inject, Injectable, Param, Post } from '@nestjs/common';
import {
  SegmentContext,
  SegmentService,
  Track,
  type HttpRequest,
  type RequestContextOptions,
} from '@companion/segment/nestjs';
import { defer, Subject, type Observable } from 'rxjs';

import { startTracked } from './tracked.js';

const REQUESTS = 200;
const STEPS = 3;

const requestContext: RequestContextOptions = {
  userId: (request) => request.headers['x-user'],
  anonymousId: (request) => request.headers['x-anonymous-id'],
};

/** Everybody waits here until all have come. */
class Barrier {
  readonly #open: () => void;
  readonly #opened: Promise<void>;
  #missing: number;

  constructor(count: number) {
    let open = (): void => undefined;
    this.#opened = new Promise((resolve) => (open = resolve));
    this.#open = open;
    this.#missing = count;
  }

  async pass(): Promise<void> {
    this.#missing -= 1;
    if (this.#missing === 0) this.#open();
    await this.#opened;
  }
}

/** Numbers from 0 to below 1 that look random and are the same in each run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

@Injectable()
class OrdersService {
  readonly #random = randomFrom(7);
  readonly #everybody = new Barrier(REQUESTS);
  /** What fires when its request is long over. */
  readonly timers: Promise<void>[] = [];

  constructor(private readonly segment: SegmentService) {}

  @Track('Order Completed', { properties: ([of]: [string]) => ({ of }) })
  async complete(of: string): Promise<string> {
    await this.#everybody.pass();
    for (let step = 0; step < STEPS; step += 1) {
      await this.#wait();
      this.segment.track({ event: 'Step Taken', properties: { of, step } });
      this.timers.push(this.#remember(of, step));
    }
    return of;
  }

  #remember(of: string, step: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(() => {
        this.segment.track({ event: 'Step Remembered', properties: { of, step } });
        resolve();
      }, this.#random() * 20);
    });
  }

  /** Each time in another way and for another while, so that requests overtake one another. */
  async #wait(): Promise<unknown> {
    const choice = this.#random();
    if (choice < 0.3) return Promise.resolve();
    if (choice < 0.6) return turn();
    return pause(this.#random() * 5);
  }
}

@Controller('orders')
class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Post(':of')
  async complete(@Param('of') of: string, @Body() _order: object): Promise<object> {
    return { of: await this.orders.complete(of) };
  }
}

test(`${REQUESTS} requests at once: each event has the context of its own`, async (t) => {
  const { app, send, events } = await startTracked(
    t,
    { requestContext },
    { controllers: [OrdersController], providers: [OrdersService] },
  );
  const traceOf = (index: number) => (index + 1).toString(16).padStart(32, '0');
  const order = { items: ['x'.repeat(2_000)] };
  const answers = Array.from({ length: REQUESTS }, async (_, index) => {
    const response = await send('POST', `/orders/${index}`, order, {
      'x-user': `user-${index}`,
      'x-anonymous-id': `browser-${index}`,
      'user-agent': `Shop/${index}`,
      'accept-language': `x-${index}`,
      traceparent: `00-${traceOf(index)}-00f067aa0ba902b7-01`,
    });
    assert.equal(response.status, 201);
    assert.deepEqual(await response.json(), { of: String(index) });
  });
  await Promise.all(answers);

  await Promise.all(app.get(OrdersService).timers);
  const counts = new Map<unknown, number>();
  for (const { properties, context, userId, anonymousId } of await events()) {
    const index = Number(properties?.['of']);
    const expected = {
      userId: `user-${index}`,
      anonymousId: `browser-${index}`,
      context: {
        ip: '127.0.0.1',
        userAgent: `Shop/${index}`,
        page: { path: `/orders/${index}` },
        locale: `x-${index}`,
        traceId: traceOf(index),
      },
    };
    assert.deepEqual({ userId, anonymousId, context }, expected);
    counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  assert.equal(counts.size, REQUESTS);
  assert.deepEqual(new Set(counts.values()), new Set([2 * STEPS + 1]));
});

/** Lets a test look at an application while a request is being handled. */
class Meeting {
  readonly arrived = new Subject<void>();
  readonly left = new Subject<string>();
}

@Controller('meetings')
class MeetingsController {
  constructor(
    private readonly segment: SegmentService,
    private readonly meeting: Meeting,
  ) {}

  @Get()
  async wait(): Promise<void> {
    const left = new Promise((resolve) => this.meeting.left.subscribe(resolve));
    this.meeting.arrived.next();
    await left;
    this.segment.track({ event: 'Met' });
  }

  /** Ends when another request makes it end. */
  @Get('watched')
  @Track('Watched')
  watch(): Observable<string> {
    return defer(() => {
      this.meeting.arrived.next();
      return this.meeting.left;
    });
  }

  @Post('end')
  end(): void {
    this.segment.track({ event: 'Ended' });
    this.meeting.left.next('bye');
    this.meeting.left.complete();
  }
}

test('outside of requests there is none, also while one is handled', async (t) => {
  const providers = [Meeting];
  const { app, send, client, events } = await startTracked(
    t,
    { requestContext },
    { controllers: [MeetingsController], providers },
  );
  const meeting = app.get(Meeting);
  const trackAsJob = () => {
    assert.deepEqual(SegmentContext.get(), {});
    assert.equal(client.track({ userId: 'job', event: 'Job Done' }), true);
  };
  trackAsJob();
  const arrived = new Promise((resolve) => meeting.arrived.subscribe(resolve));
  const answered = send('GET', '/meetings', undefined, { 'x-user': 'user-1' });
  await arrived;
  trackAsJob();
  meeting.left.next('bye');
  await answered;
  trackAsJob();

  const ids = (await events()).map(({ event, userId, context }) => [event, userId, context?.['ip']]);
  const job = ['Job Done', 'job', undefined];
  assert.deepEqual(ids, [job, job, ['Met', 'user-1', '127.0.0.1'], job]);
});

test('a result that another request brings about belongs to the request that waited for it', async (t) => {
  const providers = [Meeting];
  const { app, send, events } = await startTracked(
    t,
    { requestContext },
    { controllers: [MeetingsController], providers },
  );
  const arrived = new Promise((resolve) => app.get(Meeting).arrived.subscribe(resolve));
  const answered = send('GET', '/meetings/watched', undefined, { 'x-user': 'user-1' });
  await arrived;
  await send('POST', '/meetings/end', undefined, { 'x-user': 'user-2' });
  assert.equal(await (await answered).text(), 'bye');
  const ids = (await events()).map(({ event, userId, context }) => [event, userId, context?.['page']]);
  assert.deepEqual(ids, [
    ['Ended', 'user-2', { path: '/meetings/end' }],
    ['Watched', 'user-1', { path: '/meetings/watched' }],
  ]);
});

const NEIGHBOUR = 'NEIGHBOUR';

@Controller('shop')
class ShopController {
  constructor(
    private readonly segment: SegmentService,
    @Inject(NEIGHBOUR) private readonly neighbour: string,
  ) {}

  @Get()
  async ask(@Headers('x-user') user: string): Promise<void> {
    this.segment.track({ event: 'Shop Asked' });
    if (this.neighbour !== '') await fetch(this.neighbour, { headers: { 'x-member': `${user}-as-member` } });
    this.segment.track({ event: 'Shop Answered' });
  }
}

@Controller('club')
class ClubController {
  constructor(private readonly segment: SegmentService) {}

  @Get()
  ask(): void {
    const { userId, context } = SegmentContext.get();
    this.segment.track({
      userId: userId ?? 'nobody',
      event: 'Club Asked',
      properties: { known: context?.page?.path ?? null },
    });
  }
}

test('applications in one process have their own, also when one asks the other', async (t) => {
  const ofMembers = { userId: (request: HttpRequest) => request.headers['x-member'] };
  const controllers = [ClubController];
  const club = await startTracked(t, { requestContext: ofMembers }, { controllers });
  const bare = await startTracked(t, {}, { controllers });
  for (const [neighbour, expected] of [
    [club, { userId: 'user-1-as-member', known: '/club', ip: '127.0.0.1' }],
    [bare, { userId: 'nobody', known: null, ip: undefined }],
  ] as const) {
    const providers = [{ provide: NEIGHBOUR, useValue: `${neighbour.url}/club` }];
    const shop = await startTracked(t, { requestContext }, { controllers: [ShopController], providers });
    const response = await shop.send('GET', '/shop', undefined, { 'x-user': 'user-1' });
    assert.equal(response.status, 200);

    const ofShop = (await shop.events()).map(({ event, userId, context }) => [
      event,
      userId,
      context?.['page'],
    ]);
    const page = { path: '/shop' };
    assert.deepEqual(ofShop, [
      ['Shop Asked', 'user-1', page],
      ['Shop Answered', 'user-1', page],
    ]);
    const [asked, ...others] = await neighbour.events();
    assert.deepEqual(others, []);
    const { userId, properties, context } = asked ?? {};
    assert.deepEqual({ userId, known: properties?.['known'], ip: context?.['ip'] }, expected);
  }
});
