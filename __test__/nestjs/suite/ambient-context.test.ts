/** `SegmentContext` and `contextProvider`: what a call gets of what surrounds it, and whose event it becomes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';

import type { SegmentEvent, SegmentEventType } from '@companion/segment';
import { SegmentContext, type AmbientContext, type SegmentService } from '@companion/segment/nestjs';
import { RecordingSegmentService } from '@companion/segment/nestjs/testing';

import { CapturingLogger } from './support.js';

/** The six methods, or those of `deliver`. */
type Calls = { [Type in SegmentEventType]: (params: Parameters<SegmentService[Type]>[0]) => unknown };

interface Ids {
  userId?: string;
  anonymousId?: string;
}

const ADDRESS = '203.0.113.9';
const ADMIN: AmbientContext = { userId: 'admin', anonymousId: 'browser-1', context: { ip: ADDRESS } };
const VISITOR: AmbientContext = { anonymousId: 'browser-1' };
const SERVICE: AmbientContext = { userId: 'service' };

/** What a call, made within each of these, says of who it is about. */
const RULES: [what: string, around: AmbientContext, call: (to: Calls) => unknown, expected: Ids][] = [
  [
    'a call that names nobody is about the user',
    ADMIN,
    (to) => to.track({ event: 'Viewed' }),
    { userId: 'admin', anonymousId: 'browser-1' },
  ],
  [
    'what is undefined is not said',
    ADMIN,
    (to) => to.track({ event: 'Viewed', userId: undefined, anonymousId: undefined, context: undefined }),
    { userId: 'admin', anonymousId: 'browser-1' },
  ],
  [
    'a call about the user has the browser too',
    ADMIN,
    (to) => to.track({ event: 'Viewed', userId: 'admin' }),
    { userId: 'admin', anonymousId: 'browser-1' },
  ],
  [
    'a call about the browser has the user too',
    ADMIN,
    (to) => to.page({ name: 'Home', anonymousId: 'browser-1' }),
    { userId: 'admin', anonymousId: 'browser-1' },
  ],
  ...(['track', 'identify', 'page', 'screen', 'group'] as const).map((type): (typeof RULES)[number] => [
    `${type} of somebody else`,
    ADMIN,
    (to) => to[type]({ userId: 'customer', event: 'Banned', groupId: 'shop' }),
    { userId: 'customer' },
  ]),
  [
    'a call about another browser',
    ADMIN,
    (to) => to.track({ event: 'Viewed', anonymousId: 'browser-2' }),
    { anonymousId: 'browser-2' },
  ],
  [
    'a call that says both',
    ADMIN,
    (to) => to.screen({ userId: 'customer', anonymousId: 'browser-2' }),
    { userId: 'customer', anonymousId: 'browser-2' },
  ],
  [
    'an identify that only brings traits',
    ADMIN,
    (to) => to.identify({ traits: { plan: 'pro' } }),
    { userId: 'admin', anonymousId: 'browser-1' },
  ],
  [
    'a visitor who signs in keeps the browser',
    VISITOR,
    (to) => to.identify({ userId: 'customer' }),
    { userId: 'customer', anonymousId: 'browser-1' },
  ],
  [
    'a browser that the surroundings do not know',
    SERVICE,
    (to) => to.track({ event: 'Viewed', anonymousId: 'browser-2' }),
    { anonymousId: 'browser-2' },
  ],
  [
    'a group of the user',
    ADMIN,
    (to) => to.group({ groupId: 'shop' }),
    { userId: 'admin', anonymousId: 'browser-1' },
  ],
  [
    'an alias of the user has no browser',
    ADMIN,
    (to) => to.alias({ previousId: 'browser-1' }),
    { userId: 'admin' },
  ],
  [
    'an alias of somebody else',
    ADMIN,
    (to) => to.alias({ userId: 'customer', previousId: 'browser-2' }),
    { userId: 'customer' },
  ],
];

const idsOf = ({ userId, anonymousId }: SegmentEvent | AmbientContext): Ids => ({
  ...(userId && { userId }),
  ...(anonymousId && { anonymousId }),
});

describe('whose event it is', () => {
  for (const [what, around, call, expected] of RULES) {
    test(what, async () => {
      const segment = new RecordingSegmentService();
      assert.equal(
        SegmentContext.run(around, () => call(segment)),
        true,
      );
      await SegmentContext.run(around, () => call(segment.deliver));
      const said = segment.events.map((event) => [idsOf(event), event.context?.ip]);
      assert.deepEqual(said, [
        [expected, around.context?.ip],
        [expected, around.context?.ip],
      ]);
    });
  }
});

describe('SegmentContext.run', () => {
  test('returns what the callback returns, and throws what it throws', async () => {
    const promise = Promise.resolve('done');
    assert.equal(
      SegmentContext.run(ADMIN, () => promise),
      promise,
    );
    const error = new Error('failed');
    const failing = () => {
      throw error;
    };
    assert.throws(
      () => SegmentContext.run(ADMIN, failing),
      (thrown) => thrown === error,
    );
    assert.deepEqual(SegmentContext.get(), {});
    await promise;
  });

  test('is there in all that a job starts, and nowhere else', async () => {
    const segment = new RecordingSegmentService({ logger: new CapturingLogger() });
    const track = (event: string) => segment.track({ event, properties: SegmentContext.get() });
    const job = async (userId: string) => {
      track(userId);
      await turn();
      track(userId);
      setTimeout(() => track(userId), 1);
      await pause(2);
      track(userId);
    };
    const users = ['user-1', 'user-2', 'user-3'];
    await Promise.all(users.map((userId) => SegmentContext.run({ userId }, () => job(userId))));
    await segment.waitFor(4 * users.length);
    for (const { event, userId, properties } of segment.events) {
      assert.deepEqual([userId, properties?.['userId']], [event, event]);
    }
    assert.equal(segment.track({ event: 'Nobody' }), false);
  });

  test('within another adds to it, and what it says wins', () => {
    const outer = { userId: 'user-1', anonymousId: 'browser-1', context: { ip: ADDRESS, locale: 'de' } };
    const inner = { userId: 'user-2', anonymousId: undefined, context: { locale: 'fr', plan: 'pro' } };
    const within = SegmentContext.run(outer, () => {
      const innermost = SegmentContext.run(inner, () => SegmentContext.get());
      assert.deepEqual(SegmentContext.get(), outer);
      assert.deepEqual(
        SegmentContext.run({}, () => SegmentContext.get()),
        outer,
      );
      return innermost;
    });
    assert.deepEqual(within, {
      userId: 'user-2',
      anonymousId: 'browser-1',
      context: { ip: ADDRESS, locale: 'fr', plan: 'pro' },
    });
  });
});

test('SegmentContext.exit leaves all of it, for what it calls and starts', async () => {
  const segment = new RecordingSegmentService({ logger: new CapturingLogger() });
  await SegmentContext.run(ADMIN, async () => {
    const left = await SegmentContext.exit(async () => {
      assert.equal(segment.track({ event: 'Nobody' }), false);
      await turn();
      return SegmentContext.get();
    });
    assert.deepEqual(left, {});
    assert.equal(segment.track({ event: 'Viewed' }), true);
  });
  assert.deepEqual(segment.events.map(idsOf), [idsOf(ADMIN)]);
});

test('nothing that is given is changed', () => {
  const around = { userId: 'user-1', context: { ip: ADDRESS, page: { path: '/' } } };
  const params = {
    event: 'Viewed',
    properties: { items: [1] },
    context: { page: { title: 'Shop' }, ip: '' },
  };
  const [aroundBefore, paramsBefore] = [structuredClone(around), structuredClone(params)];
  const segment = new RecordingSegmentService();
  SegmentContext.run(around, () => segment.track(params));
  assert.deepEqual([around, params], [aroundBefore, paramsBefore]);
  SegmentContext.run(frozen(around), () => assert.equal(segment.track(frozen(params)), true));
  for (const { userId, properties, context } of segment.events) {
    assert.deepEqual([userId, properties], ['user-1', params.properties]);
    const { library: _ours, ...said } = context ?? {};
    assert.deepEqual(said, params.context);
  }
});

function frozen<Value extends object>(value: Value): Value {
  for (const member of Object.values(value)) if (typeof member === 'object') frozen(member as object);
  return Object.freeze(value);
}

describe('contextProvider', () => {
  const lines = ({ lines: all }: CapturingLogger) => all.filter(({ message }) => message.includes('context'));

  test('is asked at each call, and both the call and SegmentContext win over it', () => {
    const provided = {
      userId: 'provided',
      anonymousId: 'browser-0',
      context: { ip: '::1', locale: 'de', of: 0 },
    };
    let asked = 0;
    const contextProvider = () => {
      asked += 1;
      return { ...provided, context: { ...provided.context, asked } };
    };
    const segment = new RecordingSegmentService({ contextProvider });
    segment.track({ event: 'Viewed' });
    SegmentContext.run({ anonymousId: 'browser-1', context: { locale: 'fr', of: 1 } }, () => {
      segment.track({ event: 'Viewed', context: { of: 2 } });
    });
    const said = segment.events.map(({ context, ...event }) => {
      const { library: _ours, ...known } = context ?? {};
      return [idsOf(event), known];
    });
    assert.deepEqual(said, [
      [
        { userId: 'provided', anonymousId: 'browser-0' },
        { ip: '::1', locale: 'de', of: 0, asked: 1 },
      ],
      [
        { userId: 'provided', anonymousId: 'browser-1' },
        { ip: '::1', locale: 'fr', of: 2, asked: 2 },
      ],
    ]);
  });

  test('may know nothing', () => {
    const segment = new RecordingSegmentService({ contextProvider: () => undefined });
    assert.equal(segment.track({ userId: 'user-1', event: 'Viewed' }), true);
  });

  test('that throws costs the call what it would have said, is logged once and quoted nowhere', async () => {
    const logger = new CapturingLogger();
    const contextProvider = () => {
      throw new RangeError('canary');
    };
    const segment = new RecordingSegmentService({ contextProvider, logger });
    assert.equal(segment.track({ userId: 'user-1', event: 'Viewed' }), true);
    await segment.deliver.identify({ userId: 'user-1' });
    SegmentContext.run(ADMIN, () => assert.equal(segment.track({ event: 'Banned' }), true));
    const said = segment.events.map((event) => [idsOf(event), event.context?.ip]);
    assert.deepEqual(said, [
      [{ userId: 'user-1' }, undefined],
      [{ userId: 'user-1' }, undefined],
      [idsOf(ADMIN), ADDRESS],
    ]);
    const [line, ...others] = lines(logger);
    assert.deepEqual([line?.level, others], ['warn', []]);
    assert.match(line?.message ?? '', /RangeError/);
    assert.ok(!logger.text.includes('canary'));
  });

  for (const [what, value] of Object.entries({
    'nothing at all': null,
    'a text': 'canary',
    'a promise': Promise.resolve({ userId: 'user-2' }),
    'ids that are no texts': { userId: 42, anonymousId: {} },
    'a context that is none': { context: 'canary' },
    'a list as context': { context: ['canary'] },
  })) {
    test(`that returns ${what} costs no event`, () => {
      const logger = new CapturingLogger();
      const contextProvider = () => value as AmbientContext;
      const segment = new RecordingSegmentService({ contextProvider, logger });
      SegmentContext.run(VISITOR, () => segment.track({ event: 'Viewed' }));
      const [event, ...others] = segment.events;
      assert.deepEqual([event?.anonymousId, others], ['browser-1', []]);
      const { library: _ours, ...said } = event?.context ?? {};
      assert.deepEqual(said, {});
    });
  }
});
