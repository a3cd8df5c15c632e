/** What options do: where requests go, how large they are, and what the environment may say. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics } from '@companion/segment';

import {
  KEY,
  MINIMAL,
  NEVER_MS,
  messageIdsOf,
  settled,
  startClient,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

/** Where a client with these settings would post to, without anybody being asked. */
async function endpointOf(settings) {
  const urls = [];
  const httpClient = async (url) => {
    urls.push(url);
    return { status: 200, statusText: 'OK' };
  };
  const analytics = new Analytics({ writeKey: KEY, httpClient, ...settings });
  analytics.track(MINIMAL.track);
  const { delivered } = await analytics.closeAndFlush();
  assert.deepEqual([delivered, urls.length], [1, 1]);
  return urls[0];
}

describe('where requests go', () => {
  for (const [what, settings, expected] of [
    ['by default', {}, 'https://api.segment.io/v1/batch'],
    ['in the US', { region: 'us' }, 'https://api.segment.io/v1/batch'],
    ['in the EU', { region: 'eu' }, 'https://events.eu1.segmentapis.com/v1/batch'],
    [
      'with a host, which wins over the region',
      { host: 'https://a.example', region: 'eu' },
      'https://a.example/v1/batch',
    ],
    ['with a host and a path', { host: 'https://a.example/x/', path: '/b/' }, 'https://a.example/b'],
    ['with a path only', { path: '/v1/import' }, 'https://api.segment.io/v1/import'],
    ['with a port', { host: 'https://a.example:8443' }, 'https://a.example:8443/v1/batch'],
    ['to loopback over http', { host: 'http://localhost:1' }, 'http://localhost:1/v1/batch'],
    ['to loopback over http, by name', { host: 'http://a.localhost:1' }, 'http://a.localhost:1/v1/batch'],
    ['to loopback over http, by IPv4', { host: 'http://127.8.8.8:1' }, 'http://127.8.8.8:1/v1/batch'],
    ['to loopback over http, by IPv6', { host: 'http://[::1]:1' }, 'http://[::1]:1/v1/batch'],
    [
      'with allowInsecureHost',
      { host: 'http://a.example', allowInsecureHost: true },
      'http://a.example/v1/batch',
    ],
  ]) {
    test(what, async () => assert.equal(await endpointOf(settings), expected));
  }

  const URL_LIMIT = 'an absolute https URL such as https://api.segment.io, without user, query or fragment';
  const HTTPS_LIMIT =
    'an https URL (plain http would show customer data to the network; for a host you trust set allowInsecureHost)';
  for (const [host, limit] of [
    ['', URL_LIMIT],
    ['nope', URL_LIMIT],
    ['//a.example', URL_LIMIT],
    ['api.segment.io', URL_LIMIT],
    ['localhost:8080', URL_LIMIT],
    ['ftp://a.example', URL_LIMIT],
    ['file:///etc/passwd', URL_LIMIT],
    ['https://', URL_LIMIT],
    ['https://user:secret@a.example', URL_LIMIT],
    ['https://a.example?x=1', URL_LIMIT],
    ['https://a.example#x', URL_LIMIT],
    ['http://a.example', HTTPS_LIMIT],
    ['http://10.0.0.1', HTTPS_LIMIT],
    ['http://0.0.0.0', HTTPS_LIMIT],
    ['http://localhost.a.example', HTTPS_LIMIT],
    ['http://notlocalhost', HTTPS_LIMIT],
    ['http://127.0.0.1.a.example', HTTPS_LIMIT],
  ]) {
    test(`the host '${host}' is refused, and not quoted`, () => {
      const message = `The option host must be ${limit}.`;
      const expected = { code: 'ERR_OPTION_INVALID', field: 'host', limit, message };
      assert.throws(() => new Analytics({ writeKey: KEY, host }), expected);
    });
  }

  for (const path of ['https://evil.example/', '//evil.example/', 'http://api.segment.io/', 'data:x']) {
    test(`the path '${path}' is refused: it leads to another host`, () => {
      const limit = 'a URL path such as /v1/batch';
      assert.throws(() => new Analytics({ writeKey: KEY, path }), {
        code: 'ERR_OPTION_INVALID',
        field: 'path',
        limit,
      });
    });
  }
});

describe('how much leaves at once, and when', () => {
  for (const name of ['flushAt', 'maxEventsInBatch']) {
    test(`${name} starts a send by itself, and caps it`, async (t) => {
      const { analytics, segment } = await startPair(t, { flushAt: undefined, [name]: 3 });
      const ids = trackMany(analytics, 7);
      await segment.waitForEvents(6);
      await analytics.flush();
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), ids);
      assert.deepEqual(
        segment.requests.map(({ eventCount }) => eventCount),
        [3, 3, 1],
      );
    });
  }

  test('flushAt wins over maxEventsInBatch', async (t) => {
    const { analytics, segment } = await startPair(t, { flushAt: 2, maxEventsInBatch: 5 });
    trackMany(analytics, 2);
    await segment.waitForEvents(2);
    assert.equal(segment.requestCount, 1);
  });

  test('flushAt: 0 sends every event by itself, like 1', async (t) => {
    const { analytics, segment } = await startPair(t, { flushAt: 0 });
    trackMany(analytics, 3);
    await segment.waitForEvents(3);
    assert.deepEqual(
      segment.requests.map(({ eventCount }) => eventCount),
      [1, 1, 1],
    );
  });

  test('without flushAt a backlog leaves in few requests', async (t) => {
    const { analytics, segment } = await startPair(t, { flushAt: undefined });
    trackMany(analytics, 5_000);
    await analytics.flush();
    assert.equal(segment.eventCount, 5_000);
    assert.ok(segment.requestCount < 50, `${segment.requestCount} requests`);
    assert.ok(Math.max(...segment.requests.map(({ eventCount }) => eventCount)) <= 2_500);
  });

  test('flushInterval starts a send by itself', async (t) => {
    const { analytics, segment } = await startPair(t, { flushInterval: 1 });
    trackMany(analytics, 2);
    await segment.waitForEvents(2);
    assert.equal(segment.eventCount, 2);
  });

  test('maxConcurrentRequests bounds what is in flight', async (t) => {
    const { analytics, segment } = await startPair(
      t,
      { flushAt: 1, maxConcurrentRequests: 3 },
      { faults: [{ hang: true, times: Infinity }] },
    );
    trackMany(analytics, 10);
    await segment.waitForRequests(3);
    assert.deepEqual([analytics.stats().inFlight, analytics.stats().pending], [3, 10]);
    assert.equal(segment.requestCount, 3);
  });

  test('disable counts events as delivered, tells callbacks so, and sends nothing', async (t) => {
    const { analytics, segment } = await startPair(t, { disable: true });
    const settling = settled(analytics, 'track', MINIMAL.track);
    trackMany(analytics, 2);
    assert.throws(() => analytics.track({ userId: 'u1' }), { code: 'ERR_VALIDATION' });
    const { accepted, delivered } = await analytics.flush();
    const [error, context] = await settling;
    assert.deepEqual([accepted, delivered, error, context.attempts], [3, 3, undefined, 0]);
    assert.deepEqual([segment.requestCount, segment.connectionCount, analytics.stats().requests], [0, 0, 0]);
  });
});

describe('fromEnvironment', () => {
  const missing = { code: 'ERR_WRITE_KEY_MISSING', field: 'writeKey' };
  for (const [what, overrides, env, expected] of [
    ['no key', {}, {}, { ...missing, message: 'Missing SEGMENT_WRITE_KEY' }],
    [
      'an empty key',
      {},
      { SEGMENT_WRITE_KEY: '' },
      { ...missing, message: 'Write key cannot be empty or whitespace only' },
    ],
    [
      'a blank key',
      {},
      { SEGMENT_WRITE_KEY: ' \n' },
      { ...missing, message: 'Write key cannot be empty or whitespace only' },
    ],
    [
      'a blank key in the code, which beats the environment',
      { writeKey: ' ' },
      { SEGMENT_WRITE_KEY: KEY },
      missing,
    ],
    [
      'a key in the code that is no text',
      { writeKey: 5 },
      {},
      { code: 'ERR_OPTION_INVALID', field: 'writeKey' },
    ],
    [
      'an unknown region',
      {},
      { SEGMENT_WRITE_KEY: KEY, SEGMENT_REGION: 'mars' },
      { code: 'ERR_OPTION_INVALID', field: 'region' },
    ],
    [
      'a malformed host',
      {},
      { SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: 'nope' },
      { code: 'ERR_OPTION_INVALID', field: 'host' },
    ],
    [
      'an odd switch',
      {},
      { SEGMENT_WRITE_KEY: KEY, SEGMENT_DISABLE: 'maybe' },
      { code: 'ERR_OPTION_INVALID', field: 'SEGMENT_DISABLE' },
    ],
    [
      'an unknown option in the code',
      { retries: 1 },
      { SEGMENT_WRITE_KEY: KEY },
      { code: 'ERR_OPTION_INVALID', field: 'retries' },
    ],
  ]) {
    test(`${what} is refused`, () =>
      assert.throws(() => Analytics.fromEnvironment(overrides, env), expected));
  }

  test('takes key and host from the environment', async (t) => {
    const segment = await startSegment(t, { writeKeys: ['from-env'] });
    const env = { SEGMENT_WRITE_KEY: 'from-env', SEGMENT_HOST: segment.url };
    const analytics = Analytics.fromEnvironment(undefined, env);
    analytics.track(MINIMAL.track);
    assert.equal((await analytics.closeAndFlush()).delivered, 1);
  });

  test('code beats environment', async (t) => {
    const segment = await startSegment(t, { writeKeys: ['from-code'] });
    const env = {
      SEGMENT_WRITE_KEY: 'from-env',
      SEGMENT_HOST: 'nope',
      SEGMENT_REGION: 'mars',
      SEGMENT_DISABLE: 'maybe',
    };
    const overrides = { writeKey: 'from-code', host: segment.url, region: 'eu', disable: false };
    const analytics = Analytics.fromEnvironment(overrides, env);
    analytics.track(MINIMAL.track);
    assert.equal((await analytics.closeAndFlush()).delivered, 1);
    assert.equal(segment.eventCount, 1);
  });

  test('null and undefined in the code leave it to the environment', async (t) => {
    const segment = await startSegment(t);
    const env = {
      SEGMENT_WRITE_KEY: KEY,
      SEGMENT_HOST: segment.url,
      SEGMENT_REGION: '',
      SEGMENT_DISABLE: '',
    };
    const nothing = { writeKey: null, host: undefined, region: null, disable: null };
    const analytics = Analytics.fromEnvironment(nothing, env);
    analytics.track(MINIMAL.track);
    await analytics.closeAndFlush();
    assert.equal(segment.eventCount, 1);
  });

  for (const [text, isDisabled] of [
    ['1', true],
    ['true', true],
    ['YES', true],
    ['on', true],
    ['0', false],
    ['False', false],
    ['no', false],
    ['off', false],
  ]) {
    test(`SEGMENT_DISABLE=${text} ${isDisabled ? 'disables' : 'does not disable'}`, async (t) => {
      const segment = await startSegment(t);
      const env = { SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: segment.url, SEGMENT_DISABLE: text };
      const analytics = Analytics.fromEnvironment({ flushInterval: NEVER_MS }, env);
      analytics.track(MINIMAL.track);
      assert.equal((await analytics.closeAndFlush()).delivered, 1);
      assert.equal(segment.eventCount, isDisabled ? 0 : 1);
    });
  }

  test('reads the environment of the process by default', async (t) => {
    const segment = await startSegment(t, { writeKeys: ['from-process'] });
    const program = async ({ Analytics: Client }) => {
      const analytics = Client.fromEnvironment();
      analytics.track({ userId: 'u1', event: 'e' });
      console.log(JSON.stringify(await analytics.closeAndFlush()));
    };
    const env = { SEGMENT_WRITE_KEY: 'from-process', SEGMENT_HOST: segment.url };
    const { code, stdout, stderr } = await runProgram(t, program, {}, { env });
    assert.deepEqual([code, stderr, lastLine(stdout).delivered], [0, '', 1]);
  });

  test('makes clients of a subclass', async () => {
    class Mine extends Analytics {}
    const analytics = Mine.fromEnvironment({ disable: true }, { SEGMENT_WRITE_KEY: KEY });
    assert.ok(analytics instanceof Mine);
    await analytics.closeAndFlush();
  });
});

test('a client that was refused leaves the others working', async (t) => {
  const segment = await startSegment(t);
  const analytics = startClient(t, segment);
  for (const flushAt of [-5, 1.5, Number.NaN]) {
    assert.throws(() => startClient(t, segment, { flushAt }), { code: 'ERR_OPTION_INVALID' });
  }
  analytics.track(MINIMAL.track);
  assert.equal((await analytics.flush()).delivered, 1);
});
