/** Proxies: the option `proxy`, and those of the environment where they are asked for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import https from 'node:https';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { Analytics } from '@companion/segment';

import { startOAuth } from './support/authorization-server.mjs';
import { issue } from './support/certificates.mjs';
import { MINIMAL, NEVER_MS, failuresOf, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';
import { startProxy } from './support/proxies.mjs';

const VARIABLES = new Set(['https_proxy', 'http_proxy', 'no_proxy', 'node_use_env_proxy']);

/** The environment for a test: of the variables of proxies only these are set. */
function useEnvironment(t, given) {
  const before = process.env;
  const others = Object.entries(before).filter(([name]) => !VARIABLES.has(name.toLowerCase()));
  process.env = { ...Object.fromEntries(others), ...given };
  t.after(() => (process.env = before));
}

/** Delivers one event. */
async function deliver(t, host, settings) {
  const analytics = new Analytics({
    writeKey: 'key',
    host,
    flushInterval: NEVER_MS,
    maxRetries: 0,
    ...settings,
  });
  t.after(() => analytics.closeAndFlush({ timeout: 0 }));
  analytics.track(MINIMAL.track);
  const { delivered } = await analytics.flush();
  assert.equal(delivered, 1);
  return analytics;
}

/** A server with TLS that takes everything. */
async function startSecure(t) {
  const certificate = issue('127.0.0.1', { hosts: ['localhost'] });
  const key = certificate.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const server = https.createServer({ cert: certificate.pem, key }, (request, response) => {
    request.resume().on('end', () => response.end('{}'));
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://localhost:${server.address().port}`, ca: certificate.pem };
}

describe('proxies of the environment', () => {
  const wanted = { proxy: 'environment' };
  for (const [what, environment, settings, expected] of [
    ['are obeyed with proxy: environment', { HTTP_PROXY: 'ours' }, wanted, 'ours'],
    ['are obeyed with NODE_USE_ENV_PROXY=1', { HTTP_PROXY: 'ours', NODE_USE_ENV_PROXY: '1' }, {}, 'ours'],
    ['are not obeyed without', { HTTP_PROXY: 'ours', HTTPS_PROXY: 'ours' }, {}, 'straight'],
    [
      'are not obeyed with NODE_USE_ENV_PROXY=0',
      { HTTP_PROXY: 'ours', NODE_USE_ENV_PROXY: '0' },
      {},
      'straight',
    ],
    ['may be none', {}, wanted, 'straight'],
    ['may be in small letters', { http_proxy: 'ours' }, wanted, 'ours'],
    ['in small letters win', { http_proxy: 'ours', HTTP_PROXY: 'other' }, wanted, 'ours'],
    ['lose to the option', { HTTP_PROXY: 'other', NODE_USE_ENV_PROXY: '1' }, { proxy: 'ours' }, 'ours'],
    ['of https are not for http', { HTTPS_PROXY: 'ours' }, wanted, 'straight'],
    ['may have no scheme', { HTTP_PROXY: 'ours without scheme' }, wanted, 'ours'],
    ['that are blank are none', { HTTP_PROXY: ' ' }, wanted, 'straight'],
    [
      'are left out by NO_PROXY',
      { HTTP_PROXY: 'ours', NO_PROXY: 'a.example, 127.0.0.1' },
      wanted,
      'straight',
    ],
    ['are left out by no_proxy', { HTTP_PROXY: 'ours', no_proxy: '*' }, wanted, 'straight'],
    [
      'are left out by no_proxy, which wins',
      { HTTP_PROXY: 'ours', no_proxy: 'x', NO_PROXY: '*' },
      wanted,
      'ours',
    ],
    ['are not left out for another port', { HTTP_PROXY: 'ours', NO_PROXY: '127.0.0.1:1' }, wanted, 'ours'],
    ['are left out for a range', { HTTP_PROXY: 'ours', NO_PROXY: '127.0.0.0-127.0.0.9' }, wanted, 'straight'],
    ['are left out for a network', { HTTP_PROXY: 'ours', NO_PROXY: '127.0.0.0/8' }, wanted, 'straight'],
    ['are not left out for other names', { HTTP_PROXY: 'ours', NO_PROXY: 'localhost,.0.1' }, wanted, 'ours'],
  ]) {
    test(what, async (t) => {
      const segment = await startSegment(t);
      const proxy = await startProxy(t);
      const urls = { ours: proxy.url, 'ours without scheme': proxy.address, other: 'http://127.0.0.1:9' };
      const filled = (names) =>
        Object.fromEntries(Object.entries(names).map(([name, value]) => [name, urls[value] ?? value]));
      useEnvironment(t, filled(environment));
      await deliver(t, segment.url, filled(settings));
      const target = `${segment.url}/v1/batch`;
      assert.deepEqual(
        proxy.requests.map((request) => request.target),
        expected === 'ours' ? [target] : [],
      );
    });
  }

  test('lead to https through a tunnel, also those of http when there are no others', async (t) => {
    const server = await startSecure(t);
    const proxy = await startProxy(t);
    for (const name of ['HTTPS_PROXY', 'HTTP_PROXY']) {
      useEnvironment(t, { [name]: proxy.url });
      const client = await deliver(t, server.url, { proxy: 'environment', ca: server.ca });
      await client.closeAndFlush();
    }
    const target = new URL(server.url).host;
    assert.deepEqual(
      proxy.tunnels.map((tunnel) => tunnel.target),
      [target, target],
    );
  });

  test('are for the authorization server too, each by its own address', async (t) => {
    const server = await startOAuth(t);
    const proxy = await startProxy(t);
    const settings = { proxy: 'environment', oauthSettings: server.oauthSettings };
    useEnvironment(t, { HTTP_PROXY: proxy.url, NO_PROXY: new URL(server.authServer).host });
    await deliver(t, server.host, settings);
    useEnvironment(t, { HTTP_PROXY: proxy.url, NO_PROXY: new URL(server.host).host });
    await deliver(t, server.host, settings);
    assert.deepEqual(
      proxy.requests.map(({ target }) => target),
      [`${server.host}/v1/batch`, `${server.authServer}/token`],
    );
  });

  for (const [name, value] of [
    ['HTTP_PROXY', 'socks5://user:hidden@proxy.example'],
    ['HTTPS_PROXY', 'http://'],
    ['HTTPS_PROXY', 'ftp://user:hidden@proxy.example'],
  ]) {
    test(`${name} that is no HTTP proxy is refused by name, and not quoted`, (t) => {
      useEnvironment(t, { [name]: value });
      const limit = 'an http or https URL such as http://proxy.internal:3128';
      assert.throws(() => new Analytics({ writeKey: 'key', proxy: 'environment' }), {
        code: 'ERR_OPTION_INVALID',
        field: name,
        limit,
        message: `The option ${name} must be ${limit}.`,
      });
      // Where nobody asks for it, it is nobody's business.
      assert.ok(new Analytics({ writeKey: 'key' }));
    });
  }

  test('are obeyed with --use-env-proxy, where Node has it', async (t) => {
    const segment = await startSegment(t);
    const proxy = await startProxy(t);
    const nodeOptions = process.allowedNodeEnvironmentFlags.has('--use-env-proxy') ? ['--use-env-proxy'] : [];
    const program = `async ({ Analytics }, { host, isSimulated }) => {
      if (isSimulated) process.execArgv.push('--use-env-proxy');
      const client = new Analytics({ writeKey: 'key', host });
      client.track({ userId: 'u1', event: 'e' });
      console.log(JSON.stringify((await client.closeAndFlush()).delivered));
    }`;
    const argument = { host: segment.url, isSimulated: nodeOptions.length === 0 };
    const env = { HTTP_PROXY: proxy.url, http_proxy: proxy.url, NO_PROXY: '', no_proxy: '' };
    const { stdout } = await runProgram(t, program, argument, { nodeOptions, env });
    assert.deepEqual([lastLine(stdout), proxy.requests.length], [1, 1]);
  });
});

describe('credentials of a proxy', () => {
  const USER = 'a user';
  const PASSWORD = 'p@ss:hidden';
  const withCredentials = ({ url }) =>
    url.replace('//', `//${encodeURIComponent(USER)}:${encodeURIComponent(PASSWORD)}@`);

  for (const [what, settingsOf, environmentOf] of [
    ['as an option', (proxy) => ({ proxy: withCredentials(proxy) }), () => ({})],
    [
      'of the environment',
      () => ({ proxy: 'environment' }),
      (proxy) => ({ HTTP_PROXY: withCredentials(proxy), HTTPS_PROXY: withCredentials(proxy) }),
    ],
  ]) {
    test(`${what} are sent to it and shown to nobody`, async (t) => {
      const segment = await startSegment(t);
      const secure = await startSecure(t);
      const proxy = await startProxy(t);
      useEnvironment(t, environmentOf(proxy));
      const shown = [];
      const see = (...values) => shown.push(inspect(values, { depth: 20, showHidden: true }));
      const logger = { trace: see, debug: see, info: see, warn: see, error: see };
      for (const [host, ca] of [
        [segment.url, undefined],
        [secure.url, secure.ca],
        // Nobody is there: what fails says nothing either.
        ['http://127.0.0.1:9', undefined],
      ]) {
        const settings = { ...settingsOf(proxy), logger, logLevel: 'trace', maxRetries: 0 };
        const client = new Analytics({ writeKey: 'key', host, ca, ...settings });
        t.after(() => client.closeAndFlush({ timeout: 0 }));
        for (const event of ['initialize', 'http_request', 'http_response', 'error']) client.on(event, see);
        const failures = failuresOf(client);
        client.track(MINIMAL.track);
        see(await client.flush(), failures, client, client.stats());
      }
      assert.deepEqual(
        [...proxy.requests, ...proxy.tunnels].map(({ credentials }) => credentials),
        Array.from({ length: 3 }, () => `${USER}:${PASSWORD}`),
      );
      const all = shown.join('\n');
      assert.ok(all.length > 1_000);
      const encoded = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
      for (const secret of ['hidden', encodeURIComponent(USER), encoded])
        assert.ok(!all.includes(secret), secret);
    });
  }
});
