import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { MINIMAL, boom, fateOf, onSegment, replace, thrownBy } from '../stage.mjs';

const contextOf = (library, event = {}) => new library.Context({ ...MINIMAL.track, type: 'track', ...event });

export const cases = [
  {
    name: 'event is the event',
    run: (library) => assert.equal(contextOf(library).event.event, MINIMAL.track.event),
  },
  {
    name: 'id is text of its own, or the one given',
    run(library) {
      const [first, second] = [contextOf(library), contextOf(library)];
      assert.equal(typeof first.id, 'string');
      assert.notEqual(first.id, second.id);
      assert.equal(new library.Context({ type: 'track' }, 'mine').id, 'mine');
    },
  },
  {
    name: 'isSame compares ids',
    run(library) {
      const first = new library.Context({ type: 'track' }, 'mine');
      assert.ok(first.isSame(new library.Context({ type: 'page' }, 'mine')));
      assert.ok(!first.isSame(contextOf(library)));
    },
  },
  {
    name: 'Context.system() is a context of no event in particular',
    run(library) {
      const context = library.Context.system();
      assert.ok(context instanceof library.Context);
      assert.deepEqual(context.event, { type: 'track', event: 'system' });
    },
  },
  {
    name: 'log(level, message, extras) and logs()',
    run(library) {
      const context = contextOf(library);
      context.log('info', 'mine', { a: 1 });
      const [{ level, message, extras, time }] = context.logs();
      assert.deepEqual([level, message, extras], ['info', 'mine', { a: 1 }]);
      assert.ok(time instanceof Date);
    },
  },
  {
    name: 'logger has log(), logs and flush()',
    run(library) {
      const context = contextOf(library);
      context.logger.log('warn', 'mine');
      assert.equal(context.logs().length, 1);
      assert.equal(context.logger.logs, context.logs());
      assert.equal(typeof context.logger.flush, 'function');
    },
  },
  {
    name: 'stats takes increment(), gauge(), flush() and serialize(), and keeps nothing',
    run(library) {
      const { stats } = contextOf(library);
      stats.increment('mine', 2, ['tag']);
      stats.gauge('mine', 5);
      stats.flush();
      assert.deepEqual([stats.serialize(), stats.metrics.length], [[], 0]);
    },
  },
  {
    name: 'attempts is 0 before delivery',
    run: (library) => assert.equal(contextOf(library).attempts, 0),
  },
  {
    name: 'attempts is 1 after delivery at the first try',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      assert.equal((await fateOf(analytics)).context.attempts, 1);
    },
  },
  {
    name: 'attempts after delivery at the second try',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, {}, { faults: [{ status: 500 }] });
      assert.equal((await fateOf(analytics)).context.attempts, 2);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '1, whatever happened',
      ours: '2: the requests that carried the event',
      why: 'it says what its name says',
      async run(library, t) {
        const { analytics } = await onSegment(library, t, {}, { faults: [{ status: 500 }] });
        assert.equal((await fateOf(analytics)).context.attempts, 1);
      },
    },
  },
  {
    name: 'failedDelivery() is undefined for an event that was delivered',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      assert.equal((await fateOf(analytics)).context.failedDelivery(), undefined);
    },
  },
  {
    name: 'setFailedDelivery({ reason }) and failedDelivery()',
    run(library) {
      const context = contextOf(library);
      const reason = new Error('mine');
      context.setFailedDelivery({ reason });
      assert.equal(context.failedDelivery().reason, reason);
    },
  },
  {
    name: 'updateEvent(path, value) makes what is missing on the way, and returns the event',
    run(library) {
      const context = contextOf(library, { properties: { a: 1 } });
      const event = context.updateEvent('properties.page.title', 'Home');
      assert.equal(event, context.event);
      assert.deepEqual(event.properties, { a: 1, page: { title: 'Home' } });
    },
  },
  {
    name: 'updateEvent() leaves an integration that is switched off',
    run(library) {
      const context = contextOf(library, { integrations: { Mail: false } });
      context.updateEvent('integrations.Mail', true);
      context.updateEvent('integrations.Mail.list', 5);
      context.updateEvent('integrations.Other', true);
      assert.deepEqual(context.event.integrations, { Mail: false, Other: true });
    },
  },
  {
    name: 'updateEvent() does not reach prototypes',
    run(library) {
      const context = contextOf(library);
      context.updateEvent('__proto__.polluted', true);
      context.updateEvent('constructor.prototype.polluted', true);
      assert.equal({}.polluted, undefined);
    },
  },
  {
    name: 'cancel() throws { retry: true, type: plugin Error, reason: Context Cancel }',
    run(library) {
      let thrown;
      try {
        contextOf(library).cancel();
      } catch (error) {
        thrown = { ...error };
      }
      assert.deepEqual(thrown, { retry: true, type: 'plugin Error', reason: 'Context Cancel' });
    },
  },
  {
    name: 'cancel(error) throws the error',
    run(library) {
      const context = contextOf(library);
      assert.equal(thrownBy(() => context.cancel(new Error('mine'))).message, 'mine');
    },
  },
  {
    name: 'toJSON() is { id, event, logs, metrics }',
    run(library) {
      const context = contextOf(library);
      context.log('info', 'mine');
      const { id, event, logs, metrics } = context.toJSON();
      assert.deepEqual([id, event, logs, metrics], [context.id, context.event, context.logs(), []]);
      assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(context))), ['id', 'event', 'logs', 'metrics']);
    },
  },
  {
    name: 'lines of the library itself in logs()',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      assert.deepEqual((await fateOf(analytics)).context.logs(), []);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`Dispatching`, `plugin`, `Delivered` with the whole event',
      ours: 'none: only what plugins wrote and what failed in them',
      why: 'they cost, and hold customer data',
      advice: 'listen to `http_response`, or set `logger`',
      async run(library, t) {
        const { analytics } = await onSegment(library, t);
        const messages = (await fateOf(analytics)).context.logs().map(({ message }) => message);
        assert.deepEqual([messages[0], messages.at(-1)], ['Dispatching', 'Delivered']);
      },
    },
  },
  {
    name: 'flush() forgets the lines',
    alone: true,
    run(library, t) {
      replace(t, console, 'log', () => {});
      const context = contextOf(library);
      context.log('info', 'mine');
      context.flush();
      assert.deepEqual(context.logs(), []);
    },
  },
  {
    name: 'flush() and the console',
    alone: true,
    run(library, t) {
      replace(t, console, 'log', boom);
      const context = contextOf(library);
      context.log('info', 'mine');
      context.flush();
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'prints the lines',
      ours: 'prints nothing',
      why: "the console is the application's, and the lines may hold customer data",
      advice: 'print `ctx.logs()`',
      run(library, t) {
        const lines = [];
        replace(t, console, 'log', (line) => lines.push(line));
        const context = contextOf(library);
        context.log('info', 'mine');
        context.flush();
        assert.deepEqual(lines, ['mine']);
      },
    },
  },
];
