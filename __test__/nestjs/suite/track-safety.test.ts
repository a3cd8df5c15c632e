/** Nothing that goes wrong in `@Track` reaches who calls the method, and what is wrong with its use shows early. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Inject, Injectable } from '@nestjs/common';
import { SegmentService, Track } from '@companion/segment/nestjs';

import { startProgram } from './processes.js';
import { CapturingLogger, startApplication } from './support.js';
import { startTracked } from './tracked.js';

const USER = { userId: () => 'user-1' };

const throwing = (): never => {
  throw new RangeError('canary');
};

/** A class anew, because each method tells once what is wrong with it. */
function mistakenClass() {
  @Injectable()
  class Mistaken {
    @Track('A', { ...USER, properties: throwing })
    properties(): string {
      return 'result';
    }

    @Track('B', { userId: throwing })
    async userId(): Promise<string> {
      return 'result';
    }

    @Track('C', { ...USER, anonymousId: throwing })
    async anonymousId(): Promise<string> {
      return 'result';
    }

    @Track('D', { ...USER, context: throwing })
    context(): string {
      return 'result';
    }

    @Track('E', { ...USER, when: throwing, on: 'always' })
    when(): string {
      return 'result';
    }
  }
  return Mistaken;
}

const METHODS = ['properties', 'userId', 'anonymousId', 'context', 'when'] as const;

test('options that throw cost their event, and are logged once without what they threw', async (t) => {
  const Mistaken = mistakenClass();
  const { app, events, logger } = await startTracked(t, {}, { providers: [Mistaken] });
  const subject = app.get(Mistaken);
  for (const method of [...METHODS, ...METHODS]) assert.equal(await subject[method](), 'result');
  assert.deepEqual(await events(), []);
  const lines = logger.of('Segment');
  assert.equal(lines.length, METHODS.length);
  for (const [index, method] of METHODS.entries()) {
    assert.equal(lines[index]?.level, 'warn');
    assert.match(lines[index]?.message ?? '', new RegExp(`Mistaken\\.${method} .*RangeError`));
  }
  assert.ok(!logger.text.includes('canary'));
});

test('options that throw, and a log that does too', async (t) => {
  class BrokenLogger extends CapturingLogger {
    override readonly warn = throwing;
  }
  const Mistaken = mistakenClass();
  const logger = new BrokenLogger();
  const { app } = await startTracked(t, {}, { providers: [Mistaken] }, { logger });
  const subject = app.get(Mistaken);
  for (const method of METHODS) assert.equal(await subject[method](), 'result');
});

test('options that throw are told to the logger that the module was given', async (t) => {
  const Mistaken = mistakenClass();
  const own = new CapturingLogger();
  const { app, logger } = await startTracked(t, { logger: own }, { providers: [Mistaken] });
  app.get(Mistaken).when();
  assert.deepEqual([own.of('Segment').length, logger.of('Segment').length], [1, 0]);
});

test('options that are async by mistake crash nothing', async (t) => {
  class Async {
    @Track('A', { ...USER, properties: () => Promise.reject(new Error('canary')) })
    call(): string {
      return 'result';
    }
  }
  const { app, events } = await startTracked(t, {}, { providers: [Async] });
  assert.equal(app.get(Async).call(), 'result');
  await events();
});

test('an event that is none is refused, and logged once', async (t) => {
  class Nobody {
    @Track('Nobody Knows')
    call(value: number): number {
      return value;
    }
  }
  const { app, client, events, logger } = await startTracked(t, {}, { providers: [Nobody] });
  for (const value of [1, 2, 3]) assert.equal(app.get(Nobody).call(value), value);
  assert.deepEqual(await events(), []);
  assert.equal(client.stats().refused.invalid, 3);
  const [line, ...others] = logger.of('Segment');
  assert.deepEqual([line?.level, others], ['warn', []]);
  assert.match(line?.message ?? '', /^track\(\) was refused: .*ERR_VALIDATION/);
});

test('results that must not be touched are left alone', async (t) => {
  const untouchable: object = new Proxy({}, { get: throwing });
  // oxlint-disable-next-line unicorn/no-thenable -- that is what it is
  const frozen = Object.freeze({ then: (done: (value: string) => void) => done('result') });
  class Strange {
    @Track('Returned', USER)
    call(value: unknown): unknown {
      return value;
    }
  }
  const { app, events } = await startTracked(t, {}, { providers: [Strange] });
  const subject = app.get(Strange);
  assert.ok(subject.call(untouchable) === untouchable);
  assert.ok(subject.call(frozen) === frozen);
  assert.equal((await events()).length, 2);
});

test('without Nest the method is what it was', async () => {
  class Plain {
    #count = 0;

    @Track('Counted', { ...USER, properties: throwing })
    count(): this {
      this.#count += 1;
      return this;
    }

    @Track('Asked', USER)
    async counted(): Promise<number> {
      return this.#count;
    }
  }
  const plain = new Plain();
  assert.equal(plain.count(), plain);
  assert.equal(await plain.counted(), 1);
  assert.deepEqual([plain.count.name, plain.counted.name], ['count', 'counted']);
});

test('on anything but a method of an instance it throws at once', () => {
  const wrong = { name: 'TypeError', message: /^@Track\('Made'\) belongs on a method/ };
  assert.throws(() => {
    class Static {
      @Track('Made')
      static make(): void {}
    }
    return Static;
  }, wrong);
  assert.throws(() => {
    class Accessor {
      @Track('Made')
      get made(): boolean {
        return true;
      }
    }
    return Accessor;
  }, wrong);
  class Field {
    declare made: boolean;
  }
  // A compiler refuses this one.
  const decorate = Track('Made') as PropertyDecorator;
  assert.throws(() => decorate(Field.prototype, 'made'), wrong);
});

test('without the module Nest says what is missing', async (t) => {
  class Orphan {
    @Track('Called')
    call(): void {}
  }
  class NamedOrphan {
    @Track('Called', { client: 'marketing' })
    call(): void {}
  }
  const starting = (provider: typeof Orphan | typeof NamedOrphan) =>
    startApplication(t, { root: { providers: [provider] } });
  await assert.rejects(starting(Orphan), /can't resolve dependencies of the Orphan\b.*companion\/segment/s);
  await assert.rejects(starting(NamedOrphan), /can't resolve dependencies of the NamedOrphan\b.*marketing/s);
});

test('it does not get into the way of what else is injected', async (t) => {
  class Both {
    @Inject(SegmentService) readonly segment!: SegmentService;

    @Track('Called', USER)
    call(): string[] {
      return Object.keys(this);
    }
  }
  const { app, client, events } = await startTracked(t, {}, { providers: [Both] });
  const subject = app.get(Both);
  assert.equal(subject.segment, client);
  assert.deepEqual(subject.call(), ['segment']);
  assert.equal((await events()).length, 1);
});

test('a rejection that nobody handles is still one, and one that is handled is none', async (t) => {
  const unhandled = await startProgram(t, 'rejection').ended;
  assert.equal(unhandled.code, 1);
  assert.match(unhandled.output, /Error: the order failed/);
  assert.ok(!unhandled.output.includes('still running'));
  const { code, output } = await startProgram(t, 'rejection', 'handled').ended;
  assert.deepEqual([code, output], [0, 'still running\n']);
});
