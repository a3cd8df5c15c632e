/** Wherever a call is made while a request is handled, it gets that request's context. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import {
  Body,
  Catch,
  ConflictException,
  Controller,
  Get,
  Injectable,
  NotFoundException,
  Param,
  Post,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { SegmentService, type HttpRequest } from '@companion/segment/nestjs';
import { tap, type Observable } from 'rxjs';

import { startTracked } from './tracked.js';

interface RequestWithUser extends HttpRequest {
  user?: { id: string };
}

@Injectable()
class CustomerGuard implements CanActivate {
  constructor(private readonly segment: SegmentService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    this.segment.track({ event: 'guard, nobody known' });
    await turn();
    context.switchToHttp().getRequest<RequestWithUser>().user = { id: 'user-1' };
    this.segment.track({ event: 'guard' });
    return true;
  }
}

@Injectable()
class Timing implements NestInterceptor {
  constructor(private readonly segment: SegmentService) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.segment.track({ event: 'interceptor' });
    return next.handle().pipe(tap({ error: () => this.segment.track({ event: 'interceptor, at the end' }) }));
  }
}

@Injectable()
class Known implements PipeTransform {
  constructor(private readonly segment: SegmentService) {}

  transform(value: unknown): unknown {
    this.segment.track({ event: 'pipe' });
    return value;
  }
}

@Catch(ConflictException)
class ConflictFilter implements ExceptionFilter {
  constructor(private readonly segment: SegmentService) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    this.segment.track({ event: 'filter' });
    host.switchToHttp().getResponse<Answer>().status(409).send({});
  }
}

/** What Express's and Fastify's responses have in common. */
interface Answer {
  status(code: number): { send(body: object): void };
}

@Injectable()
class OrdersService {
  constructor(private readonly segment: SegmentService) {}

  async place(): Promise<void> {
    this.#track('service');
    await turn();
    this.#track('after an await');
    await pause(1);
    this.#track('after a timer');
    await this.#fromCallback('in a timer', (called) => setTimeout(called, 1));
    await this.#fromCallback('in a microtask', queueMicrotask);
    await this.#fromCallback('on the next tick', process.nextTick);
    await promisify(gzip)('an order');
    this.#track('after the thread pool');
    await this.#fromCallback('in the thread pool', (called) => gzip('an order', called));
    for await (const event of Readable.from(['while reading a stream'])) this.#track(String(event));
    this.#track('after a stream');
    await this.#fromCallback('in a stream', (called) => Readable.from(['an order']).once('data', called));
    await Promise.all(['at once', 'at once'].map((event) => turn().then(() => this.#track(event))));
  }

  #track(event: string): void {
    this.segment.track({ event });
  }

  #fromCallback(event: string, start: (called: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      start(() => {
        this.#track(event);
        resolve();
      });
    });
  }
}

@Controller('orders')
@UseGuards(CustomerGuard)
@UseInterceptors(Timing)
@UseFilters(ConflictFilter)
class OrdersController {
  constructor(
    private readonly segment: SegmentService,
    private readonly orders: OrdersService,
  ) {}

  @Get(':id')
  async show(@Param('id', Known) _id: string): Promise<void> {
    this.segment.track({ event: 'handler' });
    await this.orders.place();
    throw new ConflictException();
  }

  @Post(':id')
  async place(@Param('id', Known) _id: string, @Body() order: { note: string }): Promise<void> {
    this.segment.track({ event: 'handler', properties: { size: order.note.length } });
    await this.orders.place();
    throw new ConflictException();
  }
}

const PLACES = [
  'guard',
  'interceptor',
  'pipe',
  'handler',
  'service',
  'after an await',
  'after a timer',
  'in a timer',
  'in a microtask',
  'on the next tick',
  'after the thread pool',
  'in the thread pool',
  'while reading a stream',
  'after a stream',
  'in a stream',
  'at once',
  'at once',
  'interceptor, at the end',
  'filter',
];

const HEADERS = { 'x-anonymous-id': 'browser-1', 'user-agent': 'Shop/2' };
const CONTEXT = { ip: '127.0.0.1', userAgent: 'Shop/2', page: { path: '/orders/7' } };

const requestContext = {
  userId: (request: RequestWithUser) => request.user?.id,
  anonymousId: (request: HttpRequest) => request.headers['x-anonymous-id'],
  exclude: ['locale'] as const,
};

/** Far from what one read of a socket brings, and less than what body parsers take. */
const LARGE_BODY = { note: 'x'.repeat(90_000) };

for (const [what, method, body] of [
  ['a request', 'GET', undefined],
  ['a request with a large body', 'POST', LARGE_BODY],
] as const) {
  test(`${what}: each call gets its context, and the user as soon as a guard knows who it is`, async (t) => {
    const { send, events } = await startTracked(
      t,
      { requestContext, flushAt: 100 },
      { controllers: [OrdersController], providers: [OrdersService] },
    );
    const response = await send(method, '/orders/7', body, HEADERS);
    assert.equal(response.status, 409);

    const [first, ...others] = await events();
    const nobody = { type: 'track', anonymousId: 'browser-1', context: CONTEXT };
    assert.deepEqual(first, { ...nobody, event: 'guard, nobody known', properties: {} });
    assert.deepEqual(
      others.map(({ event }) => event),
      PLACES,
    );
    const size = body?.note.length;
    for (const { event, properties, ...told } of others) {
      assert.deepEqual(told, { ...nobody, userId: 'user-1' }, event);
      assert.deepEqual(properties, event === 'handler' && size !== undefined ? { size } : {}, event);
    }
  });
}

@Catch(NotFoundException)
class NotFoundFilter implements ExceptionFilter {
  constructor(private readonly segment: SegmentService) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    this.segment.track({ event: 'Page Not Found' });
    host.switchToHttp().getResponse<Answer>().status(404).send({});
  }
}

test('a request that has no route has a context too', async (t) => {
  const providers = [{ provide: APP_FILTER, useClass: NotFoundFilter }];
  const { send, events } = await startTracked(t, { requestContext }, { providers });
  for (const [method, body] of [
    ['GET', undefined],
    ['POST', LARGE_BODY],
  ] as const) {
    const response = await send(method, '/nowhere?token=canary', body, HEADERS);
    assert.equal(response.status, 404);
  }
  const contexts = (await events()).map(({ anonymousId, context }) => ({ anonymousId, context }));
  const context = { ...CONTEXT, page: { path: '/nowhere' } };
  assert.deepEqual(contexts, [
    { anonymousId: 'browser-1', context },
    { anonymousId: 'browser-1', context },
  ]);
});
