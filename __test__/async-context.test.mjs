/** Callbacks and listeners know whose call they are about: AsyncLocalStorage holds what it held at the call. */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, test } from 'node:test';

import { RecordingAnalytics } from '@companion/segment/testing';

import { METHODS, MINIMAL, startPair, startSegment } from './support/clients.mjs';
import { makeSpool } from './support/spools.mjs';

const storage = new AsyncLocalStorage();

const cancelling = {
  name: 'cancel',
  type: 'before',
  version: '1',
  isLoaded: () => true,
  load: async () => {},
  track: (context) => context.cancel(new Error('mine')),
};
const passing = { ...cancelling, name: 'pass', track: (context) => context };
const late = { ...passing, name: 'late', type: 'after', track: async (context) => context };

/** What becomes of an event; each makes a client for it and does what is necessary to bring it about. */
const ENDS = {
  'is delivered': {},
  'is delivered through httpClient': {
    settings: { httpClient: async () => ({ status: 200, headers: {}, text: async () => '' }) },
  },
  'is given up': { options: { faults: [{ status: 400 }, { status: 400 }] }, fails: true },
  'is too large': { params: { properties: { text: 'x'.repeat(40_000) } }, fails: true },
  'is no event': { params: { context: 'text' }, fails: true },
  'comes after the end': { before: (analytics) => void analytics.closeAndFlush(), fails: true },
  'is not sent because the client is closed in a hurry': {
    after: (analytics) => analytics.closeAndFlush({ timeout: 0 }),
    fails: true,
  },
  'goes through plugins': { before: (analytics) => analytics.register(passing) },
  'goes through plugins that come last': { before: (analytics) => analytics.register(late) },
  'is cancelled by a plugin': { before: (analytics) => analytics.register(cancelling), fails: true },
  'goes through plugins that were registered after the call': {
    after: (analytics) => analytics.register(passing, late).then(() => analytics.flush()),
  },
};

/** Two calls, each with a store of its own: what their callbacks find in it. */
async function storesOf(analytics, { params, after }) {
  const found = [];
  const calls = ['first', 'second'].map((store) =>
    storage.run(store, () => {
      const told = new Promise((resolve) => {
        analytics.track({ ...MINIMAL.track, messageId: store, ...params }, (error, { event }) => {
          found.push([event.messageId, storage.getStore(), error !== undefined]);
          resolve();
        });
      });
      return told;
    }),
  );
  await (after ?? (() => analytics.flush()))(analytics);
  await Promise.all(calls);
  return found.toSorted();
}

describe('a callback', () => {
  for (const [what, end] of Object.entries(ENDS)) {
    test(`of an event that ${what} has the store of its call`, async (t) => {
      const { analytics } = await startPair(t, end.settings, end.options);
      await end.before?.(analytics);
      const found = await storesOf(analytics, end);
      for (const store of ['first', 'second']) {
        const mine = found.filter(([, known]) => known === store);
        assert.equal(mine.length, 1, JSON.stringify(found));
        assert.equal(mine[0][0], store);
      }
      if (end.options === undefined) assert.equal(found[0][2], end.fails === true);
    });
  }

  test('of an event that is left to the spool has the store of its call', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true }] });
    const analytics = makeSpool(t).open(segment);
    const after = () => analytics.closeAndFlush({ timeout: 0 });
    const found = await storesOf(analytics, { after });
    assert.deepEqual(
      found.map(([messageId, store]) => [messageId, store]),
      [
        ['first', 'first'],
        ['second', 'second'],
      ],
    );
  });

  test('of a recording client has the store of its call', async () => {
    const found = await storesOf(new RecordingAnalytics(), {});
    assert.deepEqual(
      found.map(([messageId, store]) => [messageId, store]),
      [
        ['first', 'first'],
        ['second', 'second'],
      ],
    );
  });

  for (const method of METHODS) {
    test(`of ${method}() has the store of its call`, async (t) => {
      const { analytics } = await startPair(t);
      const told = storage.run(method, () => {
        return new Promise((resolve) =>
          analytics[method](MINIMAL[method], () => resolve(storage.getStore())),
        );
      });
      await storage.run('flush', () => analytics.flush());
      assert.equal(await told, method);
    });
  }
});

describe('a listener', () => {
  for (const type of METHODS) {
    test(`of ${type} has the store of the call that it is told of`, async (t) => {
      const { analytics } = await startPair(t);
      const found = [];
      analytics.on(type, ({ event }) => found.push([event.messageId, storage.getStore()]));
      for (const store of ['first', 'second']) {
        storage.run(store, () => analytics[type]({ ...MINIMAL[type], messageId: store }));
      }
      await analytics.flush();
      assert.deepEqual(found, [
        ['first', 'first'],
        ['second', 'second'],
      ]);
    });
  }
});
