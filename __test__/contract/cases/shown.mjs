import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';

import { DELIBERATE } from '../libraries.mjs';
import { METHODS, MINIMAL, next, onSegment, plugin, settled } from '../stage.mjs';

const AT = new Date('2020-02-03T04:05:06.789Z');

class Money {
  constructor(amount) {
    this.amount = amount;
  }
}

/** Those who are shown an event: what they see of it once it is over. */
const LOOKERS = {
  'a callback': async (analytics, params) => (await settled(analytics, 'track', params))[1].event,
  'a listener': async (analytics, params) => {
    const heard = next(analytics, 'track');
    analytics.track(params);
    return (await heard)[0].event;
  },
  'a before plugin': async (analytics, params) => {
    const seen = [];
    await analytics.register(plugin('see', 'before', ({ event }) => void seen.push(event)));
    await settled(analytics, 'track', params);
    return seen[0];
  },
  'an after plugin': async (analytics, params) => {
    const seen = [];
    await analytics.register(plugin('see', 'after', ({ event }) => void seen.push(event)));
    analytics.track(params);
    await analytics.flush();
    return seen[0];
  },
};

const looking = Object.entries(LOOKERS).flatMap(([who, look]) => [
  {
    name: `timestamp is a Date for ${who}, whether it was given or not`,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      assert.ok((await look(analytics, MINIMAL.track)).timestamp instanceof Date);
      const { analytics: another } = await onSegment(library, t);
      assert.deepEqual((await look(another, { ...MINIMAL.track, timestamp: new Date(AT) })).timestamp, AT);
    },
  },
  {
    name: `properties are the values that were passed for ${who}`,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const properties = {
        date: new Date(AT),
        list: [{ at: new Date(AT) }],
        missing: undefined,
        call: () => 5,
        map: new Map([['a', 1]]),
        set: new Set([1]),
        money: new Money(7),
      };
      const shown = (await look(analytics, { ...MINIMAL.track, properties })).properties;
      assert.deepEqual([shown.date, shown.list], [AT, [{ at: AT }]]);
      assert.ok('missing' in shown && shown.missing === undefined);
      assert.deepEqual([shown.call(), shown.map, shown.set], [5, properties.map, properties.set]);
      assert.ok(shown.money instanceof Money && shown.money.amount === 7);
    },
  },
]);

/** What a callback sees of properties, of which it gets the original too. */
async function shownOf(library, t, properties, change = () => {}) {
  const { analytics } = await onSegment(library, t);
  const told = settled(analytics, 'track', { ...MINIMAL.track, properties });
  change(properties);
  return (await told)[1].event.properties;
}

const priced = () => ({ price: { amount: 7, toJSON: () => '7 EUR' } });
const nested = () => ({ deep: { count: 1 } });
const countUp = (properties) => void (properties.deep.count += 1);

export const cases = [
  ...looking,
  {
    name: 'a value with a toJSON() of its own',
    run: async (library, t) => assert.equal((await shownOf(library, t, priced())).price, '7 EUR'),
    differs: {
      kind: DELIBERATE,
      theirs: 'the value itself',
      ours: 'what its `toJSON()` says; Dates and Buffers stay',
      why: 'it says itself how it is to be read, and a copy of it may not be able to',
      advice: 'read what is sent',
      run: async (library, t) => assert.equal((await shownOf(library, t, priced())).price.amount, 7),
    },
  },
  {
    name: 'properties, changed after the call',
    run: async (library, t) => assert.equal((await shownOf(library, t, nested(), countUp)).deep.count, 1),
    differs: {
      kind: DELIBERATE,
      theirs: 'the change is shown',
      ours: 'a copy: what was passed',
      why: 'what is shown is what was sent',
      advice: 'compare by `messageId`, not by object',
      run: async (library, t) => assert.equal((await shownOf(library, t, nested(), countUp)).deep.count, 2),
    },
  },
  {
    name: 'a call after the end has messageId, timestamp, integrations and context in call_after_close',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      await analytics.closeAndFlush();
      for (const method of METHODS) {
        const late = next(analytics, 'call_after_close');
        analytics[method]({ ...MINIMAL[method], context: { ip: '::1' } });
        const [{ messageId, timestamp, integrations, context }] = await late;
        assert.equal(typeof messageId, 'string');
        assert.ok(timestamp instanceof Date);
        assert.deepEqual([integrations, context], [{}, { ip: '::1' }]);
      }
    },
  },
  {
    name: 'AsyncLocalStorage of the call in its callback, its listener and its plugins',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const storage = new AsyncLocalStorage();
      const found = [];
      const look = ({ event }) => void found.push([event.messageId, storage.getStore()]);
      await analytics.register(plugin('look', 'before', look));
      analytics.on('track', look);
      const calls = ['first', 'second'].map((store) =>
        storage.run(store, () => {
          const params = { ...MINIMAL.track, messageId: store };
          return new Promise((resolve) => {
            analytics.track(params, (_error, context) => resolve(look(context)));
          });
        }),
      );
      await Promise.all(calls);
      await analytics.flush();
      assert.equal(found.length, 6);
      for (const [messageId, store] of found) assert.equal(store, messageId);
    },
  },
];
