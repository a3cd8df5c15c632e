/** `httpClient` with what teams have: axios, undici with an agent of their own, node:http. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, test } from 'node:test';

import { create as createAxios } from 'axios';
import { Agent, fetch as undiciFetch } from 'undici';

import { MINIMAL, counted, failuresOf, messageIdsOf, startPair, trackMany } from './support/clients.mjs';

const EVENTS = 10_000;
const FLUSH_AT = 100;
const CONNECTIONS = 2;
const MOST_AT_ONCE = 3;

/** One request through axios. Every status is an answer, and a timeout has the name that fetch gives it. */
async function throughAxios(client, { url, method, headers, body, ...limit }) {
  try {
    const response = await client.request({
      url,
      method,
      headers,
      data: body,
      maxRedirects: 0,
      validateStatus: () => true,
      ...limit,
    });
    return { status: response.status, statusText: response.statusText, headers: response.headers };
  } catch (error) {
    if (['ECONNABORTED', 'ETIMEDOUT', 'ERR_CANCELED'].includes(error.code)) {
      throw new DOMException('The request took too long.', 'TimeoutError');
    }
    throw error;
  }
}

/** One request through node:http. */
async function throughHttp(agent, { url, method, headers, body, signal }) {
  const request = http.request(url, { method, headers, agent, signal });
  request.end(body);
  const [response] = await once(request, 'response');
  response.resume();
  await once(response, 'end');
  return { status: response.statusCode, statusText: response.statusMessage, headers: response.headers };
}

/** Of each library both forms of a client, on a pool of so many connections. */
const LIBRARIES = {
  axios: (t) => {
    const client = createAxios({ httpAgent: poolOf(t) });
    return {
      object: {
        makeRequest: ({ httpRequestTimeout, ...request }) =>
          throughAxios(client, { ...request, timeout: httpRequestTimeout }),
      },
      function: (url, { method, headers, body, signal }) =>
        throughAxios(client, { url, method, headers, body, signal }),
    };
  },
  'undici with an Agent': (t) => {
    const dispatcher = new Agent({ connections: CONNECTIONS });
    t.after(() => dispatcher.destroy());
    const send = (url, init) => undiciFetch(url, { ...init, dispatcher });
    return {
      object: {
        makeRequest: ({ url, method, headers, body, httpRequestTimeout }) => {
          const signal = AbortSignal.timeout(httpRequestTimeout);
          return send(url, { method, headers, body, signal, redirect: 'manual' });
        },
      },
      function: send,
    };
  },
  'node:http': (t) => {
    const agent = poolOf(t);
    return {
      object: {
        makeRequest: ({ httpRequestTimeout, ...request }) =>
          throughHttp(agent, { ...request, signal: AbortSignal.timeout(httpRequestTimeout) }),
      },
      function: (url, { method, headers, body, signal }) =>
        throughHttp(agent, { url, method, headers, body, signal }),
    };
  },
};

function poolOf(t) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  t.after(() => agent.destroy());
  return agent;
}

/** The same client, with a count of how many of its requests are under way at once. */
function watched(client) {
  const counts = { open: 0, most: 0 };
  const watch =
    (send) =>
    async (...request) => {
      counts.open += 1;
      counts.most = Math.max(counts.most, counts.open);
      try {
        return await send(...request);
      } finally {
        counts.open -= 1;
      }
    };
  const httpClient =
    typeof client === 'function' ? watch(client) : { makeRequest: watch(client.makeRequest.bind(client)) };
  return { httpClient, counts };
}

for (const [library, make] of Object.entries(LIBRARIES)) {
  for (const form of ['object', 'function']) {
    describe(`${library} as ${form === 'object' ? 'an object' : 'a function'}`, { concurrency: true }, () => {
      test('delivers 10,000 events, each once, in the batches of the engine, over its own connections', async (t) => {
        const { httpClient, counts } = watched(make(t)[form]);
        const settings = { httpClient, flushAt: FLUSH_AT, maxConcurrentRequests: MOST_AT_ONCE };
        const { analytics, segment } = await startPair(t, settings);
        const ids = trackMany(analytics, EVENTS);
        const { delivered } = await analytics.flush();
        assert.equal(delivered, EVENTS);
        assert.deepEqual(messageIdsOf(segment.events).toSorted(), ids.toSorted());
        const sizes = segment.requests.map(({ messageIds }) => messageIds.length);
        assert.ok(Math.max(...sizes) <= FLUSH_AT, `${Math.max(...sizes)} in one request`);
        assert.ok(counts.most <= MOST_AT_ONCE, `${counts.most} requests at once`);
        assert.ok(segment.connectionCount <= CONNECTIONS, `${segment.connectionCount} connections`);
      });

      test('a 500 is tried again, a 429 waits as long as it says and costs no attempt', async (t) => {
        const faults = [{ retryAfter: 1 }, { status: 500 }];
        const httpClient = make(t)[form];
        const { analytics, segment } = await startPair(t, { httpClient, maxRetries: 1 }, { faults });
        analytics.track(MINIMAL.track);
        assert.equal((await analytics.flush()).delivered, 1);
        assert.deepEqual([segment.requestCount, segment.eventCount], [3, 1]);

        segment.addFaults({ status: 500, times: 2 });
        analytics.track(MINIMAL.track);
        const { dropped } = await analytics.flush();
        assert.deepEqual(counted(dropped), { server: 1 });
      });

      test('a 302 is not followed, a 400 is not tried again', async (t) => {
        const faults = [{ redirect: { location: '/health' } }, { status: 400 }];
        const settings = { httpClient: make(t)[form], maxRetries: 0 };
        const { analytics, segment } = await startPair(t, settings, { faults });
        for (const reason of ['redirect', 'rejected']) {
          analytics.track(MINIMAL.track);
          const before = counted(analytics.stats().dropped)[reason] ?? 0;
          const { dropped } = await analytics.flush();
          assert.equal(dropped[reason] - before, 1);
        }
        assert.deepEqual(
          segment.requests.map(({ path }) => path),
          ['/v1/batch', '/v1/batch'],
        );
      });

      test('no answer in time is tried again, and is a timeout at the end', async (t) => {
        const settings = { httpClient: make(t)[form], httpRequestTimeout: 500, maxRetries: 1 };
        const { analytics, segment } = await startPair(t, settings, { faults: [{ hang: true }] });
        analytics.track(MINIMAL.track);
        assert.equal((await analytics.flush()).delivered, 1);
        assert.deepEqual([segment.requestCount, segment.eventCount], [2, 1]);

        const failures = failuresOf(analytics);
        segment.addFaults({ hang: true, times: 2 });
        analytics.track(MINIMAL.track);
        await analytics.flush();
        assert.deepEqual(
          failures.map(({ reason }) => [reason.code, reason.attempts]),
          [['ERR_TIMEOUT', 2]],
        );
      });

      test('a server that is away is tried again', async (t) => {
        const { analytics, segment } = await startPair(t, { httpClient: make(t)[form], maxRetries: 0 });
        const failures = failuresOf(analytics);
        await segment.pause();
        analytics.track(MINIMAL.track);
        await analytics.flush();
        assert.deepEqual(
          failures.map(({ reason }) => reason.code),
          ['ERR_NETWORK'],
        );
        await segment.resume();
        analytics.track(MINIMAL.track);
        await analytics.flush();
        assert.equal(segment.eventCount, 1);
      });
    });
  }
}
