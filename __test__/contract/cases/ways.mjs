import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DELIBERATE } from '../libraries.mjs';
import { KEY, clientOf, fateOf } from '../stage.mjs';
import { issue } from '../../support/certificates.mjs';
import { lastLine, runScript } from '../../support/programs.mjs';

/** Listens until the test ends; returns the port. */
async function listen(t, server) {
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return server.address().port;
}

/** Whether an event arrives at a server whose authority is known from the environment alone. */
async function arrivesOverTls(library, t, environmentOf) {
  const authority = issue('An authority', { isAuthority: true });
  const certificate = issue('localhost', { issuer: authority, hosts: ['localhost'] });
  const key = certificate.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const answer = (request, response) => request.resume().on('end', () => response.end('{}'));
  const port = await listen(t, https.createServer({ cert: certificate.pem, key }, answer));
  const directory = mkdtempSync(join(tmpdir(), 'contract-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'authority.pem');
  writeFileSync(file, authority.pem);
  const settings = { writeKey: KEY, host: `https://localhost:${port}`, flushAt: 1, maxRetries: 0 };
  const source = `
    import { createRequire } from 'node:module';
    const { Analytics } = createRequire(process.cwd() + '/')(${JSON.stringify(library.name)});
    const analytics = new Analytics(${JSON.stringify(settings)});
    analytics.track({ userId: 'u1', event: 'e' }, (error) => console.log(error === undefined));
  `;
  const { stdout } = await runScript(t, source, { env: environmentOf(file) });
  return lastLine(stdout);
}

/** The end of the second of two events, whose request is reset before it is answered; and the requests there were. */
async function afterReset(library, t) {
  let requests = 0;
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      requests += 1;
      if (requests === 2) request.socket.resetAndDestroy();
      else response.end('{}');
    });
  });
  const port = await listen(t, server);
  const analytics = clientOf(library, t, { host: `http://localhost:${port}`, maxRetries: 0 });
  assert.equal((await fateOf(analytics)).reason, undefined);
  const { reason } = await fateOf(analytics);
  return { reason, requests };
}

export const cases = [
  {
    name: 'NODE_EXTRA_CA_CERTS is trusted',
    async run(library, t) {
      assert.equal(await arrivesOverTls(library, t, (file) => ({ NODE_EXTRA_CA_CERTS: file })), true);
    },
  },
  {
    name: 'an authority that nobody knows is not trusted',
    run: async (library, t) => assert.equal(await arrivesOverTls(library, t, () => ({})), false),
  },
  {
    name: 'NODE_TLS_REJECT_UNAUTHORIZED=0',
    async run(library, t) {
      const environment = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
      assert.equal(await arrivesOverTls(library, t, () => environment), false);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'any certificate is taken',
      ours: 'is not obeyed; `error` says once that the certificate is not trusted',
      why: 'a variable for one test would send customer data to anybody',
      advice: 'give the authority in `ca` or `NODE_EXTRA_CA_CERTS`',
      async run(library, t) {
        const environment = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
        assert.equal(await arrivesOverTls(library, t, () => environment), true);
      },
    },
  },
  {
    name: 'a reset on a connection that was used before, with maxRetries: 0',
    async run(library, t) {
      assert.deepEqual(await afterReset(library, t), { reason: undefined, requests: 3 });
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'a failed attempt: the batch is dropped',
      ours: 'sent again at once on a new connection, which counts as no attempt',
      why: 'servers close idle connections at any moment',
      async run(library, t) {
        const { reason, requests } = await afterReset(library, t);
        assert.ok(reason instanceof Error);
        assert.equal(requests, 2);
      },
    },
  },
];
