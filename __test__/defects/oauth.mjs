/** What `oauthSettings` do in analytics-node, and in this package. */
import assert from 'node:assert/strict';

import { Analytics } from '@companion/segment';
import { Analytics as Peer } from '@segment/analytics-node';

import { startOAuth } from '../support/authorization-server.mjs';
import { KEY, MINIMAL, NEVER_MS, counted, failuresOf } from '../support/clients.mjs';

const BATCHES = 20;

/** A client of either kind that sends each event by itself. */
function start(t, Client, { host, oauthSettings }, { oauth, ...settings } = {}) {
  const client = new Client({
    writeKey: KEY,
    host,
    oauthSettings: { ...oauthSettings, ...oauth },
    flushAt: 1,
    flushInterval: NEVER_MS,
    ...settings,
  });
  t.after(() => client.closeAndFlush({ timeout: 1 }));
  return client;
}

const settings = { maxRetries: 0, oauth: { maxRetries: 0 } };
const FAILURES = 4;
const failing = (count) => Array.from({ length: count }, () => ({ status: 500 }));

/** Resolves with the `count`th token request. */
function whenAsked({ tokenRequests }, count) {
  return new Promise((resolve) => {
    const push = tokenRequests.push.bind(tokenRequests);
    tokenRequests.push = (request) => {
      const length = push(request);
      if (length === count) resolve();
      return length;
    };
  });
}

export const cases = [
  {
    what: `${BATCHES} batches at once`,
    theirs: [
      'asks for a token for each',
      async (t) => {
        const server = await startOAuth(t);
        const client = start(t, Peer, server);
        for (let number = 0; number < BATCHES; number += 1) client.track(MINIMAL.track);
        await client.flush();
        assert.deepEqual([server.events.length, server.batches.length], [BATCHES, BATCHES]);
        assert.equal(server.tokenRequests.length, BATCHES);
      },
    ],
    ours: [
      'asks once',
      async (t) => {
        const server = await startOAuth(t);
        const client = start(t, Analytics, server, { maxConcurrentRequests: BATCHES });
        for (let number = 0; number < BATCHES; number += 1) client.track(MINIMAL.track);
        await client.flush();
        assert.equal(server.events.length, BATCHES);
        assert.equal(server.tokenRequests.length, 1);
      },
    ],
  },
  {
    what: 'maxRetries of 0, and an authorization server that fails',
    theirs: [
      'never tells: its event hangs for as long as the server fails',
      async (t) => {
        const server = await startOAuth(t, { answers: failing(FAILURES) });
        const asked = whenAsked(server, FAILURES + 1);
        const client = start(t, Peer, server, settings);
        const failures = failuresOf(client);
        const seen = [];
        client.track(MINIMAL.track, (error) => seen.push(error));
        client.on('track', () => seen.push('delivered'));
        const flush = client.flush();
        const atThatTime = await asked.then(() => [...seen, ...failures]);
        assert.deepEqual(atThatTime, [], `nothing of ${FAILURES} failures`);
        // Only a server that is well again ends it.
        await flush;
        assert.deepEqual([seen, failures, server.events.length], [[undefined, 'delivered'], [], 1]);
      },
    ],
    ours: [
      'tells after the first failure',
      async (t) => {
        const server = await startOAuth(t, { answers: failing(FAILURES) });
        const client = start(t, Analytics, server, settings);
        const failures = failuresOf(client);
        client.track(MINIMAL.track);
        const { dropped } = await client.flush();
        assert.deepEqual([failures.length, Object.values(counted(dropped))], [1, [1]]);
        assert.equal(server.tokenRequests.length, 1);
      },
    ],
  },
];
