/** Connections and descriptors: what clients share, what goes with them, and what happens when there are no more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import { describe, test } from 'node:test';

import { Analytics } from '@companion/segment';

import { MINIMAL, NEVER_MS } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

/** A server that knows its connections; `whenOpen(count)` waits until there are just so many. */
async function startServer(t, answer = (response) => response.end('{}')) {
  const open = new Set();
  const seen = { connections: 0, most: 0, requests: 0 };
  const waiting = new Set();
  const look = () => waiting.forEach((isSo) => isSo());
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      seen.requests += 1;
      answer(response, request, seen.requests);
    });
  });
  // No connection ends because of this side.
  server.keepAliveTimeout = 0;
  server.on('connection', (socket) => {
    open.add(socket);
    seen.connections += 1;
    seen.most = Math.max(seen.most, open.size);
    socket.on('error', () => {});
    socket.on('close', () => {
      open.delete(socket);
      look();
    });
    look();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const whenOpen = (count) =>
    new Promise((resolve) => {
      const isSo = () => {
        if (open.size !== count) return;
        waiting.delete(isSo);
        resolve();
      };
      waiting.add(isSo);
      isSo();
    });
  return { url: `http://127.0.0.1:${server.address().port}`, open, seen, whenOpen };
}

function startClient(t, { url }, settings) {
  const client = new Analytics({ writeKey: 'key', host: url, flushInterval: NEVER_MS, ...settings });
  t.after(() => client.closeAndFlush({ timeout: 0 }));
  return client;
}

async function deliver(client) {
  client.track(MINIMAL.track);
  const { delivered } = await client.flush();
  assert.ok(delivered >= 1);
}

describe('connections', () => {
  test('are shared by clients with equal settings, and go with the last one that closes', async (t) => {
    const server = await startServer(t);
    const clients = Array.from({ length: 200 }, (_, number) =>
      startClient(t, server, {
        writeKey: `key-${number}`,
        flushAt: 1 + number,
        httpRequestTimeout: 9_000 + number,
      }),
    );
    for (const client of clients) await deliver(client);
    assert.equal(server.seen.connections, 1);
    const last = clients.pop();
    await Promise.all(clients.map((client) => client.closeAndFlush()));
    await deliver(last);
    assert.equal(server.seen.connections, 1);
    await last.closeAndFlush();
    await server.whenOpen(0);
    assert.equal(clients.length, 199, 'all are held still');
  });

  test('of many clients at once are few', async (t) => {
    const server = await startServer(t);
    const clients = Array.from({ length: 1_500 }, () => startClient(t, server));
    await Promise.all(clients.map(deliver));
    // 64 under way; the server may see a few ends late.
    assert.ok(server.seen.most < 128, `${server.seen.most} at once`);
    await server.whenOpen(Math.min(server.open.size, 16));
  });

  test('of other servers are others, and those of other clients do not suffer from them', async (t) => {
    const silent = await startServer(t, () => {});
    const server = await startServer(t);
    const waiting = Array.from({ length: 100 }, () => startClient(t, silent));
    for (const client of waiting) client.track(MINIMAL.track);
    const flushes = waiting.map((client) => client.flush({ timeout: 10_000 }));
    await deliver(startClient(t, server));
    await Promise.all(waiting.map((client) => client.closeAndFlush({ timeout: 0 })));
    await Promise.all(flushes);
    await silent.whenOpen(0);
  });

  test('of a client that is closed with a request under way go as well', async (t) => {
    const server = await startServer(t, () => {});
    const client = startClient(t, server);
    client.track(MINIMAL.track);
    const flush = client.flush();
    await server.whenOpen(1);
    await client.closeAndFlush({ timeout: 0 });
    await flush;
    await server.whenOpen(0);
  });

  test('that the server closes while they are idle cost no event, without any retries', async (t) => {
    // Every second request finds a connection that was closed after the answer before.
    const server = await startServer(t, (response, request, number) => {
      if (number % 2 === 0) request.socket.resetAndDestroy();
      else response.end('{}');
    });
    const client = startClient(t, server, { maxRetries: 0 });
    for (let number = 0; number < 6; number += 1) await deliver(client);
    const { delivered, requests, retries } = client.stats();
    assert.deepEqual([delivered, requests, retries], [6, 6, 0]);
  });
});

describe('descriptors', { skip: process.platform === 'win32' }, () => {
  test(
    'are about those of one client, however many there are',
    { skip: process.platform !== 'linux' },
    async (t) => {
      const server = await startServer(t);
      const count = () => readdirSync('/proc/self/fd').length;
      await deliver(startClient(t, server));
      const before = count();
      for (let number = 0; number < 300; number += 1) await deliver(startClient(t, server));
      assert.ok(count() <= before + 2, `${count()} after ${before}`);
    },
  );

  test('are left for the application: a client for each request, each closed, under a low limit', async (t) => {
    const server = await startServer(t);
    const program = `async ({ Analytics }, { url }) => {
      const failures = [];
      const handle = async () => {
        const client = new Analytics({ writeKey: 'key', host: url });
        client.track({ userId: 'u1', event: 'e' });
        // What the application does itself.
        await fetch(url, { method: 'POST', body: '{}' }).catch(({ cause }) => failures.push(cause.code));
        return client.closeAndFlush();
      };
      let delivered = 0;
      for (let round = 0; round < 100; round += 1) {
        const reports = await Promise.all(Array.from({ length: 20 }, handle));
        delivered += reports.reduce((sum, report) => sum + report.delivered, 0);
      }
      console.log(JSON.stringify({ delivered, failures }));
    }`;
    const { stdout } = await runProgram(t, program, { url: server.url }, { descriptors: 256 });
    assert.deepEqual(lastLine(stdout), { delivered: 2_000, failures: [] });
  });

  test('that there are none of are an AnalyticsError, and no harm later', async (t) => {
    const server = await startServer(t);
    const program = `async ({ Analytics, AnalyticsError }, { url }) => {
      const { openSync, closeSync } = await import('node:fs');
      const start = () => new Analytics({ writeKey: 'key', host: url });
      const taken = [];
      try {
        for (;;) taken.push(openSync('/dev/null', 'r'));
      } catch {}
      let error;
      try {
        start();
      } catch (thrown) {
        error = thrown;
      }
      taken.forEach((descriptor) => closeSync(descriptor));
      const client = start();
      client.track({ userId: 'u1', event: 'e' });
      const { delivered } = await client.closeAndFlush();
      const { code, name, message } = error ?? {};
      const isOurs = error instanceof AnalyticsError;
      console.log(JSON.stringify({ code, name, message, isOurs, delivered }));
    }`;
    const { stdout, stderr } = await runProgram(t, program, { url: server.url }, { descriptors: 128 });
    const { message, ...facts } = lastLine(stdout);
    const expected = { code: 'ERR_RESOURCES', name: 'AnalyticsError', isOurs: true, delivered: 1 };
    assert.deepEqual(facts, expected, stderr);
    assert.match(message, /out of threads or file descriptors/);
  });
});
