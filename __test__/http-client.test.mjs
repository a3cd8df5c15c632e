/** `httpClient`: the application sends, the engine still decides. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics, FetchHTTPClient } from '@companion/segment';

import {
  KEY,
  MINIMAL,
  NEVER_MS,
  assertConserved,
  counted,
  failuresOf,
  messageIdsOf,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const OK = { status: 200, statusText: 'OK' };

/** A client whose requests go to `answer(request, number)`, in the form of a function or of an object. */
function startCustom(t, form, answer, settings) {
  const requests = [];
  const send = async (request) => {
    requests.push(request);
    return answer(request, requests.length);
  };
  const httpClient = form === 'function' ? (_url, request) => send(request) : { makeRequest: send };
  const analytics = new Analytics({
    writeKey: KEY,
    host: 'https://a.example',
    httpClient,
    flushAt: 2_500,
    flushInterval: NEVER_MS,
    ...settings,
  });
  t.after(() => analytics.closeAndFlush({ timeout: 0 }));
  return { analytics, requests };
}
const idsOf = ({ body }) => messageIdsOf(JSON.parse(body).batch);

for (const form of ['function', 'object']) {
  describe(`as ${form === 'object' ? 'an' : 'a'} ${form}`, { concurrency: true }, () => {
    test('is given the whole request, uncompressed', async (t) => {
      const { analytics, requests } = startCustom(t, form, () => OK, { httpRequestTimeout: 1_234 });
      trackMany(analytics, 2);
      assert.equal((await analytics.flush()).delivered, 2);
      const [{ url, method, headers, body, ...rest }] = requests;
      assert.deepEqual([url, method], ['https://a.example/v1/batch', 'POST']);
      const { writeKey, batch, sentAt } = JSON.parse(body);
      assert.deepEqual([writeKey, batch.length, typeof sentAt], [KEY, 2, 'string']);
      const { Authorization, 'Content-Type': type, 'User-Agent': agent, ...others } = headers;
      assert.deepEqual([Authorization, type, others], [`Basic ${btoa(`${KEY}:`)}`, 'application/json', {}]);
      assert.match(agent, /^companion-segment\//);
      if (form === 'object') assert.deepEqual(rest, { httpRequestTimeout: 1_234 });
      else assert.deepEqual([rest.signal instanceof AbortSignal, rest.redirect], [true, 'manual']);
    });

    for (const [what, headers] of [
      ['a plain object', { 'Retry-After': '1' }],
      ['a plain object with a number', { 'retry-after': 1 }],
      ['Headers', new Headers({ 'Retry-After': '1' })],
      ['a Map', new Map([['RETRY-AFTER', '1']])],
      ['X-RateLimit-Reset', { 'X-RateLimit-Reset': '1' }],
    ]) {
      test(`429 and 503 with a pause in ${what} count as no attempt`, async (t) => {
        const limited = [429, 503].map((status) => ({ status, statusText: 'x', headers }));
        const { analytics, requests } = startCustom(
          t,
          form,
          (_request, number) => limited[number - 1] ?? OK,
          { maxRetries: 0 },
        );
        trackMany(analytics, 1);
        assert.equal((await analytics.flush()).delivered, 1);
        assert.equal(requests.length, 3);
      });
    }

    test('429 and 503 without a pause are attempts', async (t) => {
      for (const [status, reason] of [
        [429, 'rate_limited'],
        [503, 'server'],
      ]) {
        const { analytics } = startCustom(t, form, () => ({ status, statusText: 'x' }), { maxRetries: 0 });
        trackMany(analytics, 1);
        assert.deepEqual(counted((await analytics.flush()).dropped), { [reason]: 1 });
      }
    });

    test('400 is narrowed down to the one bad event', async (t) => {
      const answer = (request) =>
        idsOf(request).includes('m5') ? { status: 400, statusText: 'Bad Request' } : OK;
      const { analytics, requests } = startCustom(t, form, answer);
      const failures = failuresOf(analytics);
      trackMany(analytics, 16);
      const { delivered, dropped } = await analytics.flush();
      assert.deepEqual([delivered, counted(dropped)], [15, { rejected: 1 }]);
      assert.deepEqual(messageIdsOf(failures.map(({ ctx }) => ctx.event)), ['m5']);
      assert.ok(requests.length <= 9, `${requests.length} requests`);
    });

    for (const [what, answer, code] of [
      [
        'throws',
        () => {
          throw new Error('canary');
        },
        'ERR_NETWORK',
      ],
      [
        'throws what is no error',
        () => {
          throw null;
        },
        'ERR_NETWORK',
      ],
      [
        'is aborted',
        () => {
          throw Object.assign(new Error('canary'), { name: 'AbortError' });
        },
        'ERR_TIMEOUT',
      ],
      [
        'runs out of time',
        () => {
          throw Object.assign(new Error('canary'), { name: 'TimeoutError' });
        },
        'ERR_TIMEOUT',
      ],
      ['never answers', () => new Promise(() => {}), 'ERR_TIMEOUT'],
    ]) {
      test(`that ${what}: ${code} after the retries, without its text`, async (t) => {
        const settings = { maxRetries: 1, httpRequestTimeout: code === 'ERR_TIMEOUT' ? 50.5 : 10_000 };
        const { analytics, requests } = startCustom(t, form, answer, settings);
        const failures = failuresOf(analytics);
        trackMany(analytics, 1);
        await analytics.flush();
        assert.deepEqual(
          failures.map(({ reason }) => [reason.code, reason.attempts]),
          [[code, 2]],
        );
        assert.ok(!failures[0].reason.message.includes('canary'));
        assert.equal(requests.length, 2);
        assert.equal(requests[1].headers['X-Retry-Count'], '1');
      });
    }

    for (const response of [
      undefined,
      null,
      {},
      { status: '200' },
      { status: 0 },
      { status: -200 },
      { status: 200.5 },
      { status: 2 ** 32 + 200 },
      { status: 65_536 + 200 },
      { status: Number.NaN },
    ]) {
      test(`the answer ${JSON.stringify(response)} is none: success is not claimed`, async (t) => {
        const { analytics } = startCustom(t, form, () => response, { maxRetries: 0 });
        trackMany(analytics, 1);
        assert.deepEqual(counted((await analytics.flush()).dropped), { network: 1 });
      });
    }

    for (const [what, headers] of [
      [
        'that throw',
        {
          entries: () => {
            throw new Error('boom');
          },
        },
      ],
      ['that are text', 'x'],
      ['that are a number', 5],
      ['that are null', null],
      ['with odd values', { a: null, b: undefined, c: { d: 1 }, '': '' }],
    ]) {
      test(`a 200 with headers ${what} is a success`, async (t) => {
        const { analytics, requests } = startCustom(t, form, () => ({ ...OK, headers }));
        trackMany(analytics, 1);
        assert.equal((await analytics.flush()).delivered, 1);
        assert.equal(requests.length, 1);
      });
    }

    test('requests at once are bounded, and all of them are answered to the right batch', async (t) => {
      let open = 0;
      let most = 0;
      const answer = async () => {
        open += 1;
        most = Math.max(most, open);
        await new Promise((resolve) => setImmediate(resolve));
        open -= 1;
        return OK;
      };
      const { analytics, requests } = startCustom(t, form, answer, { flushAt: 2, maxConcurrentRequests: 3 });
      const ids = trackMany(analytics, 40);
      assert.equal((await analytics.flush()).delivered, 40);
      assert.deepEqual(requests.flatMap(idsOf).toSorted(), ids.toSorted());
      assert.ok(most <= 3, `${most} at once`);
    });

    test('a late answer changes nothing', async (t) => {
      const late = [];
      const answer = (_request, number) => (number === 1 ? new Promise((resolve) => late.push(resolve)) : OK);
      const { analytics } = startCustom(t, form, answer, { httpRequestTimeout: 50 });
      trackMany(analytics, 1);
      const { delivered } = await analytics.flush();
      late[0](OK);
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual([delivered, analytics.stats().delivered], [1, 1]);
      assertConserved(analytics.stats());
    });

    test('that hangs does not hold up the close', async (t) => {
      const { analytics } = startCustom(t, form, () => new Promise(() => {}));
      trackMany(analytics, 3);
      const { unflushed } = await analytics.closeAndFlush({ timeout: 10 });
      assert.deepEqual(messageIdsOf(unflushed), ['m0', 'm1', 'm2']);
      assertConserved(analytics.stats());
    });

    test('http events carry neither key nor authorization', async (t) => {
      const { analytics } = startCustom(t, form, () => ({ ...OK, headers: { 'X-Kind': 'odd' } }));
      const heard = [];
      for (const event of ['http_request', 'http_response'])
        analytics.on(event, (message) => heard.push(message));
      trackMany(analytics, 1);
      await analytics.flush();
      assert.equal(heard[1].headers['x-kind'], 'odd');
      const text = JSON.stringify(heard);
      assert.ok(!text.includes(KEY) && !/authorization/i.test(text));
    });

    test('that never answers lets the process end', async (t) => {
      const program = async ({ Analytics: Client }, { isFunction }) => {
        const never = () => new Promise(() => {});
        const httpClient = isFunction ? never : { makeRequest: never };
        const analytics = new Client({
          writeKey: 'k',
          httpClient,
          httpRequestTimeout: 20,
          exitTimeout: 50,
          flushAt: 1,
        });
        analytics.track({ userId: 'u1', event: 'e' });
      };
      const { code, stderr } = await runProgram(t, program, { isFunction: form === 'function' });
      assert.deepEqual([code, stderr], [0, '']);
    });
  });
}

describe('fetch', { concurrency: true }, () => {
  for (const [what, make] of [
    ['itself', () => globalThis.fetch],
    ['in a FetchHTTPClient', () => new FetchHTTPClient()],
    ['in a FetchHTTPClient of a function', () => new FetchHTTPClient((url, request) => fetch(url, request))],
  ]) {
    test(`${what} delivers, is aborted in time and does not follow redirects`, async (t) => {
      const faults = [{ hang: true }, { redirect: { location: '/health' } }];
      const settings = { httpClient: make(), httpRequestTimeout: 500 };
      const { analytics, segment } = await startPair(t, settings, { faults });
      const statuses = [];
      analytics.on('http_response', ({ status }) => statuses.push(status));
      trackMany(analytics, 2);
      assert.equal((await analytics.flush()).delivered, 2);
      assert.deepEqual(statuses, [302, 200]);
      assert.deepEqual(
        segment.requests.map(({ path }) => path),
        ['/v1/batch', '/v1/batch', '/v1/batch'],
      );
    });
  }

  test('that follows a redirect all the same has not delivered', async (t) => {
    const segment = await startSegment(t, { faults: [{ redirect: { location: '/health' } }] });
    const makeRequest = ({ url, body, headers }) =>
      fetch(url, { method: 'POST', body, headers, redirect: 'follow' });
    const analytics = new Analytics({
      writeKey: KEY,
      host: segment.url,
      httpClient: { makeRequest },
      maxRetries: 0,
    });
    trackMany(analytics, 1);
    const { delivered, dropped } = await analytics.closeAndFlush();
    assert.deepEqual([delivered, counted(dropped), segment.eventCount], [0, { redirect: 1 }, 0]);
  });

  test('is looked up at each call', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ Analytics: Client, FetchHTTPClient: Fetch }, { host }) => {
      const analytics = new Client({ writeKey: 'k', host, httpClient: new Fetch() });
      const original = globalThis.fetch;
      let calls = 0;
      globalThis.fetch = (...args) => {
        calls += 1;
        return original(...args);
      };
      analytics.track({ userId: 'u1', event: 'e' });
      const { delivered } = await analytics.closeAndFlush();
      console.log(JSON.stringify({ calls, delivered }));
    };
    const { stdout } = await runProgram(t, program, { host: segment.url });
    assert.deepEqual(lastLine(stdout), { calls: 1, delivered: 1 });
    assert.equal(segment.eventCount, 1);
  });
});

test('the least that is tracked goes through either form', async (t) => {
  for (const form of ['function', 'object']) {
    const { analytics, requests } = startCustom(t, form, () => OK);
    for (const [method, params] of Object.entries(MINIMAL)) analytics[method](params);
    await analytics.flush();
    assert.deepEqual(
      JSON.parse(requests[0].body).batch.map(({ type }) => type),
      Object.keys(MINIMAL),
    );
  }
});
