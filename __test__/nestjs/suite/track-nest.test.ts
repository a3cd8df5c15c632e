/** `@Track` among the other things of Nest: routes, guards, pipes, scopes, inheritance, several clients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  Body,
  Controller,
  createParamDecorator,
  Get,
  HttpCode,
  Inject,
  Injectable,
  Param,
  Post,
  Scope,
  SetMetadata,
  UseGuards,
  UseInterceptors,
  type ArgumentMetadata,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { ContextIdFactory, REQUEST, Reflector } from '@nestjs/core';
import {
  getSegmentToken,
  SegmentContext,
  SegmentModule,
  SegmentService,
  Track,
  type HttpRequest,
} from '@companion/segment/nestjs';
import { map, of, type Observable } from 'rxjs';

import { startSegment, WRITE_KEY } from './support.js';
import { startTracked, trackedOf } from './tracked.js';

const USER = { userId: () => 'user-1' };
const requestContext = { userId: (request: HttpRequest) => request.headers['x-user'] };
const HEADERS = { 'x-user': 'user-7' };

class NewOrder {
  declare items: string[];
}

/** Lets in who brings what the route's metadata ask for, from above and from below `@Track`. */
@Injectable()
class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const handler = context.getHandler();
    const asked = ['above', 'below'].map((key) => this.reflector.get<string>(key, handler));
    const brought = context.switchToHttp().getRequest<HttpRequest>().headers['x-roles'];
    return asked.join() === brought;
  }
}

@Injectable()
class Naming implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const name = `${context.getClass().name}.${context.getHandler().name}`;
    return next.handle().pipe(map((result: object) => ({ ...result, name })));
  }
}

/** Tells which type the parameter has. */
@Injectable()
class Typing implements PipeTransform {
  transform(value: object, { metatype }: ArgumentMetadata): object {
    return { ...value, type: metatype?.name };
  }
}

const User = createParamDecorator((_data: unknown, context: ExecutionContext) => {
  return context.switchToHttp().getRequest<HttpRequest>().headers['x-user'];
});

@Controller('orders')
class OrdersController {
  @Post(':shop')
  @HttpCode(202)
  @UseGuards(RolesGuard)
  @SetMetadata('above', 'buyer')
  @Track('Order Placed', {
    properties: ([shop, order]: [string, NewOrder], result: { user: string }) => ({
      shop,
      items: order.items.length,
      user: result.user,
    }),
  })
  @SetMetadata('below', 'member')
  @UseInterceptors(Naming)
  async place(
    @Param('shop') shop: string,
    @Body(Typing) order: NewOrder,
    @User() user: string,
  ): Promise<object> {
    return { shop, order, user };
  }

  @Track('Orders Listed')
  @Get()
  list(): Observable<object> {
    return of({ orders: [] });
  }
}

test('a route keeps its guards, interceptors, pipes and parameters, and its event has the user of the request', async (t) => {
  const { send, events } = await startTracked(t, { requestContext }, { controllers: [OrdersController] });
  const order = { items: ['a', 'b'] };
  const headers = { ...HEADERS, 'x-roles': 'buyer,member' };
  const response = await send('POST', '/orders/books', order, headers);
  assert.equal(response.status, 202);
  assert.deepEqual(await response.json(), {
    shop: 'books',
    order: { ...order, type: 'NewOrder' },
    user: 'user-7',
    name: 'OrdersController.place',
  });
  assert.equal((await send('POST', '/orders/books', order, HEADERS)).status, 403);
  assert.deepEqual(await (await send('GET', '/orders', undefined, HEADERS)).json(), { orders: [] });

  const said = (await events()).map(({ event, userId, properties }) => [event, userId, properties]);
  assert.deepEqual(said, [
    ['Order Placed', 'user-7', { shop: 'books', items: 2, user: 'user-7' }],
    ['Orders Listed', 'user-7', {}],
  ]);
});

@Injectable()
class Singleton {
  @Track('Singleton')
  call(): this {
    return this;
  }
}

@Injectable({ scope: Scope.REQUEST })
class OfRequest {
  constructor(@Inject(REQUEST) private readonly request: HttpRequest) {}

  @Track('Of Request')
  call(): unknown {
    return this.request.headers['x-user'];
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Transient {
  @Track('Transient')
  call(): this {
    return this;
  }
}

@Controller('scopes')
class ScopesController {
  constructor(
    private readonly singleton: Singleton,
    private readonly ofRequest: OfRequest,
    private readonly transient: Transient,
  ) {}

  /** As the providers of requests make it, it is made for each request too. */
  @Get()
  @Track('Controller')
  call(): object {
    const isSame = this.singleton.call() === this.singleton && this.transient.call() === this.transient;
    return { isSame, user: this.ofRequest.call() };
  }
}

test('it is there in every scope', async (t) => {
  const { app, send, events } = await startTracked(
    t,
    { requestContext },
    { controllers: [ScopesController], providers: [Singleton, OfRequest, Transient] },
  );
  for (const user of ['user-1', 'user-2']) {
    const response = await send('GET', '/scopes', undefined, { 'x-user': user });
    assert.deepEqual(await response.json(), { isSame: true, user });
  }
  const resolved = await app.resolve(Transient, ContextIdFactory.create());
  SegmentContext.run({ userId: 'job' }, () => resolved.call());

  const said = (await events()).map(({ event, userId }) => [event, userId]);
  const names = ['Singleton', 'Transient', 'Of Request', 'Controller'];
  assert.deepEqual(said, [
    ...names.map((name) => [name, 'user-1']),
    ...names.map((name) => [name, 'user-2']),
    ['Transient', 'job'],
  ]);
});

abstract class Repository {
  readonly #rows: string[] = [];

  @Track('Saved', { ...USER, properties: ([row]: [string]) => ({ row }) })
  save(row: string): number {
    return this.#rows.push(row);
  }

  @Track('Removed', USER)
  remove(): string | undefined {
    return this.#rows.pop();
  }

  @Track('Counted', USER)
  async count(): Promise<number> {
    return this.#rows.length;
  }
}

@Injectable()
class Orders extends Repository {
  @Inject('NAME') readonly name!: string;
  readonly #saved: string[] = [];

  override save(row: string): number {
    this.#saved.push(row);
    return super.save(`${this.name} ${row}`);
  }

  /** Without `super`: what is not decorated is not tracked. */
  override remove(): string | undefined {
    return this.#saved.pop();
  }

  @Track('Orders Counted', { ...USER, client: 'marketing' })
  override async count(): Promise<number> {
    return (await super.count()) + this.#saved.length;
  }
}

@Injectable()
class Members extends Repository {}

test('subclasses inherit it, override it, and add to it', async (t) => {
  const marketing = SegmentModule.registerClient({ name: 'marketing', enabled: false });
  const { app, events } = await startTracked(
    t,
    {},
    { imports: [marketing], providers: [Orders, Members, { provide: 'NAME', useValue: 'order' }] },
  );
  const orders = app.get(Orders);
  assert.deepEqual([orders.save('1'), orders.save('2'), orders.remove()], [1, 2, '2']);
  assert.equal(await orders.count(), 3);
  const members = app.get(Members);
  assert.deepEqual([members.save('1'), members.remove()], [1, '1']);

  const said = (await events()).map(({ event, properties }) => [event, properties]);
  assert.deepEqual(said, [
    ['Saved', { row: 'order 1' }],
    ['Saved', { row: 'order 2' }],
    ['Counted', {}],
    ['Saved', { row: '1' }],
    ['Removed', {}],
  ]);
  const ofMarketing = app.get<SegmentService>(getSegmentToken('marketing'));
  assert.equal(ofMarketing.stats().accepted, 1);
});

test('another client is named by `client`, and a method may tell several', async (t) => {
  @Injectable()
  class Campaigns {
    @Track('Campaign Opened', { ...USER, client: 'marketing' })
    open(): string {
      return 'opened';
    }

    @Track('Campaign Ended', USER)
    @Track('Campaign Ended', { ...USER, client: 'marketing', properties: { of: 'marketing' } })
    async end(): Promise<string> {
      return 'ended';
    }
  }
  const segment = await startSegment(t);
  const marketing = SegmentModule.registerClient({
    name: 'marketing',
    writeKey: WRITE_KEY,
    host: segment.url,
  });
  const { app, events } = await startTracked(t, {}, { imports: [marketing], providers: [Campaigns] });
  const campaigns = app.get(Campaigns);
  assert.deepEqual([campaigns.open(), await campaigns.end()], ['opened', 'ended']);

  await app.get<SegmentService>(getSegmentToken('marketing')).flush();
  const said = segment.events.map(trackedOf).map(({ event, properties }) => [event, properties]);
  assert.deepEqual(said, [
    ['Campaign Opened', {}],
    ['Campaign Ended', { of: 'marketing' }],
  ]);
  const ofDefault = (await events()).map(({ event, properties }) => [event, properties]);
  assert.deepEqual(ofDefault, [['Campaign Ended', {}]]);
});

test('two applications in one process have their own clients', async (t) => {
  @Injectable()
  class Shared {
    @Track('Called', { userId: ([userId]: [string]) => userId })
    call(_userId: string): void {}
  }
  const first = await startTracked(t, {}, { providers: [Shared] });
  const second = await startTracked(t, {}, { providers: [Shared] });
  first.app.get(Shared).call('first');
  second.app.get(Shared).call('second');
  for (const [name, { events }] of Object.entries({ first, second })) {
    assert.deepEqual(
      (await events()).map(({ userId }) => userId),
      [name],
    );
  }
});
