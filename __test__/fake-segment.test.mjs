import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { startFakeSegment } from '../dist/testing/index.js';
import {
  KEY,
  BASIC,
  ONE_HOUR_MS,
  start,
  post,
  postBatch,
  track,
  rawPost,
  errorOf,
  assertRefusesConnections,
} from './support/fake-segment-requests.mjs';

describe('endpoints', () => {
  for (const path of ['/v1/batch', '/v1/import', '/v1/batch?source=x']) {
    test(`POST ${path} takes a batch of every type`, async (t) => {
      const server = await start(t);
      const events = [
        { type: 'identify', userId: 'u1', traits: { plan: 'pro' } },
        { type: 'track', anonymousId: 'a1', event: 'Ordered' },
        { type: 'page', userId: 'u1' },
        { type: 'screen', userId: 'u1' },
        { type: 'group', userId: 'u1', groupId: 'g1' },
        { type: 'alias', userId: 'u1', previousId: 'a1' },
      ];
      const { status, text, headers } = await post(server, path, {
        batch: events,
        sentAt: '2026-01-01T00:00:00.000Z',
      });
      assert.equal(status, 200);
      assert.equal(headers.get('content-type'), 'application/json');
      assert.deepEqual(JSON.parse(text), { success: true });
      assert.deepEqual(server.events, events);
      assert.equal(server.eventCount, 6);
      assert.equal(server.rejectedCount, 0);
      assert.equal(server.requests[0].sentAt, '2026-01-01T00:00:00.000Z');
      assert.equal(server.requests[0].path, path.split('?')[0]);
    });
  }

  for (const type of ['identify', 'track', 'page', 'screen', 'group', 'alias']) {
    test(`POST /v1/${type} takes a single event and gives it its type`, async (t) => {
      const server = await start(t);
      const fields = { userId: 'u1', event: 'Ordered', groupId: 'g1', previousId: 'a1', messageId: 'm1' };
      assert.equal((await post(server, `/v1/${type}`, { ...fields, type: 'other' })).status, 200);
      assert.deepEqual(server.events, [{ ...fields, type }]);
      assert.deepEqual(server.requests[0].messageIds, ['m1']);
    });
  }

  test('an empty batch is fine', async (t) => {
    const server = await start(t);
    assert.equal((await postBatch(server, [])).status, 200);
    assert.equal(server.eventCount, 0);
  });

  for (const path of ['/', '/health']) {
    test(`GET ${path} answers 200, even with faults pending`, async (t) => {
      const server = await start(t, { faults: [{ status: 503, times: Infinity }], writeKeys: ['other'] });
      assert.equal((await fetch(server.url + path)).status, 200);
      assert.equal((await fetch(server.url + path, { method: 'HEAD' })).status, 200);
      assert.equal((await post(server, path, '')).status, 405);
    });
  }

  for (const path of ['/v1/', '/v1/batches', '/batch', '/v1/constructor', '/prefix/v1/batch', '/v2/batch']) {
    test(`POST ${path} answers 404`, async (t) => {
      const server = await start(t);
      assert.equal((await post(server, path, { batch: [track('m1')] })).status, 404);
      assert.equal(server.eventCount, 0);
      assert.equal(server.requests[0].status, 404);
    });
  }

  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
    test(`${method} /v1/batch answers 405`, async (t) => {
      const server = await start(t);
      assert.equal((await fetch(`${server.url}/v1/batch`, { method, headers: BASIC })).status, 405);
      assert.equal(server.requests[0].method, method);
    });
  }
});

describe('authentication', () => {
  const bearer = { authorization: 'Bearer token-canary' };
  const withoutColon = { authorization: `Basic ${Buffer.from(KEY).toString('base64')}` };
  const wrongBasic = { authorization: `Basic ${Buffer.from('wrong:').toString('base64')}` };
  const emptyBasic = { authorization: `Basic ${Buffer.from(':').toString('base64')}` };
  const cases = [
    { name: 'Basic', headers: BASIC, auth: 'basic', status: 200 },
    {
      name: 'Basic in another case',
      headers: { authorization: BASIC.authorization.replace('B', 'b') },
      auth: 'basic',
      status: 200,
    },
    { name: 'Basic without a colon', headers: withoutColon, auth: 'basic', status: 200 },
    { name: 'Basic beside a key in the body', headers: BASIC, writeKey: KEY, auth: 'basic', status: 200 },
    { name: 'a wrong Basic key', headers: wrongBasic, auth: 'basic', status: 401 },
    {
      name: 'a wrong Basic key beside a good one in the body',
      headers: wrongBasic,
      writeKey: KEY,
      auth: 'basic',
      status: 401,
    },
    { name: 'an empty Basic key', headers: emptyBasic, auth: 'basic', status: 401 },
    { name: 'Bearer with a key in the body', headers: bearer, writeKey: KEY, auth: 'bearer', status: 200 },
    {
      name: 'Bearer with a wrong key in the body',
      headers: bearer,
      writeKey: 'wrong',
      auth: 'bearer',
      status: 401,
    },
    { name: 'Bearer without a key in the body', headers: bearer, auth: 'bearer', status: 401 },
    { name: 'a key in the body', headers: {}, writeKey: KEY, auth: 'body', status: 200 },
    { name: 'a wrong key in the body', headers: {}, writeKey: 'wrong', auth: 'body', status: 401 },
    { name: 'an empty key in the body', headers: {}, writeKey: '', auth: 'body', status: 401 },
    { name: 'no key', headers: {}, auth: 'none', status: 401 },
    { name: 'a key that is not text', headers: {}, writeKey: 7, auth: 'none', status: 401 },
  ];
  for (const { name, headers, writeKey, auth, status } of cases) {
    for (const path of ['/v1/batch', '/v1/track']) {
      test(`${name} on ${path} gives ${status}`, async (t) => {
        const server = await start(t, { writeKeys: ['first', KEY] });
        const body = path === '/v1/batch' ? { batch: [track('m1')], writeKey } : { ...track('m1'), writeKey };
        assert.equal((await post(server, path, body, headers)).status, status);
        const [request] = server.requests;
        assert.deepEqual([request.auth, request.authorized], [auth, status === 200]);
        assert.equal(server.eventCount, status === 200 ? 1 : 0);
      });
    }
  }

  test('without writeKeys any key gets in that is not empty', async (t) => {
    const server = await start(t);
    assert.equal((await postBatch(server, [track('m1')], wrongBasic)).status, 200);
    assert.equal((await postBatch(server, [track('m1')], emptyBasic)).status, 401);
    assert.equal((await postBatch(server, [track('m1')], {})).status, 401);
  });

  test('a wrong Basic key is 401 even if the body is broken', async (t) => {
    const server = await start(t, { writeKeys: [KEY] });
    assert.equal((await post(server, '/v1/batch', 'broken', wrongBasic)).status, 401);
  });

  test('neither key nor token is kept anywhere', async (t) => {
    const server = await start(t, {
      writeKeys: [KEY],
      faults: [{ reset: 'before-body', when: () => false }],
    });
    await post(server, '/v1/batch', { batch: [{ ...track('m1'), writeKey: KEY }], writeKey: KEY });
    await post(
      server,
      '/v1/track',
      { ...track('m2'), writeKey: KEY },
      { ...bearer, 'proxy-authorization': KEY },
    );
    await post(server, '/v1/track', { userId: 'u1', writeKey: KEY });
    await post(server, '/v1/batch', { batch: [], writeKey: KEY }, wrongBasic);
    assert.equal(server.eventCount, 2);
    assert.equal(server.rejectedCount, 1);
    assert.deepEqual(server.events[0], track('m1'));
    const shown = inspect([server, server.requests, server.events, server.rejected], {
      depth: Infinity,
      showHidden: true,
    });
    for (const secret of [KEY, 'token-canary', BASIC.authorization, 'authorization']) {
      assert.ok(!shown.includes(secret), secret);
    }
  });
});

describe('records', () => {
  test('a request is recorded with what it carried', async (t) => {
    const server = await start(t);
    const before = Date.now();
    await postBatch(server, [track('m1'), track('m2'), track(undefined)], {
      ...BASIC,
      'X-Retry-Count': '3',
      'X-Custom': 'yes',
    });
    await postBatch(server, [], { ...BASIC, 'X-Retry-Count': 'soon' });
    const [first, second] = server.requests;
    assert.deepEqual([first.id, second.id], [1, 2]);
    assert.ok(first.receivedAt >= before && second.receivedAt <= Date.now());
    assert.deepEqual([first.method, first.path, first.status], ['POST', '/v1/batch', 200]);
    assert.deepEqual([first.eventCount, first.messageIds], [3, ['m1', 'm2']]);
    assert.deepEqual([first.retryCount, second.retryCount], [3, undefined]);
    assert.equal(first.headers['x-custom'], 'yes');
    assert.equal('sentAt' in first, false);
  });

  test('duplicates are found and counted', async (t) => {
    const server = await start(t);
    await postBatch(server, [track('m1'), track('m2'), track('m3'), track(undefined), track(undefined)]);
    await postBatch(server, [track('m2'), track('m3')]);
    await postBatch(server, [track('m3')]);
    assert.deepEqual(
      [...server.duplicates()],
      [
        ['m2', 2],
        ['m3', 3],
      ],
    );
    assert.equal(server.eventCount, 8);
  });

  test('record: false keeps the counters only', async (t) => {
    const server = await start(t, { record: false });
    await postBatch(server, [track('m1'), track('m1'), { type: 'page' }]);
    await postBatch(server, [track('m1')]);
    assert.deepEqual([server.eventCount, server.rejectedCount, server.requestCount], [3, 1, 2]);
    assert.deepEqual([server.events, server.rejected, server.requests], [[], [], []]);
    assert.equal(server.duplicates().size, 0);
    assert.ok(server.bytesOnWire > 0 && server.bytesRaw === server.bytesOnWire);
  });

  test('reset() forgets, and leaves alone what was handed out, connections and faults', async (t) => {
    const server = await start(t, { faults: [{ status: 503, when: (request) => request.eventCount === 2 }] });
    await postBatch(server, [track('m1'), { type: 'page' }, track('m2')]);
    const { events, requests, rejected } = server;
    server.reset();
    assert.deepEqual([events.length, requests.length, rejected.length], [2, 1, 1]);
    assert.deepEqual([server.events, server.requests, server.rejected], [[], [], []]);
    const counters = [
      server.eventCount,
      server.rejectedCount,
      server.requestCount,
      server.bytesOnWire,
      server.bytesRaw,
    ];
    assert.deepEqual(counters, [0, 0, 0, 0, 0]);
    assert.equal(server.connectionCount, 0);
    await assert.rejects(server.waitForEvents(1, { timeoutMs: 1 }), /0 arrived/);
    assert.equal((await postBatch(server, [track('m1'), track('m2')])).status, 503);
    assert.equal((await postBatch(server, [track('m1')])).status, 200);
    assert.equal(server.eventCount, 1);
    assert.equal(server.requests[0].id, 2);
  });

  test('connections are counted, open ones and all of them', async (t) => {
    const server = await start(t);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    for (let round = 0; round < 3; round += 1) {
      const request = rawPost(server, { agent }).end('{"batch":[]}');
      const [response] = await once(request, 'response');
      await once(response.resume(), 'end');
    }
    assert.deepEqual([server.connectionCount, server.openConnections], [1, 1]);
    const another = net.connect(server.port, server.host);
    await once(another, 'connect');
    await postBatch(server, []);
    assert.equal(server.connectionCount, 3);
    await server.close();
    assert.equal(server.openConnections, 0);
  });
});

describe('waiting', () => {
  test('waitForEvents resolves when enough have arrived, over several requests', async (t) => {
    const server = await start(t);
    const waiting = server.waitForEvents(3);
    const countThen = waiting.then(() => server.eventCount);
    await postBatch(server, [track('m1'), track('m2')]);
    await post(server, '/v1/track', track('m3'));
    assert.equal(await countThen, 3);
    assert.equal(await waiting, server.events);
    assert.equal((await server.waitForEvents(2)).length, 3);
    assert.equal((await server.waitForEvents(0)).length, 3);
  });

  test('waitForEvents says how many arrived when it gives up', async (t) => {
    const server = await start(t);
    await postBatch(server, [track('m1')]);
    await assert.rejects(
      server.waitForEvents(3, { timeoutMs: 1 }),
      /waited for 3 events.* 1 arrived: gave up after 1 ms/,
    );
    await assert.rejects(server.waitForRequests(2, { timeoutMs: 1 }), /waited for 2 requests.* 1 arrived/);
  });

  test('waitForRequests resolves before the request is answered', async (t) => {
    const server = await start(t, { faults: [{ hang: true }] });
    const request = rawPost(server).end(JSON.stringify({ batch: [track('m1')] }));
    const failure = errorOf(request);
    const [seen] = await server.waitForRequests(1);
    assert.deepEqual([seen.status, seen.eventCount], [undefined, 1]);
    await server.close();
    await failure;
  });

  test('close() rejects who still waits', async (t) => {
    const server = await start(t);
    const waiting = Promise.allSettled([server.waitForEvents(1), server.waitForRequests(1)]);
    await server.close();
    for (const { reason } of await waiting) assert.match(reason.message, /0 arrived: the server was closed/);
    await assert.rejects(server.waitForEvents(1), /the server was closed/);
  });
});

describe('lifecycle', () => {
  test('listens where it is told, and says where', async (t) => {
    const server = await start(t, { host: 'localhost' });
    assert.equal(server.url, `http://localhost:${server.port}`);
    assert.equal((await fetch(server.url)).status, 200);
    await assert.rejects(startFakeSegment({ host: 'localhost', port: server.port }), { code: 'EADDRINUSE' });
  });

  test('pause() refuses connections, resume() takes them on the same port and remembers', async (t) => {
    const server = await start(t);
    const { port } = server;
    await postBatch(server, [track('m1')]);
    await server.pause();
    assert.equal(server.openConnections, 0);
    await assertRefusesConnections(server);
    await server.pause();
    await server.resume();
    await server.resume();
    assert.equal(server.port, port);
    assert.equal((await postBatch(server, [track('m3')])).status, 200);
    assert.deepEqual(server.events, [track('m1'), track('m3')]);
  });

  test('pause() and resume() happen in the order of the calls', async (t) => {
    const server = await start(t);
    const open = net.connect(server.port, server.host);
    await once(open, 'connect');
    await postBatch(server, []);
    await Promise.all([server.pause(), server.resume(), server.pause(), server.resume()]);
    assert.equal((await postBatch(server, [])).status, 200);
    await Promise.all([server.resume(), server.pause()]);
    await assertRefusesConnections(server);
    await Promise.allSettled([server.resume(), server.close()]);
    await assertRefusesConnections(server);
  });

  test('resume() fails when the port was taken meanwhile, and works once it is free', async (t) => {
    const server = await start(t);
    await server.pause();
    const thief = await startFakeSegment({ port: server.port });
    await assert.rejects(server.resume(), { code: 'EADDRINUSE' });
    await thief.close();
    await server.resume();
    assert.equal((await postBatch(server, [])).status, 200);
  });

  test('close() cuts open connections, is idempotent, and final', async (t) => {
    const server = await start(t);
    const idle = net.connect(server.port, server.host);
    await once(idle, 'connect');
    await postBatch(server, []);
    const cut = once(idle, 'close');
    await Promise.all([server.close(), server.close()]);
    await cut;
    await server.close();
    await server.pause();
    await assert.rejects(server.resume(), /closed/);
    await assertRefusesConnections(server);
  });

  test('Symbol.asyncDispose closes', async () => {
    const server = await startFakeSegment();
    await server[Symbol.asyncDispose]();
    await assertRefusesConnections(server);
  });

  /** Runs a script in a process of its own; a timer or socket left behind makes it run into the timeout. */
  function runScript(script) {
    const module = JSON.stringify(new URL('../dist/testing/index.js', import.meta.url).href);
    const source = `import http from 'node:http'; import { startFakeSegment } from ${module}; ${script}`;
    return spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
      encoding: 'utf8',
      timeout: 20_000,
    });
  }

  test('a closed server leaves nothing behind that keeps the process alive, and prints nothing', () => {
    const result = runScript(`
      const delayMs = ${ONE_HOUR_MS};
      const drip = { intervalMs: delayMs };
      const server = await startFakeSegment({ faults: [{ delayMs }, { hang: true }, { drip }] });
      for (let index = 0; index < 3; index += 1) {
        http.request(server.url + '/v1/batch', { method: 'POST' }).on('error', () => {}).end('{"batch":[]}');
      }
      await server.waitForRequests(3);
      await server.close();
    `);
    assert.deepEqual([result.signal, result.status, result.stdout, result.stderr], [null, 0, '', '']);
  });

  test('an exception in a callback is answered with 500 and thrown', () => {
    const result = runScript(`
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      const server = await startFakeSegment({ poison: () => { throw new Error('my mistake') } });
      const headers = { authorization: ${JSON.stringify(BASIC.authorization)} };
      const body = JSON.stringify({ batch: [{ type: 'page', userId: 'u1' }] });
      const response = await fetch(server.url + '/v1/batch', { method: 'POST', headers, body });
      console.log(response.status, await response.text());
      await server.close();
    `);
    assert.deepEqual(result.stdout.trim().split('\n').toSorted(), [
      '500 {"success":false,"message":"Internal Server Error"}',
      'uncaught my mistake',
    ]);
    assert.equal(result.status, 0);
  });
});
