/** Where else a call's context may come from: nestjs-cls, an interceptor of one controller, a job, the code itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import {
  Body,
  Controller,
  Get,
  Injectable,
  Module,
  Post,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type MiddlewareConsumer,
  type NestMiddleware,
  type NestModule,
} from '@nestjs/common';
import {
  SegmentContext,
  SegmentContextInterceptor,
  SegmentContextMiddleware,
  SegmentModule,
  SegmentService,
  type AmbientContext,
  type HttpRequest,
} from '@companion/segment/nestjs';
import { ClsModule, ClsService } from 'nestjs-cls';
import { defer, lastValueFrom, of, type Observable } from 'rxjs';

import { CapturingLogger, startApplication, startSegment, WRITE_KEY } from './support.js';
import { startTracked, trackedOf } from './tracked.js';

const HEADERS = { 'x-user': 'user-1', 'x-anonymous-id': 'browser-1', 'user-agent': 'Shop/2' };
const userId = (request: HttpRequest) => request.headers['x-user'];
const LARGE_BODY = { note: 'x'.repeat(90_000) };

@Injectable()
class SignedInGuard implements CanActivate {
  constructor(private readonly cls: ClsService) {}

  canActivate(): boolean {
    this.cls.set('userId', 'user-of-guard');
    return true;
  }
}

@Controller('accounts')
class AccountsController {
  constructor(private readonly segment: SegmentService) {}

  @Get()
  async show(): Promise<void> {
    await turn();
    this.segment.track({ event: 'Shown' });
  }

  @Post()
  @UseGuards(SignedInGuard)
  async open(@Body() _account: object): Promise<void> {
    await turn();
    this.segment.track({ event: 'Opened' });
  }
}

test('nestjs-cls says whose call it is, as soon as a guard has said it', async (t) => {
  const segment = await startSegment(t);
  const cls = ClsModule.forRoot({
    global: true,
    middleware: {
      mount: true,
      setup: (store, request: HttpRequest) => store.set('userId', request.headers['x-user']),
    },
  });
  const module = SegmentModule.forRootAsync({
    inject: [ClsService],
    useFactory: (store: ClsService) => ({
      writeKey: WRITE_KEY,
      host: segment.url,
      contextProvider: () => ({ userId: store.get('userId'), context: { isRequest: store.isActive() } }),
    }),
  });
  const root = { imports: [cls, module], controllers: [AccountsController], providers: [SignedInGuard] };
  const logger = new CapturingLogger();
  const { app, send } = await startApplication(t, { root, logger });
  const client = app.get(SegmentService);
  await send('GET', '/accounts', undefined, HEADERS);
  await send('POST', '/accounts', {}, HEADERS);
  client.track({ userId: 'job', event: 'Job Done' });
  await client.flush();

  const said = segment.events.map(trackedOf).map(({ event, userId: who, context }) => [event, who, context]);
  assert.deepEqual(said, [
    ['Shown', 'user-1', { isRequest: true }],
    ['Opened', 'user-of-guard', { isRequest: true }],
    ['Job Done', 'job', { isRequest: false }],
  ]);
  assert.deepEqual(logger.of('Segment'), []);
});

@Controller('layers')
class LayersController {
  constructor(private readonly segment: SegmentService) {}

  @Get()
  show(): object {
    this.segment.track({ event: 'Request' });
    SegmentContext.run({ userId: 'run', context: { layer: 'run' } }, () => {
      this.segment.track({ event: 'Run' });
      this.segment.track({ event: 'Call', userId: 'call', context: { layer: 'call' } });
    });
    return SegmentContext.get();
  }
}

test('what the call says wins over SegmentContext.run, that over the request, that over contextProvider', async (t) => {
  const requestContext = { userId, context: () => ({ layer: 'request' }), exclude: ['page'] as const };
  const contextProvider = () => ({
    userId: 'provided',
    anonymousId: 'browser-0',
    context: { layer: 'provided', ip: '::1', isProvided: true },
  });
  const { send, client, events } = await startTracked(
    t,
    { requestContext, contextProvider },
    { controllers: [LayersController] },
  );
  client.track({ event: 'Outside' });
  const response = await send('GET', '/layers', undefined, { 'x-user': 'request', 'user-agent': 'Shop/2' });
  const ofRequest = { ip: '127.0.0.1', userAgent: 'Shop/2', layer: 'request' };
  assert.deepEqual(await response.json(), { userId: 'request', context: ofRequest });

  const said = (await events()).map(({ event, userId: who, anonymousId, context }) => [
    event,
    who,
    anonymousId,
    context,
  ]);
  const all = { ...ofRequest, isProvided: true };
  assert.deepEqual(said, [
    ['Outside', 'provided', 'browser-0', { layer: 'provided', ip: '::1', isProvided: true }],
    ['Request', 'request', 'browser-0', all],
    ['Run', 'run', 'browser-0', { ...all, layer: 'run' }],
    ['Call', 'call', undefined, { ...all, layer: 'call' }],
  ]);
});

@Controller('with')
@UseInterceptors(new SegmentContextInterceptor({ userId, exclude: ['locale'] }))
class WithController {
  constructor(private readonly segment: SegmentService) {}

  @Post('promise')
  async save(@Body() _body: object): Promise<void> {
    this.segment.track({ event: 'Promise' });
    await turn();
    this.segment.track({ event: 'Promise, later' });
  }

  @Get('observable')
  watch(): Observable<string> {
    return defer(() => {
      this.segment.track({ event: 'Observable' });
      return of('seen');
    });
  }
}

@Controller('without')
class WithoutController {
  constructor(private readonly segment: SegmentService) {}

  @Get()
  show(): object {
    this.segment.track({ userId: 'known', event: 'Shown' });
    return SegmentContext.get();
  }
}

@Controller('facts')
@UseInterceptors(SegmentContextInterceptor)
class FactsController {
  @Get()
  show(): object {
    return SegmentContext.get();
  }
}

test('an interceptor gives the context of requests to the controller that has it', async (t) => {
  const controllers = [WithController, WithoutController, FactsController];
  const { send, events } = await startTracked(t, {}, { controllers });
  await send('POST', '/with/promise', LARGE_BODY, HEADERS);
  assert.equal(await (await send('GET', '/with/observable', undefined, HEADERS)).text(), 'seen');
  assert.deepEqual(await (await send('GET', '/without', undefined, HEADERS)).json(), {});
  const facts = { ip: '127.0.0.1', userAgent: 'Shop/2', page: { path: '/facts' } };
  assert.deepEqual(await (await send('GET', '/facts', undefined, HEADERS)).json(), { context: facts });

  const said = (await events()).map(({ event, userId: who, context }) => [event, who, context]);
  const contextOf = (path: string) => ({ ...facts, page: { path } });
  assert.deepEqual(said, [
    ['Promise', 'user-1', contextOf('/with/promise')],
    ['Promise, later', 'user-1', contextOf('/with/promise')],
    ['Observable', 'user-1', contextOf('/with/observable')],
    ['Shown', 'known', undefined],
  ]);
});

const NOTHING = [undefined, undefined];
const handler: CallHandler = { handle: () => defer(() => of(SegmentContext.get())) };

/** What the handler of a resolver or of a message gets to know. */
async function knownIn(type: string, args: unknown[]): Promise<unknown> {
  const context = {
    getType: () => type,
    getArgByIndex: (index: number) => args[index],
  } as unknown as ExecutionContext;
  const interceptor = new SegmentContextInterceptor({ userId });
  const known = (await lastValueFrom(interceptor.intercept(context, handler))) as AmbientContext;
  return [known.userId, known.context];
}

test('the interceptor finds the request of GraphQL, and lets messages pass', async () => {
  const req = { headers: HEADERS, url: '/graphql' };
  assert.deepEqual(await knownIn('graphql', [{}, {}, { req }, {}]), [
    'user-1',
    { userAgent: 'Shop/2', page: { path: '/graphql' } },
  ]);
  assert.deepEqual(await knownIn('graphql', [{}, {}, undefined, {}]), NOTHING);
  assert.deepEqual(await knownIn('rpc', [{ req }, {}, { req }]), NOTHING);
  assert.deepEqual(await knownIn('ws', [{ req }, {}, { req }]), NOTHING);
});

@Injectable()
class TrackingMiddleware implements NestMiddleware {
  constructor(private readonly segment: SegmentService) {}

  use(_request: unknown, _response: unknown, next: () => void): void {
    this.segment.track({ userId: 'known', event: 'Passed' });
    next();
  }
}

@Module({ controllers: [WithoutController] })
class MiddlewareModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(SegmentContextMiddleware, TrackingMiddleware).forRoutes(WithoutController);
  }
}

test('the middleware can be put before some routes', async (t) => {
  const { send, events } = await startTracked(t, {}, { imports: [MiddlewareModule] });
  const response = await send('GET', '/without?token=canary', undefined, HEADERS);
  const context = { ip: '127.0.0.1', userAgent: 'Shop/2', page: { path: '/without' } };
  assert.deepEqual(await response.json(), { context });
  // Where it is mounted, the URL of a request has no more than what comes after.
  const said = (await events()).map((event) => [event.event, event.context]);
  assert.deepEqual(said, [
    ['Passed', context],
    ['Shown', context],
  ]);
});
