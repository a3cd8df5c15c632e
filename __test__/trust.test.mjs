/** Whom clients trust: what Node was started with, and `ca`. Node itself says what is right. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { Analytics } from '@companion/segment';

import { issue } from './support/certificates.mjs';
import { KEY, MINIMAL, NEVER_MS, failuresOf } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const DAY_MS = 86_400_000;
const authority = issue('An authority', { isAuthority: true });
const signed = issue('localhost', { issuer: authority, hosts: ['localhost'] });

/** A server with this certificate that takes everything; its URL is by name. */
async function startServer(t, { pem, privateKey }) {
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const server = https.createServer({ cert: pem, key }, (request, response) => {
    request.resume().on('end', () => response.end('{"success":true}'));
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://localhost:${server.address().port}`, port: server.address().port };
}

/** A folder that is gone with the test. */
function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'trust-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function fileWith(t, text) {
  const path = join(folder(t), 'certificates.pem');
  writeFileSync(path, text);
  return path;
}

/** Sends one event by each of the packages in a process of its own, and waits for the end of the first attempt. */
async function deliver(t, url, { isAlone = false, ...options } = {}) {
  const program = `async ({ Analytics: Ours }, { url, isAlone }) => {
    const { Analytics: Theirs } = isAlone ? {} : await import('@segment/analytics-node');
    const results = {};
    for (const [name, Analytics] of Object.entries(isAlone ? { Ours } : { Ours, Theirs })) {
      const client = new Analytics({ writeKey: 'key', host: url, flushAt: 1, maxRetries: 0 });
      const troubles = [];
      client.on('error', ({ code, reason }) => code === 'unknown' && troubles.push([reason.code, reason.message]));
      const error = await new Promise((resolve) =>
        client.track({ userId: 'u1', event: 'e' }, resolve));
      await client.closeAndFlush();
      results[name] = { isDelivered: error === undefined, troubles };
    }
    console.log(JSON.stringify(results));
  }`;
  const { stdout, stderr, code } = await runProgram(t, program, { url, isAlone }, options);
  assert.equal(code, 0, stderr);
  return { ...lastLine(stdout), stderr };
}

describe('NODE_EXTRA_CA_CERTS', () => {
  test('is trusted as in Node', async (t) => {
    const { url } = await startServer(t, signed);
    const env = { NODE_EXTRA_CA_CERTS: fileWith(t, authority.pem) };
    const { Ours, Theirs, stderr } = await deliver(t, url, { env });
    assert.deepEqual([Ours.isDelivered, Theirs.isDelivered, stderr], [true, true, '']);
  });

  test('with text around them and a broken certificate behind them is trusted as far as it goes', async (t) => {
    const { url } = await startServer(t, signed);
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    const env = { NODE_EXTRA_CA_CERTS: fileWith(t, `# Ours\n${authority.pem}\n# Theirs\n${broken}`) };
    const { Ours } = await deliver(t, url, { env });
    assert.equal(Ours.isDelivered, true);
  });

  test('is trusted in a worker thread too', async (t) => {
    const { url } = await startServer(t, signed);
    const program = `async (_, { url }) => {
      const { Worker } = await import('node:worker_threads');
      const source = \`
        const { parentPort, workerData } = require('node:worker_threads');
        const { Analytics } = require('@companion/segment');
        const client = new Analytics({ writeKey: 'key', host: workerData, flushAt: 1, maxRetries: 0 });
        client.track({ userId: 'u1', event: 'e' }, (error) => parentPort.postMessage(error === undefined));
      \`;
      new Worker(source, { eval: true, workerData: url, execArgv: [] }).once('message', (isDelivered) => {
        console.log(JSON.stringify(isDelivered));
        process.exit();
      });
    }`;
    const env = { NODE_EXTRA_CA_CERTS: fileWith(t, authority.pem) };
    const { stdout } = await runProgram(t, program, { url }, { env });
    assert.equal(lastLine(stdout), true);
  });

  for (const [what, pathOf] of [
    ['that does not exist', (t) => join(folder(t), 'missing.pem')],
    ['that is a directory', folder],
    ['without a certificate', (t) => fileWith(t, 'nothing')],
  ]) {
    test(`${what} is warned of, and nothing more is trusted`, async (t) => {
      const { url } = await startServer(t, signed);
      const path = pathOf(t);
      const env = { NODE_EXTRA_CA_CERTS: path };
      const { Ours, stderr } = await deliver(t, url, { env, isAlone: true });
      assert.equal(Ours.isDelivered, false);
      assert.match(stderr, /Warning: Ignoring extra certs from `/);
      assert.ok(stderr.includes(path));
    });
  }
});

test('a certificate that is not trusted is told once, and how to trust it', async (t) => {
  const { url } = await startServer(t, signed);
  const { Ours } = await deliver(t, url);
  assert.equal(Ours.isDelivered, false);
  const [[code, message]] = Ours.troubles;
  assert.deepEqual([Ours.troubles.length, code], [1, 'ERR_NETWORK']);
  assert.match(message, /certificate of Segment's host is not trusted: it was issued by an authority/);
  assert.match(message, /NODE_EXTRA_CA_CERTS/);
});

test('NODE_TLS_REJECT_UNAUTHORIZED=0 is not obeyed', async (t) => {
  const { url } = await startServer(t, signed);
  const { Ours, Theirs } = await deliver(t, url, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
  assert.deepEqual([Ours.isDelivered, Ours.troubles.length, Theirs.isDelivered], [false, 1, true]);
});

describe("the system's certificates", { skip: process.platform !== 'linux' }, () => {
  const inFile = (t) => ({ SSL_CERT_FILE: fileWith(t, authority.pem), SSL_CERT_DIR: '/nowhere' });
  const inDirectory = (t) => {
    const directory = folder(t);
    mkdirSync(join(directory, 'below'));
    writeFileSync(join(directory, 'a.pem'), authority.pem);
    writeFileSync(join(directory, 'b.pem'), authority.pem);
    return { SSL_CERT_FILE: '/nowhere', SSL_CERT_DIR: directory };
  };
  for (const [what, place] of [
    ['a file', inFile],
    ['a directory', inDirectory],
  ]) {
    test(`in ${what} are trusted with NODE_USE_SYSTEM_CA=1`, async (t) => {
      const { url } = await startServer(t, signed);
      const { Ours } = await deliver(t, url, { env: { ...place(t), NODE_USE_SYSTEM_CA: '1' } });
      assert.equal(Ours.isDelivered, true);
    });

    test(`in ${what} are trusted with --use-openssl-ca, as in Node`, async (t) => {
      const { url } = await startServer(t, signed);
      for (const options of [
        { env: place(t), nodeOptions: ['--use-openssl-ca'] },
        { env: { ...place(t), NODE_OPTIONS: '--use-openssl-ca' } },
      ]) {
        const { Ours, Theirs } = await deliver(t, url, options);
        // OpenSSL finds certificates in a directory by the hash of their names only.
        assert.deepEqual([Ours.isDelivered, Theirs.isDelivered], [true, place === inFile]);
      }
    });
  }

  test('are not trusted without being asked for', async (t) => {
    const { url } = await startServer(t, signed);
    for (const env of [inFile(t), { ...inFile(t), NODE_USE_SYSTEM_CA: '0' }]) {
      const { Ours, Theirs } = await deliver(t, url, { env });
      assert.deepEqual([Ours.isDelivered, Theirs.isDelivered], [false, false]);
    }
  });
});

/** Whether Node takes the server with this `ca`. */
const nodeTakes = (port, ca) =>
  new Promise((resolve) => {
    https
      .get({ host: 'localhost', port, ca, agent: false }, (response) => {
        response.resume();
        resolve(true);
      })
      .once('error', () => resolve(false));
  });

/** Whether a client does. */
async function clientTakes(t, url, ca) {
  const client = new Analytics({ writeKey: KEY, host: url, ca, maxRetries: 0, flushInterval: NEVER_MS });
  t.after(() => client.closeAndFlush({ timeout: 0 }));
  const failures = failuresOf(client);
  client.track(MINIMAL.track);
  const { delivered } = await client.flush();
  assert.equal(failures.length > 0, delivered === 0);
  return delivered === 1;
}

const byName = { hosts: ['localhost'] };
const expired = { from: Date.now() - 9 * DAY_MS, to: Date.now() - DAY_MS };
const future = { from: Date.now() + DAY_MS, to: Date.now() + 9 * DAY_MS };

describe('ca, as Node takes it', () => {
  for (const [what, server, trusted, expected] of [
    ['the authority', signed, authority, true],
    ['another authority', signed, issue('An authority', { isAuthority: true }), false],
    ['the certificate of the server, which issued itself', issue('localhost', byName), 'itself', true],
    [
      'such a one that is marked as an authority',
      issue('localhost', { ...byName, isAuthority: true }),
      'itself',
      true,
    ],
    ['such a one with a common name only', issue('localhost'), 'itself', true],
    ['both', issue('localhost', { isAuthority: true }), 'itself', true],
    [
      'such a one for another host',
      issue('localhost', { hosts: ['b.example'], isAuthority: true }),
      'itself',
      false,
    ],
    ['such a one with another common name', issue('b.example', { isAuthority: true }), 'itself', false],
    ['such a one that has expired', issue('localhost', { ...byName, ...expired }), 'itself', false],
    [
      'such an authority that has expired',
      issue('localhost', { ...byName, ...expired, isAuthority: true }),
      'itself',
      false,
    ],
    [
      'such an authority that is not valid yet',
      issue('localhost', { ...byName, ...future, isAuthority: true }),
      'itself',
      false,
    ],
    [
      'another one for the same host',
      issue('localhost', { ...byName, isAuthority: true }),
      issue('localhost', { ...byName, isAuthority: true }),
      false,
    ],
    ['a certificate of the server that an authority issued', signed, signed, false],
  ]) {
    test(`${what}: ${expected ? 'taken' : 'refused'}`, async (t) => {
      const { url, port } = await startServer(t, server);
      const { pem } = trusted === 'itself' ? server : trusted;
      assert.equal(await nodeTakes(port, pem), expected, 'Node');
      assert.equal(await clientTakes(t, url, pem), expected, 'a client');
      assert.equal(
        await clientTakes(t, url, [authority.pem, pem]),
        expected || server === signed,
        'among others',
      );
    });
  }
});
