/** `@Track` on methods whose result comes later, and in more ways than a Promise: Observables, queries, their like. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { SegmentContext, Track } from '@companion/segment/nestjs';
import { concat, lastValueFrom, Observable, of, Subject, throwError, toArray } from 'rxjs';

import { startWith } from './tracked.js';

const USER = { userId: () => 'user-1' };
const nameOf = (error: unknown) => (error instanceof Error ? error.name : null);

@Injectable()
class Streams {
  subscriptions = 0;
  readonly endless = new Subject<number>();
  readonly error = new RangeError('canary');

  @Track('Streamed', { ...USER, properties: (_args, last: number) => ({ last }) })
  numbers(...numbers: number[]): Observable<number> {
    return new Observable((subscriber) => {
      this.subscriptions += 1;
      return of(...numbers).subscribe(subscriber);
    });
  }

  @Track('Stream Failed', {
    ...USER,
    on: 'failure',
    properties: (_args, _last, error) => ({ name: nameOf(error) }),
  })
  failing(): Observable<number> {
    return concat(
      of(1),
      throwError(() => this.error),
    );
  }

  @Track('Stream Watched', { ...USER, on: 'always' })
  watch(): Observable<number> {
    return this.endless;
  }
}

describe('an Observable', () => {
  test('is an event each time it completes, with the last value', async (t) => {
    const { subject, told } = await startWith(t, Streams);
    const numbers = subject.numbers(1, 2, 3);
    await turn();
    assert.equal(subject.subscriptions, 0);
    assert.deepEqual(await told(), []);
    for (const times of [1, 2]) {
      assert.deepEqual(await lastValueFrom(numbers.pipe(toArray())), [1, 2, 3]);
      assert.equal(subject.subscriptions, times);
    }
    assert.deepEqual(await told(), [
      ['Streamed', { last: 3 }],
      ['Streamed', { last: 3 }],
    ]);
  });

  test('may be empty', async (t) => {
    const { subject, told } = await startWith(t, Streams);
    assert.deepEqual(await lastValueFrom(subject.numbers().pipe(toArray())), []);
    assert.deepEqual(await told(), [['Streamed', {}]]);
  });

  test('that fails is a failure, after the values before', async (t) => {
    const { subject, told } = await startWith(t, Streams);
    const values: number[] = [];
    const error = await new Promise((resolve) => {
      subject.failing().subscribe({ next: (value) => values.push(value), error: resolve });
    });
    assert.deepEqual([values, error === subject.error], [[1], true]);
    assert.deepEqual(await told(), [['Stream Failed', { name: 'RangeError' }]]);
  });

  test('that nobody listens to any more is none, and is told so', async (t) => {
    const { subject, told } = await startWith(t, Streams);
    const values: number[] = [];
    const subscription = subject.watch().subscribe((value) => values.push(value));
    subject.endless.next(1);
    subscription.unsubscribe();
    assert.equal(subject.endless.observed, false);
    subject.endless.complete();
    assert.deepEqual([values, await told()], [[1], []]);
  });
});

/** As clients of databases have them: it runs when it is awaited, in a context of the driver's own. */
class Query implements PromiseLike<string> {
  static readonly error = new RangeError('canary');
  runs = 0;
  readonly #table: string;
  #limit = Infinity;

  constructor(table: string) {
    this.#table = table;
  }

  limit(count: number): this {
    this.#limit = count;
    return this;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- that is what it is
  then<Fulfilled = string, Rejected = never>(
    onFulfilled?: ((value: string) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.runs += 1;
    const rows = `${this.#limit} of ${this.#table}`;
    const answer = this.#table === 'nowhere' ? Promise.reject(Query.error) : Promise.resolve(rows);
    return SegmentContext.run({ userId: 'driver' }, () => answer.then(onFulfilled, onRejected));
  }
}

/** The same as a promise with more methods. Those that follow it are none of its kind. */
class Request extends Promise<string> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  isSent = false;
  #answer = (): void => undefined;

  static to(place: string): Request {
    let resolve: (answer: string) => void = () => undefined;
    const request = new Request((settle) => (resolve = settle));
    request.#answer = () => resolve(`answer of ${place}`);
    return request;
  }

  abort(): string {
    return 'aborted';
  }

  // oxlint-disable-next-line unicorn/no-thenable -- that is what it is
  override then<Fulfilled = string, Rejected = never>(
    onFulfilled?: ((value: string) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.isSent = true;
    this.#answer();
    return super.then(onFulfilled, onRejected);
  }
}

@Injectable()
class Database {
  @Track('Queried', {
    on: 'always',
    properties: (_args, rows: string, error) => ({ rows, error: nameOf(error) }),
  })
  query(table: string): Query {
    return new Query(table);
  }

  @Track('Requested', USER)
  request(place: string): Request {
    return Request.to(place);
  }
}

describe('a lazy thenable', () => {
  const asUser = <Result>(call: () => Result) => SegmentContext.run({ userId: 'user-1' }, call);

  test('stays what it is until somebody awaits it, and is then one event of its caller', async (t) => {
    const { subject, events } = await startWith(t, Database);
    await asUser(async () => {
      const query = subject.query('orders');
      assert.ok(query instanceof Query);
      await turn();
      assert.deepEqual([query.runs, await events()], [0, []]);
      assert.equal(query.limit(2), query);
      assert.equal(await query, '2 of orders');
      assert.equal(await query, '2 of orders');
    });
    const said = (await events()).map(({ userId, properties }) => [userId, properties]);
    assert.deepEqual(said, [['user-1', { rows: '2 of orders', error: null }]]);
  });

  test('that rejects is a failure, and rejects', async (t) => {
    const { subject, events } = await startWith(t, Database);
    await assert.rejects(
      asUser(async () => subject.query('nowhere')),
      (error) => error === Query.error,
    );
    const said = (await events()).map(({ userId, properties }) => [userId, properties]);
    assert.deepEqual(said, [['user-1', { error: 'RangeError' }]]);
  });

  test('may be a promise with more methods', async (t) => {
    const { subject, told } = await startWith(t, Database);
    const request = subject.request('shop');
    assert.ok(request instanceof Request);
    assert.deepEqual([request.isSent, request.abort()], [false, 'aborted']);
    assert.equal(await request, 'answer of shop');
    assert.deepEqual(await told(), [['Requested', {}]]);
  });
});

test('a promise may have more members', async (t) => {
  class Receipts {
    @Track('Receipt Asked', USER)
    ask(): Promise<string> & { number: number } {
      return Object.assign(Promise.resolve('receipt'), { number: 7 });
    }
  }
  const { subject, told } = await startWith(t, Receipts);
  const receipt = subject.ask();
  assert.deepEqual([receipt.number, await receipt], [7, 'receipt']);
  assert.deepEqual(await told(), [['Receipt Asked', {}]]);
});
