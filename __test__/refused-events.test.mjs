/** What is told of a call that was refused: the whole event, so that it can be kept and played back, and never in the call. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { RecordingAnalytics } from '@companion/segment/testing';

import { METHODS, MINIMAL, next, settled, startClient, startPair, startSegment } from './support/clients.mjs';

const AT = new Date('2020-02-03T04:05:06.789Z');
const whole = (type) => ({
  ...MINIMAL[type],
  messageId: 'mine',
  timestamp: new Date(AT),
  integrations: { Mail: false },
  context: { ip: '::1' },
});

/** How a call comes to be refused although it does not throw. */
const REFUSALS = {
  'the client is closed': {
    refuse: (analytics) => void analytics.closeAndFlush({ timeout: 0 }),
    hear: (analytics) => next(analytics, 'call_after_close'),
    eventOf: ([event]) => event,
  },
  'the context is no object': { more: { context: 'text' } },
  'the messageId is too long': { more: { messageId: 'm'.repeat(101) } },
  'the event is too large': { more: { context: { text: 'x'.repeat(40_000) } } },
  'the event can not be written': { more: { context: { total: 5n, ip: '::1' } } },
};

const heardOf = ({ hear, eventOf }, analytics) => {
  if (hear !== undefined) return hear(analytics).then(eventOf);
  return next(analytics, 'error').then(([{ ctx }]) => ctx.event);
};

for (const [why, refusal] of Object.entries(REFUSALS)) {
  describe(`when ${why}`, () => {
    for (const type of METHODS) {
      test(`the event of ${type}() is whole`, async (t) => {
        const { analytics } = await startPair(t);
        refusal.refuse?.(analytics);
        const heard = heardOf(refusal, analytics);
        assert.equal(analytics[type]({ ...whole(type), ...refusal.more }), false);
        const { messageId, timestamp, integrations, context, ...rest } = await heard;
        const expected = { ...whole(type), ...refusal.more };
        assert.deepEqual([messageId, timestamp], [expected.messageId, AT]);
        assert.deepEqual([integrations, context], [expected.integrations, expected.context]);
        for (const [name, value] of Object.entries(MINIMAL[type])) assert.equal(rest[name], value);
        assert.equal(rest.type, type);
      });

      test(`the event of ${type}() has what an accepted one would have been given`, async (t) => {
        const { analytics } = await startPair(t);
        refusal.refuse?.(analytics);
        const before = Date.now();
        const heard = [heardOf(refusal, analytics)];
        analytics[type]({ ...MINIMAL[type], ...refusal.more });
        heard.push(heardOf(refusal, analytics));
        analytics[type]({ ...MINIMAL[type], ...refusal.more });
        const events = await Promise.all(heard);
        for (const { timestamp, integrations, context, messageId } of events) {
          assert.ok(timestamp instanceof Date && timestamp >= before && timestamp <= Date.now());
          assert.deepEqual(integrations, {});
          assert.deepEqual(context, refusal.more?.context ?? {});
          assert.ok(messageId.length >= 36);
        }
        if (refusal.more?.messageId === undefined) assert.notEqual(events[0].messageId, events[1].messageId);
      });
    }

    test('the callback comes after the call, and before anything that waits', async (t) => {
      const { analytics } = await startPair(t);
      refusal.refuse?.(analytics);
      const order = [];
      const told = new Promise((resolve) => {
        analytics.track({ ...MINIMAL.track, ...refusal.more }, (error, context) => {
          order.push('told');
          resolve({ error, context });
        });
      });
      order.push('returned');
      const { error, context } = await told;
      assert.deepEqual(order, ['returned', 'told']);
      assert.equal(context.failedDelivery().reason, error);
      assert.deepEqual([context.event.type, context.event.event], ['track', MINIMAL.track.event]);
      assert.ok(context.event.timestamp instanceof Date);
    });

    test('a callback that throws harms nobody', async (t) => {
      const { analytics } = await startPair(t);
      refusal.refuse?.(analytics);
      analytics.track({ ...MINIMAL.track, ...refusal.more }, () => {
        throw new Error('mine');
      });
      const told = settled(analytics, 'track', { ...MINIMAL.track, ...refusal.more });
      assert.ok((await told)[0] instanceof Error);
    });
  });
}

test('the event of a call after the end can be played back', async (t) => {
  const segment = await startSegment(t);
  const [closed, open] = [startClient(t, segment), startClient(t, segment)];
  await closed.closeAndFlush();
  const missed = next(closed, 'call_after_close');
  closed.track(whole('track'));
  const [{ type, ...params }] = await missed;
  open[type](params);
  await open.flush();
  const [{ messageId, timestamp, event, integrations }] = segment.events;
  assert.deepEqual(
    [messageId, timestamp, event, integrations],
    ['mine', AT.toISOString(), MINIMAL.track.event, { Mail: false }],
  );
});

for (const [what, redact] of [
  ['paths', ['properties.ssn']],
  ['a function', (event) => void delete event.properties.ssn],
]) {
  test(`what redact takes out as ${what} is in no event of a refused call`, async (t) => {
    const { analytics } = await startPair(t, { redact });
    const failures = [];
    analytics.on('error', ({ ctx }) => failures.push(ctx.event));
    analytics.on('call_after_close', (event) => failures.push(event));
    const properties = { ssn: 'canary-7f3a', kept: 1 };
    analytics.track({ ...MINIMAL.track, properties, messageId: 'm'.repeat(101) });
    analytics.track({ ...MINIMAL.track, properties: { ...properties, total: 5n } });
    await analytics.closeAndFlush();
    analytics.track({ ...MINIMAL.track, properties });
    assert.equal(failures.length, 3);
    const text = JSON.stringify(failures, (_, value) => (typeof value === 'bigint' ? '5' : value));
    assert.ok(!text.includes('canary'), text);
    assert.equal(failures[2].properties.kept, 1);
  });
}

describe('elsewhere', () => {
  test('a recording client refuses in the same way', async () => {
    const analytics = new RecordingAnalytics();
    await analytics.closeAndFlush();
    const order = [];
    const missed = next(analytics, 'call_after_close');
    const told = new Promise((resolve) => {
      analytics.track(MINIMAL.track, (error) => {
        order.push('told');
        resolve(error);
      });
    });
    order.push('returned');
    assert.equal((await told).code, 'ERR_CLOSED');
    assert.deepEqual(order, ['returned', 'told']);
    const [event] = await missed;
    assert.ok(event.timestamp instanceof Date && event.messageId.length >= 36);
  });
});
