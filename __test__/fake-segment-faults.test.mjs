import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { startFakeSegment } from '../dist/testing/index.js';
import {
  KEY,
  BASIC,
  EVENT_LIMIT,
  ONE_HOUR_MS,
  start,
  post,
  postBatch,
  track,
  trackOfBytes,
  rawPost,
  errorOf,
} from './support/fake-segment-requests.mjs';

describe('faults', () => {
  const body = JSON.stringify({ batch: [track('m1'), track('m2')] });

  test('each takes one request, in order, and then the answer is as usual', async (t) => {
    const server = await start(t, { faults: [{ status: 503, times: 2 }, { status: 429 }] });
    const statuses = [];
    for (let round = 0; round < 4; round += 1) statuses.push((await post(server, '/v1/batch', body)).status);
    assert.deepEqual(statuses, [503, 503, 429, 200]);
    assert.deepEqual(
      server.requests.map(({ status }) => status),
      [503, 503, 429, 200],
    );
    assert.equal(server.eventCount, 2);
  });

  test('they can be added and cleared while the server runs', async (t) => {
    const server = await start(t, { faults: [{ status: 500, times: Infinity }] });
    for (let round = 0; round < 5; round += 1)
      assert.equal((await post(server, '/v1/batch', body)).status, 500);
    assert.equal(server.clearFaults(), server);
    assert.equal((await post(server, '/v1/batch', body)).status, 200);
    assert.equal(server.addFaults({ status: 501 }, { status: 502 }), server);
    assert.equal((await post(server, '/v1/batch', body)).status, 501);
    assert.equal((await post(server, '/v1/batch', body)).status, 502);
  });

  test('when() sees the request with its body; the first that agrees wins', async (t) => {
    const server = await start(t, {
      record: false,
      faults: [
        { status: 501, when: (request) => request.messageIds.includes('m2') && request.authorized },
        { status: 502 },
        { status: 503, when: (request) => request.path === '/v1/track', times: Infinity },
      ],
    });
    assert.equal((await post(server, '/v1/track', track('m1'))).status, 502);
    assert.equal((await post(server, '/v1/track', track('m1'))).status, 503);
    assert.equal((await post(server, '/v1/batch', body)).status, 501);
    assert.equal((await post(server, '/v1/batch', body)).status, 200);
    assert.equal((await post(server, '/v1/track', track('m2'))).status, 503);
  });

  test('status, headers and body are sent as given', async (t) => {
    const fault = {
      status: 502,
      headers: { 'Content-Type': 'text/html', 'X-Proxy': 'yes' },
      body: '<h1>Bad Gateway</h1>',
    };
    const server = await start(t, {
      faults: [fault, { headers: { 'x-only': 'headers' } }, { body: 'no JSON' }],
    });
    const answer = await post(server, '/v1/batch', body);
    assert.equal(answer.status, 502);
    assert.equal(answer.headers.get('content-type'), 'text/html');
    assert.equal(answer.headers.get('x-proxy'), 'yes');
    assert.equal(answer.text, '<h1>Bad Gateway</h1>');
    const second = await post(server, '/v1/batch', body);
    assert.deepEqual(
      [second.status, second.headers.get('x-only'), second.text],
      [200, 'headers', '{"success":true}'],
    );
    const third = await post(server, '/v1/batch', body);
    assert.deepEqual([third.status, third.text], [200, 'no JSON']);
    assert.equal(server.eventCount, 4);
  });

  test('a status without a body gets a small JSON body, 204 and 304 get none', async (t) => {
    const server = await start(t, {
      faults: [{ status: 503 }, { status: 999 }, { status: 204 }, { status: 304 }],
    });
    assert.deepEqual(JSON.parse((await post(server, '/v1/batch', body)).text), {
      success: false,
      message: 'Service Unavailable',
    });
    assert.equal((await post(server, '/v1/batch', body)).status, 999);
    const empty = await post(server, '/v1/batch', body);
    assert.deepEqual([empty.status, empty.text, empty.headers.get('content-length')], [204, '', null]);
    assert.equal((await post(server, '/v1/batch', body)).status, 304);
    assert.equal(server.eventCount, 2, 'only the 204 is a success');
  });

  test('a wrong content-length is sent as given', async (t) => {
    const server = await start(t, { faults: [{ headers: { 'Content-Length': '1000' }, body: 'short' }] });
    const request = rawPost(server).end(body);
    const [response] = await once(request, 'response');
    assert.equal(response.headers['content-length'], '1000');
    const [chunk] = await once(response, 'data');
    assert.equal(String(chunk), 'short');
    assert.equal(response.complete, false);
    request.destroy();
  });

  test('retryAfter: seconds, text or a date; rateLimitReset: seconds', async (t) => {
    const date = new Date('2030-05-06T07:08:09.000Z');
    const server = await start(t, {
      faults: [
        { status: 503, retryAfter: 7 },
        { retryAfter: 'soon' },
        { retryAfter: date },
        { rateLimitReset: 11 },
        { status: 200, retryAfter: 1, rateLimitReset: 2 },
      ],
    });
    const seen = [];
    for (let round = 0; round < 5; round += 1) {
      const { status, headers } = await post(server, '/v1/batch', body);
      seen.push([status, headers.get('retry-after'), headers.get('x-ratelimit-reset')]);
    }
    assert.deepEqual(seen, [
      [503, '7', null],
      [429, 'soon', null],
      [429, 'Mon, 06 May 2030 07:08:09 GMT', null],
      [429, null, '11'],
      [200, '1', '2'],
    ]);
  });

  test('redirect: 302 by default, with a Location, nothing accepted', async (t) => {
    const server = await start(t);
    server.addFaults(
      { redirect: { location: '/health' } },
      { redirect: { status: 307, location: `${server.url}/v1/import` } },
    );
    const found = await post(server, '/v1/batch', body);
    assert.deepEqual([found.status, found.headers.get('location')], [302, '/health']);
    assert.equal(server.eventCount, 0);
    const followed = await fetch(`${server.url}/v1/batch`, { method: 'POST', headers: BASIC, body });
    assert.equal(followed.status, 200);
    assert.deepEqual(
      server.requests.map(({ path, status }) => [path, status]),
      [
        ['/v1/batch', 302],
        ['/v1/batch', 307],
        ['/v1/import', 200],
      ],
    );
  });

  test('delayMs alone is a late, but usual answer', async (t) => {
    const server = await start(t, { writeKeys: [KEY], faults: [{ delayMs: 1, times: 3 }] });
    assert.equal((await post(server, '/v1/batch', body)).status, 200);
    assert.equal(server.eventCount, 2);
    assert.equal((await post(server, '/v1/batch', body, {})).status, 401);
    assert.equal((await post(server, '/v1/batch', 'broken')).status, 400);
  });

  test('while delayMs runs nothing is answered or accepted; a client that leaves gets nothing accepted', async (t) => {
    const server = await start(t, { faults: [{ delayMs: ONE_HOUR_MS }] });
    const request = rawPost(server).end(body);
    const [seen] = await server.waitForRequests(1);
    assert.deepEqual([seen.status, server.eventCount], [undefined, 0]);
    const failure = errorOf(request);
    request.destroy(new Error('client timeout'));
    assert.equal((await failure).message, 'client timeout');
    await server.close();
    assert.deepEqual([seen.status, server.eventCount], [undefined, 0]);
  });

  test('hang never answers, until the connection is cut', async (t) => {
    const server = await start(t, { faults: [{ hang: true }] });
    const request = rawPost(server).end(body);
    const failure = errorOf(request);
    await server.waitForRequests(1);
    assert.equal((await postBatch(server, [track('m3')])).status, 200);
    await server.pause();
    assert.equal((await failure).code, 'ECONNRESET');
    assert.deepEqual(server.events, [track('m3')]);
    assert.equal(server.requests[0].status, undefined);
  });

  test("reset: 'before-body' resets without waiting for the body", async (t) => {
    const server = await start(t, { faults: [{ reset: 'before-body', delayMs: 1, accept: true }] });
    const request = rawPost(server, { headers: { ...BASIC, 'content-length': '100000' } });
    request.flushHeaders();
    const error = await errorOf(request);
    assert.deepEqual([error.code, error.syscall], ['ECONNRESET', 'read'], 'RST, not FIN');
    assert.deepEqual([server.requestCount, server.requests[0].status, server.eventCount], [1, undefined, 0]);
    assert.equal((await post(server, '/v1/batch', body)).status, 200);
  });

  test("reset: 'before-body' lets when() see the headers only", async (t) => {
    const seen = [];
    const when = (request) => seen.push([request.eventCount, request.retryCount, request.auth]) > 1;
    const server = await start(t, { faults: [{ reset: 'before-body', when }] });
    const headers = { ...BASIC, 'x-retry-count': '4' };
    assert.equal((await post(server, '/v1/batch', body, headers)).status, 200);
    await assert.rejects(post(server, '/v1/batch', body, headers));
    assert.deepEqual(seen, [
      [0, 4, 'basic'],
      [0, 4, 'basic'],
    ]);
  });

  test("reset: 'before-body' behind a fault that has to see the body resets after it", async (t) => {
    const faults = [{ status: 503, when: (request) => request.eventCount > 2 }, { reset: 'before-body' }];
    const server = await start(t, { faults });
    await assert.rejects(post(server, '/v1/batch', body));
    assert.deepEqual([server.requests[0].eventCount, server.eventCount], [2, 0]);
  });

  test("reset: 'after-body' reads the request first", async (t) => {
    const server = await start(t, { faults: [{ reset: 'after-body' }] });
    const request = rawPost(server).end(body);
    const error = await errorOf(request);
    assert.deepEqual([error.code, error.syscall], ['ECONNRESET', 'read'], 'RST, not FIN');
    assert.deepEqual(
      [server.requests[0].eventCount, server.requests[0].status, server.eventCount],
      [2, undefined, 0],
    );
  });

  for (const [name, fault] of Object.entries({
    'a reset': { reset: 'after-body' },
    'a hang': { hang: true },
    'a 503': { status: 503 },
    'a redirect': { redirect: { location: '/' } },
    'a long delay': { delayMs: ONE_HOUR_MS },
    'a delayed reset': { reset: 'after-body', delayMs: 1 },
  })) {
    test(`accept: true records the events behind ${name}, once`, async (t) => {
      const server = await start(t, { faults: [{ ...fault, accept: true }] });
      const request = rawPost(server).end(body);
      const end = Promise.allSettled([once(request, 'response')]);
      await server.waitForEvents(2);
      assert.deepEqual(server.events, JSON.parse(body).batch);
      if (fault.hang || fault.delayMs > 1) await server.pause();
      await end;
      assert.equal(server.eventCount, 2);
      request.destroy();
    });
  }

  test('accept: true does not accept what Segment would refuse or reject', async (t) => {
    const server = await start(t, {
      writeKeys: [KEY],
      faults: [{ status: 503, accept: true, times: Infinity }],
    });
    await post(server, '/v1/batch', body, {});
    await post(server, '/v1/batch', 'broken');
    await postBatch(server, [trackOfBytes(EVENT_LIMIT + 1)]);
    await post(server, '/nowhere', body);
    await postBatch(server, [track('m1'), { type: 'page' }]);
    assert.deepEqual([server.eventCount, server.rejectedCount, server.requestCount], [1, 1, 5]);
  });

  test('accept: false loses the events behind a 200', async (t) => {
    const server = await start(t, { faults: [{ status: 200, body: '<html>Log in</html>', accept: false }] });
    assert.equal((await post(server, '/v1/batch', body)).status, 200);
    assert.equal(server.eventCount, 0);
  });

  test('a fault that answers 2xx accepts nothing that would be refused', async (t) => {
    const server = await start(t, { faults: [{ status: 202, times: 2 }] });
    assert.equal((await post(server, '/v1/batch', body)).status, 202);
    assert.equal(server.eventCount, 2);
    assert.equal((await post(server, '/v1/batch', body, {})).status, 202);
    assert.equal(server.eventCount, 2);
  });

  test('drip sends the headers at once and the body later', async (t) => {
    const server = await start(t, { faults: [{ drip: { intervalMs: ONE_HOUR_MS } }] });
    const request = rawPost(server).end(body);
    const [response] = await once(request, 'response');
    assert.deepEqual([response.statusCode, response.complete], [200, false]);
    assert.equal(server.eventCount, 2);
    response.on('error', () => {});
    request.destroy();
  });

  for (const bytes of [undefined, 1, 5, 1_000]) {
    test(`drip of ${bytes ?? 'one'} byte(s) ends with the whole body`, async (t) => {
      const text = 'äöü and more';
      const server = await start(t, {
        faults: [{ status: 503, body: text, drip: { ...(bytes && { bytes }), intervalMs: 1 } }],
      });
      const answer = await post(server, '/v1/batch', body);
      assert.deepEqual([answer.status, answer.text], [503, text]);
      assert.equal(answer.headers.get('content-length'), String(Buffer.byteLength(text)));
    });
  }

  test('a drip to a client that leaves ends quietly', async (t) => {
    const server = await start(t, { faults: [{ body: 'x'.repeat(100_000), drip: { intervalMs: 1 } }] });
    const request = rawPost(server).end(body);
    const [response] = await once(request, 'response');
    response.on('error', () => {});
    await once(response, 'data');
    request.destroy();
    assert.equal((await post(server, '/v1/batch', body)).status, 200);
  });

  for (const [fault, message] of [
    [{ status: 100 }, /fault\.status must be a whole number from 200 to 999, got 100/],
    [{ status: 200.5 }, /fault\.status/],
    [{ delayMs: -1 }, /fault\.delayMs/],
    [{ delayMs: 2 ** 31 }, /fault\.delayMs/],
    [{ delayMs: Number.NaN }, /fault\.delayMs/],
    [{ drip: { intervalMs: -1 } }, /fault\.drip\.intervalMs/],
    [{ drip: { bytes: 0, intervalMs: 1 } }, /fault\.drip\.bytes/],
    [{ redirect: { status: 200, location: '/' } }, /fault\.redirect\.status/],
    [{ times: 0 }, /fault\.times/],
    [{ times: 1.5 }, /fault\.times/],
    [{ reset: 'now' }, /fault\.reset/],
    [{ headers: { 'bad name': '1' } }, /header name/i],
    [{ retryAfter: 'line\nbreak' }, /character in header/i],
  ]) {
    test(`${inspect(fault, { breakLength: Infinity })} is refused at once`, async (t) => {
      await assert.rejects(startFakeSegment({ faults: [fault] }), message);
      const server = await start(t);
      assert.throws(() => server.addFaults({ status: 503 }, fault), message);
      assert.equal((await post(server, '/v1/batch', body)).status, 200, 'none of the list was added');
    });
  }
});
