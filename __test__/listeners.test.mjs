/** Listeners: how they come and go, and what their mistakes may cost, which is nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { METHODS, MINIMAL, NEVER_MS, startPair, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const ALL = [
  ...METHODS,
  'error',
  'http_request',
  'http_response',
  'drained',
  'call_after_close',
  'initialize',
  'register',
  'deregister',
];

describe('the emitter', () => {
  test('on, once, off and emit give the client back', async (t) => {
    const { analytics } = await startPair(t);
    const listener = () => {};
    assert.equal(analytics.on('track', listener), analytics);
    assert.equal(analytics.once('track', listener), analytics);
    assert.equal(analytics.emit('drained'), analytics);
    assert.equal(analytics.off('track', listener), analytics);
  });

  test('once hears once, off hears no more, in the order of registration', async (t) => {
    const { analytics } = await startPair(t);
    const heard = [];
    const off = () => heard.push('off');
    const offOnce = () => heard.push('off once');
    analytics.on('drained', () => heard.push('first'));
    analytics.once('drained', () => heard.push('once'));
    analytics.on('drained', off).once('drained', offOnce);
    analytics.on('drained', () => heard.push('last'));
    analytics
      .off('drained', off)
      .off('drained', offOnce)
      .off('drained', () => {})
      .off('error', off);
    analytics.emit('drained').emit('drained');
    assert.deepEqual(heard, ['first', 'once', 'last', 'first', 'last']);
  });

  test('listeners that come and go during a dispatch change the next one', async (t) => {
    const { analytics } = await startPair(t);
    const heard = [];
    const second = () => heard.push('second');
    analytics.once('drained', () => {
      heard.push('first');
      analytics.on('drained', () => heard.push('new')).off('drained', second);
    });
    analytics.on('drained', second);
    analytics.emit('drained');
    assert.deepEqual(heard, ['first', 'second']);
    analytics.emit('drained');
    assert.deepEqual(heard, ['first', 'second', 'new']);
  });

  test('a listener that is added during a dispatch is not part of it', async (t) => {
    const { analytics } = await startPair(t);
    const heard = [];
    analytics.on('drained', () => {
      heard.push('first');
      analytics.on('drained', () => heard.push('new'));
    });
    analytics.emit('drained');
    assert.deepEqual(heard, ['first']);
  });

  test('a listener that is removed costs nothing: its events are not told', async (t) => {
    const { analytics } = await startPair(t);
    const heard = [];
    const listener = () => heard.push('x');
    for (const event of ALL) analytics.on(event, listener);
    for (const event of ALL) analytics.off(event, listener);
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.deepEqual(heard, []);
  });

  test('methods can be taken off the client', async (t) => {
    const { analytics, segment } = await startPair(t);
    const { track, identify, page, screen, group, alias, flush, closeAndFlush, deliver } = analytics;
    for (const [name, method] of Object.entries({ track, identify, page, screen, group, alias }))
      method(MINIMAL[name]);
    const receipt = deliver.track(MINIMAL.track);
    await flush();
    await closeAndFlush();
    assert.equal((await receipt).attempts, 1);
    assert.equal(segment.eventCount, 7);
  });
});

test('listeners that throw or reject harm nothing, in a process that would die of it', async (t) => {
  const segment = await startSegment(t);
  const program = async ({ Analytics: Client }, { host, events, never }) => {
    const heard = {};
    process.on('unhandledRejection', () => (heard.unhandled = true));
    const analytics = new Client({ writeKey: 'k', host, flushInterval: never });
    for (const event of events) {
      analytics.on(event, () => {
        throw new Error('thrown');
      });
      analytics.on(event, () => Promise.reject(new Error('rejected')));
      analytics.on(event, () => (heard[event] = (heard[event] ?? 0) + 1));
    }
    const unknown = [];
    analytics.on('error', ({ code, reason }) => code === 'unknown' && unknown.push(reason.message));
    await analytics.register({ name: 'p', type: 'after', isLoaded: () => true, load: async () => {} });
    await analytics.deregister('p');
    const drained = new Promise((resolve) => analytics.once('drained', resolve));
    analytics.track({ userId: 'u1', event: 'e' });
    analytics.track({ userId: 'u1', event: 'e', properties: { a: 1n } });
    await analytics.flush();
    await drained;
    await analytics.closeAndFlush();
    analytics.track({ userId: 'u1', event: 'late' });
    await new Promise((resolve) => setImmediate(resolve));
    console.log(JSON.stringify({ heard, stats: analytics.stats(), kinds: [...new Set(unknown)] }));
  };
  const argument = {
    host: segment.url,
    events: ALL.filter((event) => event !== 'initialize'),
    never: NEVER_MS,
  };
  const { code, stdout, stderr } = await runProgram(t, program, argument);
  assert.deepEqual([code, stderr], [0, '']);
  const { heard, stats, kinds } = lastLine(stdout);
  assert.equal(heard.unhandled, undefined);
  for (const event of [
    'track',
    'http_request',
    'http_response',
    'call_after_close',
    'register',
    'deregister',
  ]) {
    assert.equal(heard[event], 1, event);
  }
  assert.ok(heard.error > 1 && heard.drained >= 1);
  assert.deepEqual(kinds.toSorted(), ['rejected', 'thrown']);
  assert.deepEqual([stats.accepted, stats.delivered, stats.requests], [1, 1, 1]);
  assert.equal(segment.requestCount, 1);
  assert.equal(segment.eventCount, 1);
});
