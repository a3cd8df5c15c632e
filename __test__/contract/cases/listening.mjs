import assert from 'node:assert/strict';
import { once } from 'node:events';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { MINIMAL, boom, clientOf, next, nextFate, onSegment, replace } from '../stage.mjs';

const disabled = (library, t) => clientOf(library, t, { disable: true });
const nothing = () => {};

/** How often a batch is sent, and what becomes of it, when a listener of http_response throws. */
async function responseListenerThrows(library, t) {
  const { segment, analytics } = await onSegment(library, t);
  analytics.on('http_response', boom);
  // The first `error` may be about the listener.
  const fate = new Promise((resolve) => {
    analytics.on('error', ({ code, reason }) => code === 'delivery_failure' && resolve(reason));
    analytics.on('track', () => resolve(undefined));
  });
  analytics.track(MINIMAL.track);
  return { reason: await fate, requests: segment.requestCount };
}

/** What console.warn says when eleven listeners are added. */
function warnings(library, t) {
  const lines = [];
  replace(t, console, 'warn', (line) => lines.push(line));
  const analytics = disabled(library, t);
  for (let count = 0; count < 12; count += 1) analytics.on('track', nothing);
  return lines;
}

export const cases = [
  {
    name: 'on, once, off and emit give the client back',
    run(library, t) {
      const analytics = disabled(library, t);
      assert.equal(analytics.on('track', nothing), analytics);
      assert.equal(analytics.once('track', nothing), analytics);
      assert.equal(analytics.off('track', nothing), analytics);
      assert.equal(analytics.emit('drained'), analytics);
    },
  },
  {
    name: 'emit hands its arguments on, in the order of registration',
    run(library, t) {
      const analytics = disabled(library, t);
      const heard = [];
      analytics.on('mine', (...args) => heard.push(['first', ...args]));
      analytics.on('mine', (...args) => heard.push(['second', ...args]));
      analytics.emit('mine', 1, 2);
      assert.deepEqual(heard, [
        ['first', 1, 2],
        ['second', 1, 2],
      ]);
    },
  },
  {
    name: 'once hears once',
    run(library, t) {
      const analytics = disabled(library, t);
      let heard = 0;
      analytics.once('mine', () => (heard += 1));
      analytics.emit('mine').emit('mine');
      assert.equal(heard, 1);
    },
  },
  {
    name: 'off ends a listener, however often it was added',
    run(library, t) {
      const analytics = disabled(library, t);
      let heard = 0;
      const listener = () => (heard += 1);
      analytics.on('mine', listener).on('mine', listener).emit('mine');
      analytics.off('mine', listener).emit('mine');
      assert.equal(heard, 2);
    },
  },
  {
    name: 'off with a listener that is not known does nothing',
    run(library, t) {
      const analytics = disabled(library, t);
      assert.equal(analytics.off('track', nothing), analytics);
    },
  },
  {
    name: 'a listener may be taken away while it runs',
    run(library, t) {
      const analytics = disabled(library, t);
      const heard = [];
      const first = () => {
        heard.push('first');
        analytics.off('mine', first);
      };
      analytics.on('mine', first).on('mine', () => heard.push('second'));
      analytics.emit('mine').emit('mine');
      assert.deepEqual(heard, ['first', 'second', 'second']);
    },
  },
  {
    name: 'this of a listener is the client',
    run(library, t) {
      const analytics = disabled(library, t);
      const seen = [];
      function listener() {
        seen.push(this);
      }
      analytics.on('mine', listener).once('mine', listener).emit('mine');
      assert.ok(seen.length === 2 && seen.every((client) => client === analytics));
    },
  },
  {
    name: 'off of a listener that was added by once',
    run(library, t) {
      const analytics = disabled(library, t);
      let heard = 0;
      const listener = () => (heard += 1);
      analytics.once('mine', listener).off('mine', listener).emit('mine');
      assert.equal(heard, 0);
    },
    differs: {
      kind: DEFECT,
      theirs: 'is not found',
      ours: 'ends it',
      why: 'they look for the function around it',
      run(library, t) {
        const analytics = disabled(library, t);
        let heard = 0;
        const listener = () => (heard += 1);
        analytics.once('mine', listener).off('mine', listener).emit('mine');
        assert.equal(heard, 1);
      },
    },
  },
  {
    name: 'maxListeners is 10 and may be changed',
    run(library, t) {
      const analytics = disabled(library, t);
      assert.equal(analytics.maxListeners, 10);
      analytics.maxListeners = 0;
      for (let count = 0; count < 20; count += 1) analytics.on('track', nothing);
    },
  },
  {
    name: 'more than maxListeners listeners of one event',
    alone: true,
    async run(library, t) {
      const warned = once(process, 'warning');
      assert.deepEqual(warnings(library, t), []);
      const [{ name, message }] = await warned;
      assert.equal(name, 'MaxListenersExceededWarning');
      assert.match(message, /track has exceeded 10 listeners/);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`console.warn`, once',
      ours: 'a warning of Node (`process.on("warning")`), once',
      why: 'as for the emitters of Node',
      run(library, t) {
        assert.deepEqual(warnings(library, t), [
          'Event Emitter: Possible memory leak detected; track has exceeded 10 listeners.',
        ]);
      },
    },
  },
  {
    name: "a listener of track that throws is told as error { code: 'unknown', reason }",
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      analytics.on('track', boom);
      const failed = next(analytics, 'error');
      analytics.track(MINIMAL.track);
      const [{ code, reason }] = await failed;
      assert.deepEqual([code, reason.message], ['unknown', 'boom']);
    },
  },
  {
    name: 'a listener of http_response that throws after a 200',
    async run(library, t) {
      assert.deepEqual(await responseListenerThrows(library, t), { reason: undefined, requests: 1 });
    },
    differs: {
      kind: DEFECT,
      theirs: 'the batch is sent again and again, and then reported as failed',
      ours: 'harms nothing',
      why: 'they take it for a failure of the network',
      async run(library, t) {
        const { reason, requests } = await responseListenerThrows(library, t);
        assert.deepEqual([reason.message, requests], ['boom', 2]);
      },
    },
  },
  {
    name: 'a listener of call_after_close that throws',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      await analytics.closeAndFlush();
      analytics.on('call_after_close', boom);
      assert.equal(analytics.track(MINIMAL.track), false);
    },
    differs: {
      kind: DEFECT,
      theirs: '`track()` throws',
      ours: 'harms nothing',
      why: 'the caller gets the error of a listener',
      async run(library, t) {
        const { analytics } = await onSegment(library, t);
        await analytics.closeAndFlush();
        analytics.on('call_after_close', boom);
        assert.throws(() => analytics.track(MINIMAL.track), { message: 'boom' });
      },
    },
  },
  {
    name: 'a listener after one that throws',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      analytics.on('track', boom);
      const second = next(analytics, 'track');
      const fate = nextFate(analytics);
      analytics.track(MINIMAL.track);
      await Promise.all([second, fate]);
    },
    differs: {
      kind: DEFECT,
      theirs: 'is not called',
      ours: 'is called',
      why: 'one listener keeps the next from its event',
      async run(library, t) {
        const { analytics } = await onSegment(library, t);
        let heard = 0;
        analytics.on('track', boom).on('track', () => (heard += 1));
        const failed = next(analytics, 'error');
        analytics.track(MINIMAL.track);
        await failed;
        assert.equal(heard, 0);
      },
    },
  },
];
