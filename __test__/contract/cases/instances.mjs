import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { METHODS, MINIMAL, clientOf, nextFate, onSegment, plugin } from '../stage.mjs';

const disabled = (library, t, settings) => clientOf(library, t, { disable: true, ...settings });

/** What may stand for a client. */
const STAND_INS = {
  'a Proxy of a client': (client) => new Proxy(client, {}),
  'Object.create(client)': (client) => Object.create(client),
};

export const cases = [
  {
    name: 'ready is a promise that resolves',
    async run(library, t) {
      const { ready } = disabled(library, t);
      assert.ok(ready instanceof Promise);
      assert.equal(await ready, undefined);
    },
  },
  {
    name: 'VERSION is the version of the package',
    run: (library, t) => assert.match(disabled(library, t).VERSION, /^\d+\.\d+\.\d+/),
  },
  {
    name: 'what the six methods return',
    run(library, t) {
      const analytics = disabled(library, t);
      for (const method of METHODS) assert.equal(analytics[method](MINIMAL[method]), true);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`undefined`',
      ours: '`true`, or `false` when refused',
      why: 'an event that will never be sent shows at once',
      run(library, t) {
        const analytics = disabled(library, t);
        for (const method of METHODS) assert.equal(analytics[method](MINIMAL[method]), undefined);
      },
    },
  },
  {
    name: 'what flush() and closeAndFlush() resolve with',
    async run(library, t) {
      const analytics = disabled(library, t);
      analytics.track(MINIMAL.track);
      assert.equal((await analytics.flush()).delivered, 1);
      assert.deepEqual((await analytics.closeAndFlush()).unflushed, []);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`undefined`',
      ours: 'a `DeliveryReport`',
      why: 'what was not delivered is known',
      advice: 'log `unflushed.length`',
      async run(library, t) {
        const analytics = disabled(library, t);
        assert.equal(await analytics.flush(), undefined);
        assert.equal(await analytics.closeAndFlush(), undefined);
      },
    },
  },
  {
    name: 'register() and deregister() resolve with nothing',
    async run(library, t) {
      const analytics = disabled(library, t);
      assert.equal(await analytics.register(plugin('p', 'before')), undefined);
      assert.equal(await analytics.deregister('p'), undefined);
    },
  },
  ...METHODS.map((method) => ({
    name: `${method} can be taken off the object`,
    async run(library, t) {
      const analytics = disabled(library, t);
      const { [method]: call } = analytics;
      const fate = nextFate(analytics);
      call(MINIMAL[method]);
      assert.equal((await fate).context.event.type, method);
    },
  })),
  {
    name: 'flush and closeAndFlush can be taken off the object',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 10 });
      const { flush, closeAndFlush } = analytics;
      analytics.track(MINIMAL.track);
      await flush();
      analytics.track(MINIMAL.track);
      await closeAndFlush();
      assert.equal(segment.eventCount, 2);
    },
  },
  {
    name: 'register and deregister can be taken off the object',
    async run(library, t) {
      const analytics = disabled(library, t);
      const { register, deregister } = analytics;
      const unloaded = [];
      await register(plugin('p', 'before', undefined, { unload: () => unloaded.push('p') }));
      await deregister('p');
      assert.deepEqual(unloaded, ['p']);
    },
  },
  {
    name: 'on, once, off and emit can not be taken off the object',
    run(library, t) {
      const { on, once, off, emit } = disabled(library, t);
      for (const detached of [on, once, off, emit])
        assert.throws(() => detached('track', () => {}), TypeError);
    },
  },
  ...Object.entries(STAND_INS).flatMap(([what, standIn]) => [
    {
      name: `the methods and getters of ${what}`,
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        const subject = standIn(analytics);
        for (const method of METHODS) subject[method](MINIMAL[method]);
        await subject.flush();
        assert.equal(segment.eventCount, METHODS.length);
        assert.equal(subject.VERSION, analytics.VERSION);
        await subject.ready;
        await subject.register(plugin('p', 'before'));
        await subject.deregister('p');
        await subject.closeAndFlush();
      },
    },
    {
      name: `on, once, off and emit of ${what}`,
      async run(library, t) {
        const analytics = disabled(library, t);
        const subject = standIn(analytics);
        const heard = [];
        const always = (word) => heard.push(`on ${word}`);
        assert.equal(subject.on('call_after_close', always), subject);
        subject.once('call_after_close', (word) => heard.push(`once ${word}`));
        subject.emit('call_after_close', 'a');
        analytics.emit('call_after_close', 'b');
        subject.off('call_after_close', always);
        subject.emit('call_after_close', 'c');
        assert.deepEqual(heard, ['on a', 'once a', 'on b']);
      },
    },
  ]),
  {
    name: 'a subclass whose track() returns nothing',
    async run(library, t) {
      class Silent extends library.Analytics {
        track(params, callback) {
          super.track(params, callback);
        }
      }
      const { segment, analytics } = await onSegment({ ...library, Analytics: Silent }, t);
      assert.equal(analytics.track(MINIMAL.track), undefined);
      await segment.waitForEvents(1);
    },
  },
  {
    name: 'a subclass that overrides a method',
    async run(library, t) {
      class Tagged extends library.Analytics {
        track(params, callback) {
          return super.track({ ...params, event: `My ${params.event}` }, callback);
        }
      }
      const { segment, analytics } = await onSegment({ ...library, Analytics: Tagged }, t);
      assert.ok(analytics instanceof library.Analytics);
      const { track } = analytics;
      track(MINIMAL.track);
      const [{ event }] = await segment.waitForEvents(1);
      assert.equal(event, `My ${MINIMAL.track.event}`);
    },
  },
  {
    name: 'a method that a subclass inherits, taken off the object',
    async run(library, t) {
      const { segment, analytics } = await onSegment(subclassed(library), t);
      const { track } = analytics;
      track(MINIMAL.track);
      await segment.waitForEvents(1);
    },
    differs: {
      kind: DEFECT,
      theirs: 'a `TypeError`',
      ours: 'works',
      why: 'they bind the methods of the lowest class only',
      async run(library, t) {
        const { analytics } = await onSegment(subclassed(library), t);
        const { track } = analytics;
        assert.throws(() => track(MINIMAL.track), TypeError);
      },
    },
  },
];

function subclassed(library) {
  return { ...library, Analytics: class Mine extends library.Analytics {} };
}
