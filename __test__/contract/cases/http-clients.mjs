import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { KEY, clientOf, deferred, fateOf, replace, startSegment, thrownBy } from '../stage.mjs';

/** A client that sends through `send(request, url)`, as an object or as a function. */
async function sendingThrough(library, t, send, settings) {
  const segment = await startSegment(t);
  const forward = ({ method, headers, body }) => fetch(`${segment.url}/v1/batch`, { method, headers, body });
  const httpClient = { makeRequest: (request) => send(request, () => forward(request)) };
  return { segment, analytics: clientOf(library, t, { host: segment.url, httpClient, ...settings }) };
}

const answering = (answer, settings) => (library, t) =>
  sendingThrough(library, t, async () => answer, settings);

export const cases = [
  {
    name: 'an object with makeRequest() gets { url, method, headers, body, httpRequestTimeout }',
    async run(library, t) {
      const requests = [];
      const send = (request, forward) => {
        requests.push(request);
        return forward();
      };
      const settings = { httpRequestTimeout: 1_234 };
      const { segment, analytics } = await sendingThrough(library, t, send, settings);
      await fateOf(analytics);
      const [{ url, method, headers, body, httpRequestTimeout }] = requests;
      assert.deepEqual([url, method], [`${segment.url}/v1/batch`, 'POST']);
      assert.equal(typeof body, 'string');
      assert.equal(JSON.parse(body).writeKey, KEY);
      assert.equal(Object.getPrototypeOf(headers), Object.prototype);
      assert.equal(httpRequestTimeout, 1_234);
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'it gets Content-Type, User-Agent and Authorization',
    async run(library, t) {
      let names;
      const send = ({ headers }, forward) => {
        names = Object.keys(headers).map((name) => name.toLowerCase());
        return forward();
      };
      const { analytics } = await sendingThrough(library, t, send);
      await fateOf(analytics);
      for (const name of ['content-type', 'user-agent', 'authorization'])
        assert.ok(names.includes(name), name);
    },
  },
  {
    name: 'makeRequest() is called as a method',
    async run(library, t) {
      const segment = await startSegment(t);
      class Client {
        url = `${segment.url}/v1/batch`;
        makeRequest({ method, headers, body }) {
          return fetch(this.url, { method, headers, body });
        }
      }
      const analytics = clientOf(library, t, { httpClient: new Client() });
      assert.equal((await fateOf(analytics)).reason, undefined);
    },
  },
  {
    name: 'a function is called like fetch: (url, { url, method, headers, body, signal })',
    async run(library, t) {
      const segment = await startSegment(t);
      const calls = [];
      const httpClient = (url, request) => {
        calls.push([url, request]);
        return fetch(url, request);
      };
      const analytics = clientOf(library, t, { host: segment.url, httpClient });
      assert.equal((await fateOf(analytics)).reason, undefined);
      const [[url, request]] = calls;
      assert.deepEqual([url, request.url, request.method], [`${segment.url}/v1/batch`, url, 'POST']);
      assert.equal(request.signal.aborted, false);
      assert.equal(JSON.parse(request.body).batch.length, 1);
    },
  },
  {
    name: 'the signal of a function is aborted after httpRequestTimeout',
    async run(library, t) {
      const aborted = deferred();
      const httpClient = (_url, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.resolve();
            reject(signal.reason);
          });
        });
      const analytics = clientOf(library, t, { httpClient, httpRequestTimeout: 30, maxRetries: 0 });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
      await aborted.promise;
    },
  },
  {
    name: 'new FetchHTTPClient(fetchFn) is the same as the function',
    async run(library, t) {
      const segment = await startSegment(t);
      const urls = [];
      const client = new library.FetchHTTPClient((url, request) => {
        urls.push(url);
        return fetch(url, request);
      });
      const analytics = clientOf(library, t, { host: segment.url, httpClient: client });
      await fateOf(analytics);
      assert.deepEqual(urls, [`${segment.url}/v1/batch`]);
    },
  },
  {
    name: 'new FetchHTTPClient() uses the globalThis.fetch of the moment',
    alone: true,
    async run(library, t) {
      const segment = await startSegment(t);
      const analytics = clientOf(library, t, {
        host: segment.url,
        httpClient: new library.FetchHTTPClient(),
      });
      const urls = [];
      const original = globalThis.fetch;
      replace(t, globalThis, 'fetch', (url, request) => {
        urls.push(url);
        return original(url, request);
      });
      await fateOf(analytics);
      assert.deepEqual(urls, [`${segment.url}/v1/batch`]);
    },
  },
  {
    name: 'globalThis.fetch without httpClient',
    alone: true,
    run: async (library, t) => assert.equal(await fetchesOf(library, t), 0),
    differs: {
      kind: DELIBERATE,
      theirs: 'sends the requests',
      ours: 'is not used: the engine sends them',
      why: 'off your thread',
      advice:
        'mocks of `fetch` (nock, msw) need `httpClient: new FetchHTTPClient()`, or `startFakeSegment()`',
      run: async (library, t) => assert.equal(await fetchesOf(library, t), 1),
    },
  },
  {
    name: 'headers of an answer may be an object',
    async run(library, t) {
      const answers = [
        { status: 429, statusText: 'Too Many', headers: { 'retry-after': '1' } },
        { status: 200, statusText: 'OK', headers: {} },
      ];
      const send = async () => answers.shift();
      const { analytics } = await sendingThrough(library, t, send, { maxRetries: 0 });
      assert.equal((await fateOf(analytics)).reason, undefined);
      assert.equal(answers.length, 0);
    },
  },
  {
    name: 'headers of an answer may be anything with entries()',
    async run(library, t) {
      const answers = [
        { status: 429, statusText: 'Too Many', headers: new Headers({ 'Retry-After': '1' }) },
        { status: 200, statusText: 'OK', headers: new Headers() },
      ];
      const send = async () => answers.shift();
      const { analytics } = await sendingThrough(library, t, send, { maxRetries: 0 });
      assert.equal((await fateOf(analytics)).reason, undefined);
      assert.equal(answers.length, 0);
    },
  },
  {
    name: 'an answer needs neither headers nor text()',
    async run(library, t) {
      const { analytics } = await answering({ status: 200, statusText: 'OK' })(library, t);
      assert.equal((await fateOf(analytics)).reason, undefined);
    },
  },
  {
    name: "http_response has the statusText of the client's answer",
    async run(library, t) {
      const { analytics } = await answering({ status: 200, statusText: 'Taken' })(library, t);
      const answered = new Promise((resolve) => void analytics.once('http_response', resolve));
      await fateOf(analytics);
      assert.equal((await answered).statusText, 'Taken');
    },
  },
  {
    name: 'a client that rejects is tried again',
    async run(library, t) {
      let calls = 0;
      const send = async (_request, forward) => {
        calls += 1;
        if (calls === 1) throw new Error('no route');
        return forward();
      };
      const { analytics } = await sendingThrough(library, t, send);
      assert.equal((await fateOf(analytics)).reason, undefined);
      assert.equal(calls, 2);
    },
  },
  {
    name: 'the reason when the client rejects',
    run: async (library, t) => assert.equal((await rejected(library, t)).code, 'ERR_NETWORK'),
    differs: {
      kind: DELIBERATE,
      theirs: "the client's own error",
      ours: '`ERR_NETWORK`',
      why: 'errors of clients quote headers and bodies, and end up in logs',
      advice: 'log it in your `httpClient`',
      run: async (library, t) => assert.equal((await rejected(library, t)).message, 'no route'),
    },
  },
  {
    name: 'an httpClient that can send nothing',
    run: (library) =>
      assert.equal(
        thrownBy(() => new library.Analytics({ writeKey: KEY, httpClient: {} })).field,
        'httpClient',
      ),
    differs: {
      kind: DELIBERATE,
      theirs: 'taken; every event fails later',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: 'it can only be a mistake',
      async run(library, t) {
        const analytics = clientOf(library, t, { httpClient: {}, maxRetries: 0 });
        assert.ok((await fateOf(analytics)).reason instanceof TypeError);
      },
    },
  },
];

async function rejected(library, t) {
  const send = async () => {
    throw new Error('no route');
  };
  const { analytics } = await sendingThrough(library, t, send, { maxRetries: 0 });
  return (await fateOf(analytics)).reason;
}

async function fetchesOf(library, t) {
  const segment = await startSegment(t);
  const analytics = clientOf(library, t, { host: segment.url });
  const original = globalThis.fetch;
  let calls = 0;
  replace(t, globalThis, 'fetch', (...args) => {
    calls += 1;
    return original(...args);
  });
  assert.equal((await fateOf(analytics)).reason, undefined);
  return calls;
}
