/** `oauthSettings`, against an authorization server that checks every assertion. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { Analytics, FetchHTTPClient } from '@companion/segment';

import { KEY, makeKey, startOAuth } from './support/authorization-server.mjs';
import {
  KEY as WRITE_KEY,
  MINIMAL,
  NEVER_MS,
  assertConserved,
  failuresOf,
  trackMany,
} from './support/clients.mjs';

/** Nothing leaves before it is asked to. */
function startAnalytics(t, { host, oauthSettings }, { oauth, ...settings } = {}) {
  const analytics = new Analytics({
    writeKey: WRITE_KEY,
    host,
    oauthSettings: { ...oauthSettings, ...oauth },
    flushAt: 100,
    flushInterval: NEVER_MS,
    ...settings,
  });
  t.after(() => analytics.closeAndFlush({ timeout: 0 }));
  return analytics;
}

const idsOf = (events) => new Set(events.map(({ messageId }) => messageId));

describe('a token', () => {
  test('goes with every request, and the write key stays in the body', async (t) => {
    const server = await startOAuth(t);
    const analytics = startAnalytics(t, server);
    trackMany(analytics, 3);
    assert.equal((await analytics.flush()).delivered, 3);
    const [{ url, method, headers, form }] = server.tokenRequests;
    assert.deepEqual(
      [url, method, headers['content-type']],
      ['/token', 'POST', 'application/x-www-form-urlencoded'],
    );
    assert.deepEqual(Object.keys(form).sort(), [
      'client_assertion',
      'client_assertion_type',
      'grant_type',
      'scope',
    ]);
    const [{ header, writeKey }] = server.batches;
    assert.match(header, /^Bearer [0-9a-f-]{36}$/);
    assert.equal(writeKey, WRITE_KEY);
  });

  test('is asked for once, however many batches wait for it', async (t) => {
    const server = await startOAuth(t);
    const analytics = startAnalytics(t, server, { flushAt: 10, maxConcurrentRequests: 64 });
    trackMany(analytics, 1_000);
    assert.equal((await analytics.flush()).delivered, 1_000);
    assert.deepEqual([server.batches.length, server.tokenRequests.length], [100, 1]);
  });

  test('that expires in the middle of a run costs one request and no event', async (t) => {
    const expiries = new Set([10, 40, 70]);
    const server = await startOAuth(t, {
      refuse: (_request, number) => {
        if (expiries.has(number)) server.expire();
      },
    });
    const analytics = startAnalytics(t, server);
    trackMany(analytics, 10_000);
    const report = await analytics.flush();
    assert.equal(report.delivered, 10_000);
    assert.deepEqual([server.events.length, idsOf(server.events).size], [10_000, 10_000]);
    assert.equal(server.tokenRequests.length, 1 + expiries.size);
    assertConserved(analytics.stats());
  });

  test('survives a change of keys: new clients begin with the new one, and old ones end with the old', async (t) => {
    const server = await startOAuth(t);
    const next = makeKey();
    const before = startAnalytics(t, server);
    trackMany(before, 5_000);
    server.keys.set('key-2', next.publicKey);
    const after = startAnalytics(t, server, { oauth: { clientKey: next.pem, keyId: 'key-2' } });
    trackMany(after, 5_000);
    const reports = [before.closeAndFlush(), after.flush()];
    assert.equal((await reports[0]).delivered, 5_000);
    server.keys.delete('key-1');
    server.expire();
    assert.equal((await reports[1]).delivered, 5_000);
    trackMany(after, 100);
    assert.equal((await after.flush()).delivered, 5_100);
    assert.equal(server.events.length, 10_100);
  });

  for (const status of [401, 403, 511]) {
    test(`is replaced once after a ${status}`, async (t) => {
      const server = await startOAuth(t, {
        refuse: (_request, number) => (number === 1 ? status : undefined),
      });
      const analytics = startAnalytics(t, server);
      trackMany(analytics, 3);
      const { delivered } = await analytics.flush();
      assert.deepEqual([delivered, server.tokenRequests.length, server.batches.length], [3, 2, 2]);
    });
  }

  test('that Segment goes on refusing is told at once, after one fresh one, and what nobody waits for is kept', async (t) => {
    const server = await startOAuth(t, { refuse: () => 401 });
    const analytics = startAnalytics(t, server);
    const failures = failuresOf(analytics);
    trackMany(analytics, 2);
    const { dropped, pending } = await analytics.flush();
    assert.deepEqual([dropped.unauthorized, pending], [0, 2]);
    assert.deepEqual([server.tokenRequests.length, server.batches.length], [2, 2]);
    assert.deepEqual(
      failures.map(({ reason }) => [reason.code, reason.status]),
      [['ERR_UNAUTHORIZED', 401]],
    );
  });
});

describe('the authorization server', () => {
  for (const status of [400, 401, 403]) {
    test(`that answers ${status} and knows no such client is not asked again and again, and everybody is told`, async (t) => {
      const answer = { status, body: '{"error":"invalid_client"}' };
      const server = await startOAuth(t, { answers: Array.from({ length: 5 }, () => answer) });
      const analytics = startAnalytics(t, server);
      const failures = failuresOf(analytics);
      trackMany(analytics, 2);
      assert.deepEqual([(await analytics.flush()).pending, server.tokenRequests.length], [2, 1]);
      const [{ reason }] = failures;
      assert.deepEqual([failures.length, reason.code, reason.status], [1, 'ERR_UNAUTHORIZED', status]);
      assert.match(reason.message, /the authorization server refused the OAuth client/);
      const { code } = await analytics.deliver.track(MINIMAL.track).catch((error) => error);
      assert.equal(code, 'ERR_UNAUTHORIZED', 'whoever waits hears it');
      assert.equal(server.batches.length, 0);
    });
  }

  test('that knows no such client is told of also where everybody waits for events', async (t) => {
    const answers = Array.from({ length: 5 }, () => ({
      status: 401,
      body: '{"error":"unauthorized_client"}',
    }));
    const server = await startOAuth(t, { answers });
    const lines = [];
    const logger = {
      error: (...parts) => lines.push(parts),
      warn: () => {},
      info: () => {},
      debug: () => {},
    };
    const analytics = startAnalytics(t, server, { flushAt: 1, logger });
    const troubles = [];
    analytics.on('error', ({ code, reason }) => code === 'unknown' && troubles.push(reason));
    for (let number = 0; number < 2; number += 1) {
      const { code, message } = await analytics.deliver.track(MINIMAL.track).catch((error) => error);
      assert.equal(code, 'ERR_UNAUTHORIZED');
      assert.match(message, /the authorization server refused the OAuth client/);
    }
    assert.deepEqual(
      troubles.map(({ code, status }) => [code, status]),
      [['ERR_UNAUTHORIZED', 401]],
    );
    assert.match(inspect(lines), /the authorization server refused the OAuth client/);
  });

  test('that asks for pauses for longer than maxRateLimitDuration', async (t) => {
    const answer = { status: 429, headers: { 'retry-after': '60' } };
    const server = await startOAuth(t, { answers: [answer] });
    const analytics = startAnalytics(t, server, { maxRateLimitDuration: 0.2 });
    const failures = failuresOf(analytics);
    trackMany(analytics, 2);
    assert.equal((await analytics.flush()).dropped.rate_limited, 2);
    assert.equal(server.tokenRequests.length, 1);
    assert.match(failures[0].reason.message, /the authorization server asked for pauses for too long/);
  });

  for (const status of [400, 401, 403, 404, 413, 415, 422, 425, 431]) {
    test(`that answers ${status} without an error of OAuth is asked again`, async (t) => {
      const server = await startOAuth(t, { answers: [{ status }, { status, body: '<html>' }] });
      const analytics = startAnalytics(t, server);
      trackMany(analytics, 2);
      assert.deepEqual([(await analytics.flush()).delivered, server.tokenRequests.length], [2, 3]);
    });
  }

  test('that fails for a while delays events, and no more', async (t) => {
    const answers = [
      { status: 500 },
      { status: 200, body: '<html>' },
      { status: 429, headers: { 'retry-after': '1' } },
    ];
    const server = await startOAuth(t, { answers });
    const analytics = startAnalytics(t, server);
    trackMany(analytics, 2);
    assert.equal((await analytics.flush()).delivered, 2);
    assert.equal(server.tokenRequests.length, 4);
  });

  test('that goes on failing is given up after maxRetries of both', async (t) => {
    const server = await startOAuth(t, { answers: Array.from({ length: 9 }, () => ({ status: 503 })) });
    const analytics = startAnalytics(t, server, { oauth: { maxRetries: 1 }, maxRetries: 0 });
    const failures = failuresOf(analytics);
    trackMany(analytics, 1);
    assert.equal((await analytics.flush()).dropped.server, 1);
    assert.equal(server.tokenRequests.length, 2);
    assert.equal(failures[0].reason.code, 'ERR_SERVER');
  });

  test('with another time of day is believed', async (t) => {
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    const server = await startOAuth(t, { answers: [{ status: 401, headers: { date } }, { status: 400 }] });
    const analytics = startAnalytics(t, server);
    trackMany(analytics, 1);
    await analytics.flush();
    const claims = server.tokenRequests.map(({ form }) =>
      JSON.parse(Buffer.from(form.client_assertion.split('.')[1], 'base64url')),
    );
    const ahead = claims[1].iat - claims[0].iat;
    assert.ok(ahead >= 3_599 && ahead <= 3_660, `${ahead} s`);
    assert.notEqual(claims[0].jti, claims[1].jti);
  });
});

describe('httpClient', () => {
  /** Counts what goes through it. */
  function countingClient() {
    const inner = new FetchHTTPClient();
    const urls = [];
    const makeRequest = (request) => {
      urls.push(new URL(request.url).pathname);
      return inner.makeRequest(request);
    };
    return { urls, client: { makeRequest } };
  }

  test('of the client sends batches and asks for tokens', async (t) => {
    const server = await startOAuth(t);
    const { urls, client } = countingClient();
    const analytics = startAnalytics(t, server, { httpClient: client });
    trackMany(analytics, 250);
    assert.equal((await analytics.flush()).delivered, 250);
    assert.deepEqual(urls, ['/token', '/v1/batch', '/v1/batch', '/v1/batch']);
  });

  test('of oauthSettings asks for tokens alone', async (t) => {
    const server = await startOAuth(t);
    const { urls, client } = countingClient();
    const analytics = startAnalytics(t, server, { oauth: { httpClient: client } });
    trackMany(analytics, 250);
    assert.equal((await analytics.flush()).delivered, 250);
    assert.deepEqual(urls, ['/token']);
    assert.equal(server.batches.length, 3);
  });

  test('may be a function like fetch', async (t) => {
    const server = await startOAuth(t);
    const analytics = startAnalytics(t, server, { httpClient: (url, request) => fetch(url, request) });
    trackMany(analytics, 1);
    assert.equal((await analytics.flush()).delivered, 1);
  });

  test('without text() can not bring a token', async (t) => {
    const server = await startOAuth(t);
    const httpClient = { makeRequest: async () => ({ status: 200, statusText: 'OK' }) };
    const analytics = startAnalytics(t, server, { httpClient, oauth: { maxRetries: 0 }, maxRetries: 0 });
    trackMany(analytics, 1);
    assert.equal((await analytics.flush()).dropped.server, 1);
  });
});

describe('what must stay secret', () => {
  test('neither key nor token is in errors, listeners, inspection or logs', async (t) => {
    const server = await startOAuth(t, { refuse: () => 401 });
    const lines = [];
    const line = (...args) => lines.push(inspect(args, { depth: 9 }));
    const logger = { error: line, warn: line, info: line, debug: line };
    const analytics = startAnalytics(t, server, { logger, logLevel: 'trace' });
    for (const event of ['error', 'http_request', 'http_response', 'track']) analytics.on(event, line);
    trackMany(analytics, 1);
    const report = await analytics.flush();
    line(report, analytics, analytics.stats());
    const tokens = server.batches.map(({ header }) => header.replace('Bearer ', ''));
    assert.equal(tokens.length, 2);
    const all = lines.join('\n');
    for (const secret of [...tokens, 'PRIVATE KEY', KEY.pem.split('\n')[3]]) assert.ok(!all.includes(secret));
  });

  test('a wrong key is not quoted', () => {
    const clientKey = `-----BEGIN PRIVATE KEY-----\n${'QUJD'.repeat(16)}\n-----END PRIVATE KEY-----`;
    const oauthSettings = { clientId: 'client-1', keyId: 'key-1', clientKey };
    assert.throws(
      () => new Analytics({ writeKey: WRITE_KEY, oauthSettings }),
      ({ code, field, message }) => {
        assert.deepEqual([code, field], ['ERR_OPTION_INVALID', 'oauthSettings.clientKey']);
        return !message.includes('QUJD') && message.includes('BEGIN PRIVATE KEY');
      },
    );
  });
});

describe('oauthSettings', () => {
  const valid = { clientId: 'client-1', keyId: 'key-1', clientKey: KEY.pem };
  for (const [field, oauthSettings] of [
    ['oauthSettings', 'token'],
    ['oauthSettings', []],
    ['oauthSettings.clientID', { ...valid, clientID: 'typo' }],
    ['oauthSettings.clientId', { ...valid, clientId: undefined }],
    ['oauthSettings.clientId', { ...valid, clientId: ' ' }],
    ['oauthSettings.keyId', { ...valid, keyId: 5 }],
    ['oauthSettings.clientKey', { ...valid, clientKey: undefined }],
    ['oauthSettings.clientKey', { ...valid, clientKey: 'not PEM' }],
    ['oauthSettings.authServer', { ...valid, authServer: 'http://oauth2.example' }],
    ['oauthSettings.maxRetries', { ...valid, maxRetries: '3' }],
    ['oauthSettings.maxRetries', { ...valid, maxRetries: 1.5 }],
    ['oauthSettings.httpClient', { ...valid, httpClient: {} }],
  ]) {
    test(`${inspect(oauthSettings, { breakLength: Infinity }).slice(0, 60)} is refused`, () => {
      assert.throws(() => new Analytics({ writeKey: WRITE_KEY, oauthSettings }), {
        code: 'ERR_OPTION_INVALID',
        field,
      });
    });
  }

  test('takes a key as a Buffer, and PKCS #1', async (t) => {
    const server = await startOAuth(t);
    const { createPrivateKey } = await import('node:crypto');
    const pkcs1 = createPrivateKey(KEY.pem).export({ type: 'pkcs1', format: 'pem' });
    for (const clientKey of [Buffer.from(KEY.pem), pkcs1]) {
      const analytics = startAnalytics(t, server, { oauth: { clientKey } });
      trackMany(analytics, 1);
      assert.equal((await analytics.flush()).delivered, 1);
    }
  });
});
