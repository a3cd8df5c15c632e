/** `@Track`: which calls become events, and that callers get what they would get without it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { Track } from '@companion/segment/nestjs';

import { startWith } from './tracked.js';

const USER = { userId: () => 'user-1' };

/** What a call threw or rejected with. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return assert.fail('It has to fail.');
}

const OBJECT = { total: 7 };
const VALUES = [OBJECT, undefined, null, 0, '', false, Symbol('result'), () => OBJECT, [OBJECT], new Map()];
const ERRORS = [new TypeError('canary'), undefined, null, 'canary', OBJECT];

@Injectable()
class Calls {
  @Track('Returned', USER)
  return(value: unknown): unknown {
    return value;
  }

  @Track('Resolved', USER)
  async resolve(value: unknown): Promise<unknown> {
    await turn();
    return value;
  }

  @Track('Thrown', USER)
  throw(error: unknown): unknown {
    throw error;
  }

  @Track('Rejected', USER)
  async reject(error: unknown): Promise<unknown> {
    await turn();
    throw error;
  }
}

test('results are the same ones, and each is an event', async (t) => {
  const { subject, told } = await startWith(t, Calls);
  for (const value of VALUES) {
    assert.equal(subject.return(value), value);
    const promise = subject.resolve(value);
    assert.ok(promise instanceof Promise);
    assert.equal(await promise, value);
  }
  const counts = new Map<unknown, number>();
  for (const [event] of (await told()) as [string][]) counts.set(event, (counts.get(event) ?? 0) + 1);
  assert.deepEqual(Object.fromEntries(counts), { Returned: VALUES.length, Resolved: VALUES.length });
});

test('errors are the same ones, and none is an event', async (t) => {
  const { subject, told, logger } = await startWith(t, Calls);
  for (const error of ERRORS) {
    assert.equal(await errorOf(() => subject.throw(error)), error);
    assert.equal(await errorOf(() => subject.reject(error)), error);
  }
  assert.deepEqual(await told(), []);
  assert.deepEqual(logger.of('Segment'), []);
});

test('an async method is tracked when it is done, and not before', async (t) => {
  let finish = (): void => undefined;
  class Slow {
    @Track('Done', USER)
    work(): Promise<void> {
      return new Promise((resolve) => (finish = resolve));
    }
  }
  const { subject, client } = await startWith(t, Slow);
  const done = subject.work();
  await turn();
  assert.equal(client.stats().accepted, 0);
  finish();
  await done;
  assert.equal(client.stats().accepted, 1);
});

interface NewOrder {
  userId: string;
  items: string[];
}
interface Receipt {
  total: number;
}
const ORDER: NewOrder = { userId: 'user-7', items: ['a', 'b'] };

@Injectable()
class Orders {
  // As in the README: what is annotated once is known in the other functions too.
  @Track('Order Completed', {
    properties: ([order]: [NewOrder], receipt: Receipt) => ({
      items: order.items.length,
      total: receipt.total,
    }),
    userId: ([order]) => order.userId,
    anonymousId: ([{ userId }]) => `browser-of-${userId}`,
    context: (_args, { total }) => ({ isLarge: total > 100 }),
    when: ([order], receipt) => order.items.length > 0 && receipt.total > 0,
  })
  async complete(order: NewOrder): Promise<Receipt> {
    await turn();
    return { total: order.items.length * 60 };
  }

  @Track('Orders Listed', { ...USER, properties: { page: 1 } })
  list(): string[] {
    return [];
  }

  @Track('Order Failed', {
    on: 'failure',
    userId: ([userId]: [string, boolean]) => userId,
    properties: (_args, result, error) => ({ isResult: result !== undefined, error: nameOf(error) }),
    when: (_args, _result, error) => error instanceof TypeError,
  })
  fail(_userId: string, isType: boolean): never {
    throw isType ? new TypeError('canary') : new RangeError('canary');
  }

  @Track('Tried', {
    on: 'always',
    ...USER,
    properties: ([_works]: [boolean], result: string | undefined, error) => ({
      result,
      error: nameOf(error),
    }),
  })
  async try(works: boolean): Promise<string> {
    await turn();
    if (!works) throw new RangeError('canary');
    return 'worked';
  }
}

const nameOf = (error: unknown) => (error instanceof Error ? error.name : null);

test('options make of a call what its event says', async (t) => {
  const { subject, events } = await startWith(t, Orders);
  assert.deepEqual(await subject.complete(ORDER), { total: 120 });
  const event = {
    type: 'track',
    event: 'Order Completed',
    userId: 'user-7',
    anonymousId: 'browser-of-user-7',
  };
  assert.deepEqual(await events(), [
    { ...event, properties: { items: 2, total: 120 }, context: { isLarge: true } },
  ]);
});

test('`when` leaves calls out', async (t) => {
  const { subject, told } = await startWith(t, Orders);
  assert.deepEqual(await subject.complete({ ...ORDER, items: [] }), { total: 0 });
  assert.deepEqual(await told(), []);
});

test('properties may be fixed', async (t) => {
  const { subject, told } = await startWith(t, Orders);
  subject.list();
  subject.list();
  assert.deepEqual(await told(), [
    ['Orders Listed', { page: 1 }],
    ['Orders Listed', { page: 1 }],
  ]);
});

test("`on: 'failure'` tracks what fails, with the error", async (t) => {
  const { subject, events } = await startWith(t, Orders);
  assert.throws(() => subject.fail('user-3', true), TypeError);
  assert.throws(() => subject.fail('user-4', false), RangeError);
  const said = (await events()).map(({ userId, properties }) => [userId, properties]);
  assert.deepEqual(said, [['user-3', { isResult: false, error: 'TypeError' }]]);
});

test("`on: 'always'` tracks both", async (t) => {
  const { subject, told } = await startWith(t, Orders);
  assert.equal(await subject.try(true), 'worked');
  await assert.rejects(subject.try(false), RangeError);
  assert.deepEqual(await told(), [
    ['Tried', { result: 'worked', error: null }],
    ['Tried', { error: 'RangeError' }],
  ]);
});

test('several on one method are several events, and one result', async (t) => {
  class Plans {
    @Track('Plan Changed', { ...USER, properties: ([plan]: [string]) => ({ plan }) })
    @Track('Plan Change Tried', { ...USER, on: 'always' })
    @Track('Plan Change Failed', { ...USER, on: 'failure' })
    async change(plan: string): Promise<string> {
      await turn();
      if (plan === 'none') throw new RangeError('canary');
      return plan;
    }
  }
  const { subject, told } = await startWith(t, Plans);
  assert.equal(await subject.change('pro'), 'pro');
  await assert.rejects(subject.change('none'), RangeError);
  const names = ((await told()) as [string][]).map(([event]) => event);
  assert.deepEqual(names, ['Plan Change Tried', 'Plan Changed', 'Plan Change Failed', 'Plan Change Tried']);
});
