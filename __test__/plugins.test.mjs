import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics, Context, ContextCancelation } from '@companion/segment';

import {
  METHODS,
  MINIMAL,
  counted,
  failuresOf,
  messageIdsOf,
  next,
  onTheWire,
  settled,
  startPair,
  trackMany,
} from './support/clients.mjs';

/** A plugin that does `handle` at every kind of event. */
function plugin(name, type, handle, more = {}) {
  const handlers = handle && Object.fromEntries(METHODS.map((method) => [method, handle]));
  return { name, type, version: '1.0.0', isLoaded: () => true, load: async () => {}, ...handlers, ...more };
}
const turns = async (count) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};
const boom = () => {
  throw new Error('boom');
};

describe('order', () => {
  test('before, enrichment, destination and Segment, after, callback, listeners; one by one where it matters', async (t) => {
    const { analytics, segment } = await startPair(t);
    const order = [];
    const says = (name, type) =>
      plugin(name, type, async (context) => {
        order.push(`${name}>`);
        await turns(2);
        order.push(name);
        if (type === 'after') order.push(`arrived: ${segment.eventCount}, attempts: ${context.attempts}`);
        return context;
      });
    await analytics.register(
      says('after', 'after'),
      says('enrich 1', 'enrichment'),
      says('before 1', 'before'),
    );
    await analytics.register(
      says('enrich 2', 'enrichment'),
      says('before 2', 'before'),
      says('never', 'utility'),
    );
    analytics.on('track', () => order.push('listener'));
    const drained = next(analytics, 'drained').then(() => order.push('drained'));
    analytics.track(MINIMAL.track, () => order.push('callback'));
    await analytics.flush();
    await drained;
    const prepared = ['before 1', 'before 2', 'enrich 1', 'enrich 2'].flatMap((name) => [`${name}>`, name]);
    assert.deepEqual(order, [
      ...prepared,
      'after>',
      'after',
      'arrived: 1, attempts: 1',
      'callback',
      'listener',
      'drained',
    ]);
  });

  test('destinations run side by side, and what comes after waits for all of them', async (t) => {
    const { analytics } = await startPair(t);
    const order = [];
    const answered = next(analytics, 'http_response');
    const late = async () => {
      order.push('late>');
      await answered;
      await turns(20);
      order.push('late');
    };
    const early = async () => {
      order.push('early>');
      await turns(1);
      order.push('early');
    };
    const after = plugin('after', 'after', () => void order.push('after'));
    await analytics.register(
      plugin('late', 'destination', late),
      plugin('early', 'destination', early),
      after,
    );
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.deepEqual(order, ['late>', 'early>', 'early', 'late', 'after']);
  });

  test('a slow enrichment holds back only its own event', async (t) => {
    const { analytics, segment } = await startPair(t);
    const slowly = async ({ event }) => {
      if (event.messageId === 'm0') await turns(20);
    };
    await analytics.register(plugin('slow', 'enrichment', slowly));
    trackMany(analytics, 3);
    await analytics.flush();
    assert.deepEqual(messageIdsOf(segment.events), ['m1', 'm2', 'm0']);
  });

  test('flush and closeAndFlush wait for events that are with plugins', async (t) => {
    const { analytics, segment } = await startPair(t);
    await analytics.register(plugin('slow', 'before', () => turns(20)));
    trackMany(analytics, 2);
    assert.equal((await analytics.flush()).delivered, 2);
    trackMany(analytics, 2, 'more');
    const { delivered, unflushed } = await analytics.closeAndFlush();
    assert.deepEqual([delivered, unflushed, segment.eventCount], [4, [], 4]);
  });
});

describe('what plugins see', () => {
  for (const method of METHODS) {
    test(`${method} as it will be sent, less our library`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const seen = [];
      await analytics.register(plugin('see', 'before', ({ event }) => void seen.push(onTheWire(event))));
      analytics[method]({ ...MINIMAL[method], context: { ip: '::1' } });
      await analytics.flush();
      const [{ _metadata, context, ...sent }] = segment.events;
      assert.deepEqual(seen, [{ ...sent, context: { ip: '::1' } }]);
      assert.equal(context.library.name, '@companion/segment');
    });
  }

  test('only the events they have a method for', async (t) => {
    const { analytics } = await startPair(t);
    const seen = [];
    const track = ({ event }) => void seen.push(event.type);
    await analytics.register(
      plugin('some', 'before', undefined, { track, page: track, isLoaded: () => false }),
    );
    for (const method of METHODS) analytics[method](MINIMAL[method]);
    assert.equal((await analytics.flush()).delivered, 6);
    assert.deepEqual(seen.toSorted(), ['page', 'track']);
  });

  test('one context from the first plugin to the callback, with its log', async (t) => {
    const { analytics } = await startPair(t);
    const contexts = [];
    const logs = (context) => {
      contexts.push(context);
      context.log('info', `line ${contexts.length}`);
    };
    await analytics.register(
      ...['before', 'enrichment', 'destination', 'after'].map((type) => plugin(type, type, logs)),
    );
    const settling = settled(analytics, 'track', MINIMAL.track);
    await analytics.flush();
    const [, context] = await settling;
    assert.equal(contexts.length, 4);
    assert.equal(new Set([...contexts, context]).size, 1);
    assert.deepEqual(
      context.logs().map(({ message }) => message),
      ['line 1', 'line 2', 'line 3', 'line 4'],
    );
  });

  test('the failure of a delivery, after it', async (t) => {
    const { analytics } = await startPair(t, {}, { faults: [{ status: 401 }] });
    const reasons = [];
    await analytics.register(
      plugin('after', 'after', (context) => void reasons.push(context.failedDelivery().reason.code)),
    );
    const settling = settled(analytics, 'track', MINIMAL.track);
    await analytics.flush();
    assert.equal((await settling)[0].code, 'ERR_UNAUTHORIZED');
    assert.deepEqual(reasons, ['ERR_UNAUTHORIZED']);
  });

  test('in load and unload: a context and the client', async (t) => {
    const { analytics } = await startPair(t);
    const calls = [];
    const load = async (context, client) =>
      void calls.push([context instanceof Context, client === analytics]);
    await analytics.register(plugin('a', 'before', undefined, { load, unload: load }));
    await analytics.deregister('a');
    assert.deepEqual(calls, [
      [true, true],
      [true, true],
    ]);
    assert.ok(analytics instanceof Analytics);
  });
});

describe('what plugins change', () => {
  test('is sent, and the caller keeps what is theirs', async (t) => {
    const { analytics, segment } = await startPair(t);
    const change = (context) => {
      context.event.properties.added = { at: new Date(0) };
      context.updateEvent('context.page.path', '/p');
      context.updateEvent('context.library.name', 'mine');
      context.event.anonymousId = 'a1';
    };
    await analytics.register(plugin('change', 'enrichment', change));
    const params = { ...MINIMAL.track, properties: { a: 1 }, context: {} };
    analytics.track(params);
    await analytics.flush();
    const [{ properties, context, anonymousId }] = segment.events;
    assert.deepEqual(properties, { a: 1, added: { at: '1970-01-01T00:00:00.000Z' } });
    assert.deepEqual(
      [context.page, context.library.name, anonymousId],
      [{ path: '/p' }, '@companion/segment', 'a1'],
    );
    assert.deepEqual(params, { ...MINIMAL.track, properties: { a: 1 }, context: {} });
  });

  test('a Context that is returned takes the place of the first; anything else does not', async (t) => {
    const { analytics, segment } = await startPair(t);
    const replace = ({ event }) => new Context({ ...event, event: 'Replaced' });
    await analytics.register(
      plugin('replace', 'before', replace),
      plugin('odd', 'enrichment', () => ({ event: 'x' })),
    );
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.deepEqual(
      segment.events.map(({ event }) => event),
      ['Replaced'],
    );
  });

  for (const [what, change, code] of [
    ['a BigInt', (event) => (event.properties.n = 5n), 'ERR_NOT_SERIALIZABLE'],
    ['40 KB', (event) => (event.properties.s = 'x'.repeat(40_000)), 'ERR_EVENT_TOO_LARGE'],
    ['an invalid date', (event) => (event.timestamp = new Date(Number.NaN)), 'ERR_VALIDATION'],
    ['a context of text', (event) => (event.context = 'text'), 'ERR_VALIDATION'],
    ['an unknown type', (event) => (event.type = 'other'), 'ERR_VALIDATION'],
    ['a messageId that is a number', (event) => (event.messageId = 5), 'ERR_VALIDATION'],
    ['no event at all', (_event, context) => (context.event = null), 'ERR_VALIDATION'],
    ['text for an event', (_event, context) => (context.event = 'text'), 'ERR_VALIDATION'],
  ]) {
    test(`${what}: the event is refused afterwards, the others are sent`, async (t) => {
      const { analytics } = await startPair(t);
      const failures = failuresOf(analytics);
      const spoil = (context) => {
        if (context.event.messageId === 'm1') change(context.event, context);
      };
      await analytics.register(plugin('spoil', 'enrichment', spoil));
      trackMany(analytics, 3);
      const { delivered } = await analytics.flush();
      assert.equal(delivered, 2);
      assert.deepEqual(
        failures.map(({ reason }) => reason.code),
        [code],
      );
    });
  }

  test('integrations that are null are sent', async (t) => {
    const { analytics, segment } = await startPair(t);
    await analytics.register(plugin('spoil', 'enrichment', ({ event }) => void (event.integrations = null)));
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal(segment.eventCount, 1);
  });
});

describe('errors and cancelling', () => {
  for (const [what, end, expected] of [
    ['throws', boom, (error) => error.message === 'boom'],
    ['rejects', async () => boom(), (error) => error.message === 'boom'],
    ['cancels', (context) => context.cancel(), (error) => error instanceof ContextCancelation],
    [
      'cancels with a reason',
      (context) => context.cancel(new Error('mine')),
      (error) => error.message === 'mine',
    ],
  ]) {
    test(`a before plugin that ${what} ends the event there`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const seen = [];
      const sees = (type) => plugin(type, type, () => void seen.push(type));
      await analytics.register(
        plugin('end', 'before', end),
        sees('enrichment'),
        sees('destination'),
        sees('after'),
      );
      const failures = failuresOf(analytics);
      const settling = settled(analytics, 'track', MINIMAL.track);
      await analytics.flush();
      const [error, context] = await settling;
      assert.ok(expected(error));
      assert.deepEqual(
        [context.failedDelivery().reason, failures[0].reason, failures.length],
        [error, error, 1],
      );
      assert.deepEqual([segment.eventCount, seen], [0, []]);
      assert.deepEqual(counted(analytics.stats().refused), { cancelled: 1 });
      await assert.rejects(analytics.deliver.track(MINIMAL.track), expected);
    });

    for (const type of ['enrichment', 'destination', 'after']) {
      test(`a plugin of type ${type} that ${what} costs nothing`, async (t) => {
        const { analytics, segment } = await startPair(t);
        const seen = [];
        await analytics.register(
          plugin('end', type, end),
          plugin('next', type, () => void seen.push(type)),
        );
        const failures = failuresOf(analytics);
        const settling = settled(analytics, 'track', MINIMAL.track);
        await analytics.flush();
        const [error, context] = await settling;
        assert.deepEqual([error, segment.eventCount, seen, failures], [undefined, 1, [type], []]);
        assert.deepEqual(
          context.logs().map(({ extras }) => extras.plugin),
          ['end'],
        );
      });
    }
  }
});
