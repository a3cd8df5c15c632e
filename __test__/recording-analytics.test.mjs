import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics, Context } from '@companion/segment';
import { RecordingAnalytics } from '@companion/segment/testing';

import {
  METHODS,
  MINIMAL,
  assertConserved,
  assertRefused,
  counted,
  failuresOf,
  messageIdsOf,
  next,
  settled,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { runProgram } from './support/programs.mjs';

const LISTS = {
  identify: 'identifies',
  track: 'tracks',
  page: 'pages',
  screen: 'screens',
  group: 'groups',
  alias: 'aliases',
};

describe('recording', () => {
  test('it is an Analytics, without a write key or a network', () => {
    const analytics = new RecordingAnalytics();
    assert.ok(analytics instanceof Analytics);
    assert.deepEqual(analytics.events, []);
    assert.equal(analytics.stats().accepted, 0);
  });

  for (const method of METHODS) {
    test(`${method} is there at once, as it would be sent, and in ${LISTS[method]}()`, async (t) => {
      const { analytics: real, segment } = await startPair(t);
      const double = new RecordingAnalytics();
      const params = {
        ...MINIMAL[method],
        messageId: 'm1',
        timestamp: new Date(0),
        context: { ip: '::1', library: 1 },
        category: 'c',
      };
      assert.equal(double[method](params), true);
      real[method](params);
      await real.flush();
      assert.deepEqual(double.events, segment.events);
      for (const [name, list] of Object.entries(LISTS)) {
        assert.deepEqual(double[list](), name === method ? segment.events : []);
      }
    });
  }

  test('ids and times are added, and events are snapshots in the order of the calls', () => {
    const analytics = new RecordingAnalytics();
    const properties = { list: [1] };
    analytics.track({ ...MINIMAL.track, properties });
    properties.list.push(2);
    analytics.identify(MINIMAL.identify);
    const [first, second] = analytics.events;
    assert.deepEqual([first.properties, first.type, second.type], [{ list: [1] }, 'track', 'identify']);
    assert.match(first.messageId, /^[\da-f-]{36}$/);
    assert.notEqual(first.messageId, second.messageId);
    assert.ok(Math.abs(Date.parse(first.timestamp) - Date.now()) < 60_000);
  });

  test('clear() forgets the events; the counters stay', async () => {
    const analytics = new RecordingAnalytics();
    trackMany(analytics, 3);
    analytics.clear();
    assert.deepEqual([analytics.events, analytics.tracks()], [[], []]);
    trackMany(analytics, 1, 'more');
    assert.deepEqual(messageIdsOf(analytics.events), ['more0']);
    assert.equal(analytics.stats().accepted, 4);
    assert.equal(analytics.stats().delivered, 4);
  });

  test('two of them do not share anything', () => {
    const [one, two] = [new RecordingAnalytics(), new RecordingAnalytics()];
    trackMany(one, 2);
    assert.deepEqual([one.events.length, two.events.length, two.stats().accepted], [2, 0, 0]);
  });
});

describe('the API of the client', () => {
  const deep = { a: null };
  for (let level = 0; level < 101; level += 1) deep.a = { a: deep.a };
  const wide = (length) => ({
    ...MINIMAL.track,
    messageId: 'm',
    timestamp: new Date(0),
    properties: { filler: 'x'.repeat(length) },
  });
  for (const [what, params] of [
    ['nothing', undefined],
    ['no identity', { event: 'e' }],
    ['an event that is no text', { userId: 'u1', event: 5 }],
    ['properties that are an array', { ...MINIMAL.track, properties: [] }],
    ['a messageId of 101 characters', { ...MINIMAL.track, messageId: 'x'.repeat(101) }],
    ['an invalid date', { ...MINIMAL.track, timestamp: new Date(Number.NaN) }],
    ['a BigInt', { ...MINIMAL.track, properties: { n: 5n } }],
    ['101 levels', { ...MINIMAL.track, properties: deep }],
    ['40 KB', wide(40_000)],
    ['a context of text', { ...MINIMAL.track, context: 'text' }],
    ['a String object as context', { ...MINIMAL.track, context: new String('text') }],
    ['the least', MINIMAL.track],
    ['a Map as context', { ...MINIMAL.track, context: new Map() }],
    ['odd values', { ...MINIMAL.track, properties: { n: Number.NaN, u: undefined, d: new Date(0), f() {} } }],
  ]) {
    test(`${what} has the same outcome and the same counters`, async (t) => {
      const outcome = (analytics) => {
        const failures = failuresOf(analytics);
        try {
          const accepted = analytics.track(params);
          return {
            accepted,
            failures: failures.map(({ code, reason }) => [code, reason.code, reason.field, reason.message]),
          };
        } catch (error) {
          return { thrown: [error.name, error.code, error.field, error.message] };
        }
      };
      const { analytics: real } = await startPair(t);
      const double = new RecordingAnalytics();
      assert.deepEqual(outcome(double), outcome(real));
      await Promise.all([real.flush(), double.flush()]);
      const counters = ({ accepted, delivered, dropped, refused, pending, spooled }) => ({
        accepted,
        delivered,
        dropped,
        refused,
        pending,
        spooled,
      });
      assert.deepEqual(counters(double.stats()), counters(real.stats()));
      assert.deepEqual(Object.keys(double.stats()).toSorted(), Object.keys(real.stats()).toSorted());
    });
  }

  test('the largest event is the same for both', async (t) => {
    const { analytics: real } = await startPair(t);
    const double = new RecordingAnalytics();
    let [fits, fails] = [0, 40_000];
    while (fails - fits > 1) {
      const middle = Math.floor((fits + fails) / 2);
      if (real.track(wide(middle))) fits = middle;
      else fails = middle;
    }
    assert.equal(double.track(wide(fits)), true);
    assert.equal(double.track(wide(fails)), false);
  });

  test('callbacks, type events, drained and promises are told after the call', async () => {
    const analytics = new RecordingAnalytics();
    const order = [];
    analytics.on('track', (context) => order.push(['track', context instanceof Context]));
    const drained = next(analytics, 'drained');
    analytics.track({ ...MINIMAL.track, messageId: 'm1' }, (error, { event }) =>
      order.push(['callback', error, event.messageId]),
    );
    order.push(['call']);
    await drained;
    assert.deepEqual(order, [['call'], ['callback', undefined, 'm1'], ['track', true]]);
    assert.deepEqual(await analytics.deliver.track({ ...MINIMAL.track, messageId: 'm2' }), {
      messageId: 'm2',
      attempts: 1,
    });
  });

  test('plugins and redact work on what is recorded', async () => {
    const analytics = new RecordingAnalytics({ redact: ['properties.ssn'] });
    const seen = [];
    const track = (context) => {
      seen.push(context.event.properties.ssn);
      context.event.properties.added = true;
    };
    await analytics.register({
      name: 'p',
      type: 'enrichment',
      isLoaded: () => true,
      load: async () => {},
      track,
    });
    analytics.track({ ...MINIMAL.track, properties: { ssn: 'x' } });
    await analytics.flush();
    assert.deepEqual(seen, ['[redacted]']);
    assert.deepEqual(analytics.events[0].properties, { ssn: '[redacted]', added: true });
  });

  test('flush and closeAndFlush give a report, and a closed double takes nothing', async () => {
    const analytics = new RecordingAnalytics();
    trackMany(analytics, 2);
    const report = await analytics.flush();
    assert.deepEqual([report.accepted, report.delivered, report.pending, report.unflushed], [2, 2, 0, []]);
    assertConserved(await analytics.closeAndFlush());
    const [error] = await settled(analytics, 'track', MINIMAL.track);
    assert.equal(error.code, 'ERR_CLOSED');
    assert.equal(analytics.track(MINIMAL.track), false);
    assert.equal(analytics.events.length, 2);
    assert.deepEqual(counted(analytics.stats().refused), { closed: 2 });
  });

  test('options are checked as ever', () => {
    assert.throws(() => new RecordingAnalytics({ flushAt: -1 }), {
      code: 'ERR_OPTION_INVALID',
      field: 'flushAt',
    });
    assert.throws(() => new RecordingAnalytics({ writeKey: '' }), { code: 'ERR_WRITE_KEY_MISSING' });
  });
});

describe('failNext', () => {
  test('fails the next event only, with this text and code', async () => {
    const analytics = new RecordingAnalytics();
    const failures = failuresOf(analytics);
    analytics.failNext(new Error('down for maintenance'));
    const settling = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'm1' });
    trackMany(analytics, 1, 'next');
    const [error, context] = await settling;
    assert.deepEqual(
      [error.code, error.message, context.event.messageId],
      ['ERR_REJECTED', 'down for maintenance', 'm1'],
    );
    assert.deepEqual(
      failures.map(({ reason }) => reason),
      [error],
    );
    assert.deepEqual(messageIdsOf(analytics.events), ['next0']);
    const { accepted, delivered, dropped } = analytics.stats();
    assert.deepEqual([accepted, delivered, counted(dropped)], [2, 1, { rejected: 1 }]);
    assertConserved(analytics.stats());
  });

  test('again and again, in order, and with a code of its own', async () => {
    const analytics = new RecordingAnalytics();
    for (const code of ['ERR_TIMEOUT', 'ERR_SERVER'])
      analytics.failNext(Object.assign(new Error(code), { code }));
    await assert.rejects(analytics.deliver.track(MINIMAL.track), { code: 'ERR_TIMEOUT' });
    await assert.rejects(analytics.deliver.identify(MINIMAL.identify), { code: 'ERR_SERVER' });
    assert.equal((await analytics.deliver.track(MINIMAL.track)).attempts, 1);
  });

  test('is not used up by a call that is refused', async () => {
    const analytics = new RecordingAnalytics();
    analytics.failNext(new Error('mine'));
    assertRefused(
      analytics,
      () => analytics.track({ ...MINIMAL.track, properties: { n: 5n } }),
      'ERR_NOT_SERIALIZABLE',
    );
    assertRefused(
      analytics,
      () => analytics.track({ ...MINIMAL.track, event: 'x'.repeat(40_000) }),
      'ERR_EVENT_TOO_LARGE',
    );
    await assert.rejects(analytics.deliver.track(MINIMAL.track), { message: 'mine' });
  });
});

describe('waitFor', () => {
  test('resolves with the events once there are enough', async () => {
    const analytics = new RecordingAnalytics();
    assert.deepEqual(await analytics.waitFor(0), []);
    const waiting = Promise.all([analytics.waitFor(2), analytics.waitFor(3)]);
    trackMany(analytics, 1);
    setImmediate(() => trackMany(analytics, 2, 'later'));
    const [two, three] = await waiting;
    assert.deepEqual(messageIdsOf(two), ['m0', 'later0', 'later1']);
    assert.equal(three, two);
    assert.equal((await analytics.waitFor(1)).length, 3);
  });

  test('rejects when they do not come, and says how many did', async () => {
    const analytics = new RecordingAnalytics();
    trackMany(analytics, 1);
    await assert.rejects(analytics.waitFor(2, { timeoutMs: 1 }), { message: '1 of 2 events after 1 ms.' });
  });
});

test('a process with a double ends by itself, and sends nothing', async (t) => {
  const segment = await startSegment(t);
  const program = `async (exported, { host }) => {
    const { RecordingAnalytics } = await import('@companion/segment/testing');
    const analytics = new RecordingAnalytics({ host });
    analytics.on('track', () => {});
    analytics.track({ userId: 'u1', event: 'e' });
  }`;
  const { code, stderr } = await runProgram(t, program, { host: segment.url });
  assert.deepEqual([code, stderr, segment.connectionCount], [0, '', 0]);
});
