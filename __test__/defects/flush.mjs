/** What `flush()` and listeners do in analytics-node, and in this package. */
import assert from 'node:assert/strict';

import { Analytics } from '@companion/segment';
import { Analytics as Peer } from '@segment/analytics-node';

import { KEY, MINIMAL, NEVER_MS, failuresOf, messageIdsOf } from '../support/clients.mjs';

const OK = { status: 200, statusText: 'OK' };
const turns = async (count) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A client of either kind whose requests `answer(number)` answers. `taken(count)` waits for so many requests. */
function start(t, Client, answer, settings) {
  const requests = [];
  const waiting = new Set();
  const makeRequest = async ({ body }) => {
    requests.push(messageIdsOf(JSON.parse(body).batch));
    for (const look of waiting) look();
    return answer(requests.length);
  };
  const taken = (count) =>
    new Promise((resolve) => {
      const look = () => {
        if (requests.length < count) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  // A client alone does not keep the process alive; the test waits for more than its client does.
  const alive = setInterval(() => {}, NEVER_MS);
  t.after(() => clearInterval(alive));
  const client = new Client({
    writeKey: KEY,
    httpClient: { makeRequest },
    flushAt: 2,
    flushInterval: NEVER_MS,
    ...settings,
  });
  t.after(() => client.closeAndFlush({ timeout: 1 }));
  const track = (...messageIds) => {
    for (const messageId of messageIds) client.track({ ...MINIMAL.track, messageId });
  };
  const delivered = [];
  client.on('track', (context) => delivered.push(context.event.messageId));
  return { client, requests, taken, track, delivered };
}

/** An answer to the first request that comes when it is told to. */
function holdFirst() {
  let release;
  const first = new Promise((resolve) => {
    release = () => resolve(OK);
  });
  return { answer: (number) => (number === 1 ? first : OK), release };
}

/** Says whether a promise is settled. */
function watch(promise) {
  const state = { isSettled: false };
  void promise.then(() => (state.isSettled = true));
  return state;
}

const spoil = (client) =>
  client.on('http_response', () => {
    throw new Error('boom');
  });

export const cases = [
  {
    what: 'flush() while another batch is in flight',
    theirs: [
      'does not send what waits, not even when the other one is delivered',
      async (t) => {
        const { answer, release } = holdFirst();
        const { client, requests, taken, track, delivered } = start(t, Peer, answer);
        track('m0', 'm1');
        await taken(1);
        track('m2');
        await turns(5);
        const flush = client.flush();
        const state = watch(flush);
        release();
        await new Promise((resolve) => {
          client.on('track', () => delivered.length === 2 && resolve());
        });
        await turns(20);
        assert.deepEqual([requests, state.isSettled], [[['m0', 'm1']], false]);
        // Only a further event makes it go: the batch is full then.
        track('m3');
        await flush;
        assert.deepEqual(requests.slice(1), [['m2', 'm3']]);
      },
    ],
    ours: [
      'sends it at once',
      async (t) => {
        const { answer, release } = holdFirst();
        const { client, requests, taken, track } = start(t, Analytics, answer);
        track('m0', 'm1');
        await taken(1);
        track('m2');
        const flush = client.flush();
        await taken(2);
        assert.deepEqual(requests, [['m0', 'm1'], ['m2']]);
        release();
        assert.equal((await flush).delivered, 3);
      },
    ],
  },
  {
    what: 'closeAndFlush() that runs out of time',
    theirs: [
      'forgets what it has not sent, without an error',
      async (t) => {
        const { answer, release } = holdFirst();
        // Nothing else ends their timer of the batch.
        const { client, requests, taken, track } = start(t, Peer, answer, { flushInterval: 5_000 });
        const failures = failuresOf(client);
        track('m0', 'm1');
        await taken(1);
        track('m2');
        await turns(5);
        assert.equal(await client.closeAndFlush({ timeout: 10 }), undefined);
        assert.deepEqual([requests, failures], [[['m0', 'm1']], []]);
        release();
      },
    ],
    ours: [
      'hands it back',
      async (t) => {
        const { answer, release } = holdFirst();
        const settings = { maxConcurrentRequests: 1 };
        const { client, requests, taken, track } = start(t, Analytics, answer, settings);
        track('m0', 'm1');
        await taken(1);
        track('m2');
        const { unflushed } = await client.closeAndFlush({ timeout: 10 });
        assert.deepEqual([requests, messageIdsOf(unflushed)], [[['m0', 'm1']], ['m0', 'm1', 'm2']]);
        release();
      },
    ],
  },
  {
    what: 'flush() after one that ran out of time',
    theirs: [
      'does nothing any more',
      async (t) => {
        const warn = t.mock.method(console, 'warn', () => {});
        const { answer, release } = holdFirst();
        const { client, requests, taken, track, delivered } = start(t, Peer, answer);
        track('m0', 'm1');
        await taken(1);
        await client.flush({ timeout: 1 });
        track('m2');
        await turns(5);
        for (let call = 0; call < 3; call += 1) await client.flush();
        await turns(20);
        assert.deepEqual([requests, delivered], [[['m0', 'm1']], []]);
        assert.equal(warn.mock.callCount(), 3);
        assert.match(warn.mock.calls[0].arguments[0], /Overlapping flush calls/);
        release();
        track('m3');
        await taken(2);
      },
    ],
    ours: [
      'flushes',
      async (t) => {
        const { answer, release } = holdFirst();
        const { client, requests, taken, track } = start(t, Analytics, answer);
        track('m0', 'm1');
        await taken(1);
        await client.flush({ timeout: 1 });
        track('m2');
        const flush = client.flush();
        await taken(2);
        assert.deepEqual(requests[1], ['m2']);
        release();
        assert.equal((await flush).pending, 0);
        assert.equal(client.stats().delivered, 3);
      },
    ],
  },
  {
    what: 'two calls of flush() at once',
    theirs: [
      'lets the second one go before anything is sent',
      async (t) => {
        t.mock.method(console, 'warn', () => {});
        const { answer, release } = holdFirst();
        const { client, track, delivered } = start(t, Peer, answer);
        track('m0', 'm1');
        const first = client.flush();
        await client.flush();
        assert.deepEqual(delivered, []);
        release();
        await first;
        assert.deepEqual(delivered, ['m0', 'm1']);
      },
    ],
    ours: [
      'joins them',
      async (t) => {
        const { answer, release } = holdFirst();
        const { client, taken, track } = start(t, Analytics, answer);
        track('m0', 'm1');
        const flushes = [client.flush(), client.flush()];
        const states = flushes.map(watch);
        await taken(1);
        await turns(20);
        assert.deepEqual(
          states.map(({ isSettled }) => isSettled),
          [false, false],
        );
        release();
        for (const { delivered, pending } of await Promise.all(flushes))
          assert.deepEqual([delivered, pending], [2, 0]);
      },
    ],
  },
  {
    what: 'a listener of http_response that throws',
    theirs: [
      'sends the same events again and reports them lost',
      async (t) => {
        const { client, requests, track, delivered } = start(t, Peer, () => OK, { maxRetries: 1 });
        const failures = failuresOf(client);
        spoil(client);
        track('m0', 'm1');
        await client.flush();
        assert.deepEqual(requests, [
          ['m0', 'm1'],
          ['m0', 'm1'],
        ]);
        assert.deepEqual([delivered, failures.map(({ reason }) => reason.message)], [[], ['boom', 'boom']]);
      },
    ],
    ours: [
      'tells error listeners, and that is all',
      async (t) => {
        const { client, requests, track, delivered } = start(t, Analytics, () => OK, { maxRetries: 1 });
        const failures = failuresOf(client);
        spoil(client);
        track('m0', 'm1');
        assert.equal((await client.flush()).delivered, 2);
        assert.deepEqual([requests, delivered], [[['m0', 'm1']], ['m0', 'm1']]);
        assert.deepEqual(
          failures.map(({ code, reason }) => [code, reason.message]),
          [['unknown', 'boom']],
        );
      },
    ],
  },
];
