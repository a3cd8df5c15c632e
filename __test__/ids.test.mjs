/** What Segment acknowledges and throws away for its ids and names is refused, and told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import {
  NotificationReceiver,
  createSegmentClient,
  sendCustomerToSegmentWithClient,
  transformCustomerToSegment,
} from '@companion/segment/commercetools';
import { SegmentContext } from '@companion/segment/nestjs';
import { RecordingSegmentService } from '@companion/segment/nestjs/testing';
import { RecordingAnalytics } from '@companion/segment/testing';

import { KEY, METHODS, MINIMAL, assertRefused, counted, settled, startPair } from './support/clients.mjs';
import { CREATED } from './support/receivers.mjs';

/** Every kind of white space there is, and what has no width. */
const BLANKS = [
  '',
  ' ',
  '   ',
  '\t',
  '\n',
  '\r\n',
  '\v\f',
  '\u0085',
  '\u00A0',
  '\u1680',
  '\u180E',
  '\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A',
  '\u2028',
  '\u2029',
  '\u202F',
  '\u205F',
  '\u3000',
  '\u200B',
  '\u200C\u200D\u2060',
  '\uFEFF',
  ' '.repeat(1_000),
];
const NIL = [undefined, null];
const QUIET = { error: () => {}, warn: () => {}, log: () => {} };
const NO_TEXTS = [
  [5, 'a number'],
  [0, 'a number'],
  [Number.NaN, 'a number'],
  [true, 'a boolean'],
  [false, 'a boolean'],
  [{}, 'an object'],
  [['a1'], 'an array'],
  [new String('a1'), 'an object'],
  [new Date(0), 'an object'],
  [() => 'a1', 'a function'],
  [Symbol('canary'), 'a symbol'],
  [5n, 'a BigInt'],
];
/** What each method can't do without, beside somebody whom the event is about. */
const NEEDED = [
  ['track', 'event'],
  ['group', 'groupId'],
  ['alias', 'userId'],
  ['alias', 'previousId'],
];
const WITH_USER = METHODS.filter((method) => method !== 'alias');
const THROWN_AWAY = 'Segment throws such an event away';

/** Refused on each way that there is to a queue: directly, through `redact`, and by the client that records. */
async function assertRefusedEverywhere(t, method, params, field, message) {
  const direct = await startPair(t);
  const redacting = await startPair(t, { redact: ['properties.none'] });
  const recording = new RecordingAnalytics();
  for (const analytics of [direct.analytics, redacting.analytics, recording]) {
    const { reason } = assertRefused(analytics, () => analytics[method](params), 'ERR_VALIDATION');
    assert.deepEqual([reason.name, reason.field, reason.message], ['ValidationError', field, message]);
    assert.deepEqual(counted(analytics.stats().refused), { invalid: 1 });
    await assert.rejects(analytics.deliver[method](params), { code: 'ERR_VALIDATION', field });
    assert.equal(analytics[method](MINIMAL[method]), true);
    await analytics.flush();
  }
  assert.deepEqual([direct.segment.eventCount, direct.segment.rejectedCount], [1, 0]);
}

describe('a blank', () => {
  for (const blank of BLANKS) {
    const shown = inspect(blank.slice(0, 12));
    test(`userId ${shown} without another id is refused by all methods`, async (t) => {
      for (const method of WITH_USER) {
        const params = { ...MINIMAL[method], userId: blank };
        await assertRefusedEverywhere(
          t,
          method,
          params,
          '.userId/anonymousId',
          `.userId/anonymousId are blank: ${THROWN_AWAY}`,
        );
      }
    });

    for (const [method, member] of NEEDED) {
      test(`${member} ${shown} of ${method} is refused`, async (t) => {
        const params = { ...MINIMAL[method], [member]: blank };
        await assertRefusedEverywhere(t, method, params, `.${member}`, `.${member} is blank: ${THROWN_AWAY}`);
      });
    }
  }

  test('anonymousId alone is refused, and two blank ids are as good as one', async (t) => {
    const { analytics } = await startPair(t);
    for (const method of WITH_USER) {
      for (const ids of [{ anonymousId: ' ' }, { userId: '', anonymousId: '\u3000' }]) {
        const params = { ...MINIMAL[method], userId: undefined, ...ids };
        const { reason } = assertRefused(analytics, () => analytics[method](params), 'ERR_VALIDATION');
        assert.equal(reason.field, '.userId/anonymousId');
      }
    }
  });

  for (const blank of BLANKS.slice(0, 3)) {
    test(`id ${inspect(blank)} beside one that says who it was stays, and the event arrives`, async (t) => {
      const { analytics, segment } = await startPair(t);
      for (const method of WITH_USER) {
        for (const ids of [
          { userId: blank, anonymousId: 'a1' },
          { userId: 'u1', anonymousId: blank },
        ]) {
          assert.equal(analytics[method]({ ...MINIMAL[method], ...ids }), true);
        }
      }
      await analytics.flush();
      assert.deepEqual([segment.eventCount, segment.rejectedCount], [WITH_USER.length * 2, 0]);
      assert.deepEqual([segment.events[0].userId, segment.events[1].anonymousId], [blank, blank]);
    });
  }

  test('name and category of page() and screen() are sent: Segment needs none', async (t) => {
    const { analytics, segment } = await startPair(t);
    for (const method of ['page', 'screen']) {
      assert.equal(analytics[method]({ userId: 'u1', name: '', category: ' ' }), true);
    }
    await analytics.flush();
    assert.deepEqual([segment.eventCount, segment.rejectedCount], [2, 0]);
  });
});

describe('an id that is not there', () => {
  for (const nil of NIL) {
    test(`groupId ${nil} beside a user is refused, and so is a group without a user`, async (t) => {
      const { analytics } = await startPair(t);
      for (const [params, field] of [
        [{ userId: 'u1', groupId: nil }, '.groupId'],
        [{ userId: nil, groupId: 'g1' }, '.userId/anonymousId'],
      ]) {
        const { reason } = assertRefused(analytics, () => analytics.group(params), 'ERR_VALIDATION');
        assert.equal(reason.field, field);
        assert.match(reason.message, /(?:is|are) nil: Segment throws such an event away$/);
      }
    });

    test(`an alias needs both ids, not ${nil}`, async (t) => {
      const { analytics } = await startPair(t);
      for (const member of ['userId', 'previousId']) {
        const params = { ...MINIMAL.alias, [member]: nil };
        const { reason } = assertRefused(analytics, () => analytics.alias(params), 'ERR_VALIDATION');
        assert.equal(reason.message, `.${member} is nil: ${THROWN_AWAY}`);
      }
    });
  }
});

describe('an id that is no text', () => {
  for (const [value, kind] of NO_TEXTS) {
    for (const [methods, member] of [
      [WITH_USER, 'anonymousId'],
      [['group'], 'groupId'],
      [['alias'], 'previousId'],
    ]) {
      test(`${member} ${inspect(value)} is refused, and the text says what it is`, async (t) => {
        for (const method of methods) {
          const params = { ...MINIMAL[method], [member]: value };
          const message = `.${member} is not a string: it is ${kind}`;
          await assertRefusedEverywhere(t, method, params, `.${member}`, message);
        }
      });
    }
  }

  test('an id of 5 is never sent as 5, whoever asks for it', async (t) => {
    const { analytics } = await startPair(t);
    const [error, context] = await settled(analytics, 'track', { ...MINIMAL.track, anonymousId: 5 });
    assert.deepEqual([error.code, context.event.event], ['ERR_VALIDATION', 'Ordered']);
  });
});

describe('what plugins and redact leave', () => {
  for (const [what, change] of [
    ['a blank userId', (event) => ({ ...event, userId: ' ' })],
    ['no userId', ({ userId: _userId, ...event }) => event],
    ['a userId that is a number', (event) => ({ ...event, userId: 5 })],
    ['a blank event', (event) => ({ ...event, event: '\u200B' })],
    ['no event', ({ event: _event, ...event }) => event],
  ]) {
    test(`${what} is refused`, async (t) => {
      const { analytics } = await startPair(t, { redact: change });
      assertRefused(analytics, () => analytics.track(MINIMAL.track), 'ERR_VALIDATION');
    });

    test(`${what} of a plugin is told`, async (t) => {
      const { analytics, segment } = await startPair(t);
      const track = (context) => {
        context.event = change(context.event);
        return context;
      };
      await analytics.register({
        name: 'p',
        type: 'before',
        isLoaded: () => true,
        load: async () => {},
        track,
      });
      await assert.rejects(analytics.deliver.track(MINIMAL.track), { code: 'ERR_VALIDATION' });
      assert.equal(segment.requestCount, 0);
    });
  }
});

describe('a customer whose e-mail address is blank', () => {
  for (const blank of BLANKS) {
    test(`${inspect(blank.slice(0, 12))} has no id`, async (t) => {
      const { segment } = await startPair(t);
      const client = createSegmentClient(KEY, { host: segment.url });
      t.after(() => client.closeAndFlush());
      const customer = { id: 'c1', email: blank };
      const missing = { code: 'ERR_VALIDATION', message: 'userId cannot be empty' };
      assert.throws(() => transformCustomerToSegment(customer), missing);
      const receiver = new NotificationReceiver({ client });
      const notification = { ...CREATED, customer };
      for (const outcome of [await receiver.receive(notification), receiver.accept(notification)])
        assert.deepEqual([outcome.outcome, outcome.reason], ['invalid', 'missing-user-id']);
      const payload = { userId: blank, traits: {} };
      const sent = await sendCustomerToSegmentWithClient(client, payload);
      assert.equal(sent.success, false);
      await client.flush();
      assert.equal(segment.requestCount, 0);
    });
  }
});

test('an ambient id that is blank is none, and the service refuses as the client does', async () => {
  const service = new RecordingSegmentService({ logger: QUIET });
  for (const blank of BLANKS) {
    const tracked = SegmentContext.run({ userId: blank, anonymousId: 'a1' }, () =>
      service.track({ event: 'e' }),
    );
    assert.deepEqual([tracked, service.events.at(-1).userId], [true, undefined]);
    assert.equal(service.track({ userId: blank, event: 'e' }), false);
    assert.equal(service.track({ userId: 'u1', event: blank }), false);
  }
  assert.deepEqual(counted(service.stats().refused), { invalid: BLANKS.length * 2 });
});

test('the fake Segment takes none of them', async (t) => {
  const { segment } = await startPair(t);
  const batch = BLANKS.flatMap((blank) => [
    { type: 'track', userId: blank, event: 'e' },
    { type: 'track', userId: 'u1', event: blank },
    { type: 'page', anonymousId: blank },
    { type: 'group', userId: 'u1', groupId: blank },
    { type: 'alias', userId: 'u1', previousId: blank },
    { type: 'alias', userId: blank, previousId: 'p1', anonymousId: 'a1' },
  ]);
  const body = JSON.stringify({ writeKey: 'k', batch });
  await fetch(`${segment.url}/v1/batch`, { method: 'POST', body });
  assert.deepEqual([segment.eventCount, segment.rejectedCount], [0, batch.length]);
});
