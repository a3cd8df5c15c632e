/** An authorization server for OAuth 2.0 client credentials, and a Segment that asks it whether a token is good. */
import { createVerify, generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { buffer, text } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const CLIENT_ID = 'client-1';

/** A private key as PEM, and its public half. */
export function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { pem: privateKey.export({ type: 'pkcs8', format: 'pem' }), publicKey };
}

/** Made once: it takes a while. */
export const KEY = makeKey();

/**
 * Starts both. `answers` are those of the first token requests (`{ status, headers, body }`), before it begins to check
 * assertions; `refuse(request, number)` may answer a batch with another status than 200.
 */
export async function startOAuth(t, { answers = [], refuse = () => undefined } = {}) {
  const keys = new Map([['key-1', KEY.publicKey]]);
  const script = [...answers];
  const good = new Set();
  const tokenRequests = [];
  const batches = [];
  const events = [];
  const assertionIds = new Set();

  const authorization = await listen(t, async (request, respond) => {
    const form = Object.fromEntries(new URLSearchParams(await text(request)));
    tokenRequests.push({ url: request.url, method: request.method, headers: request.headers, form });
    const scripted = script.shift();
    if (scripted !== undefined) return respond(scripted.status, scripted.body ?? '', scripted.headers);
    const problem = problemOf(form, keys, `http://${request.headers.host}`, assertionIds);
    if (problem !== undefined) return respond(401, { error: 'invalid_client', error_description: problem });
    const token = randomUUID();
    good.add(token);
    return respond(200, { access_token: token, expires_in: 3_600, token_type: 'Bearer' });
  });
  const segment = await listen(t, async (request, respond) => {
    const body = await buffer(request);
    const { batch, writeKey } = JSON.parse(
      request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body,
    );
    const header = request.headers.authorization;
    batches.push({ header, writeKey, size: batch.length });
    const status = refuse(request, batches.length) ?? (good.has(header.replace('Bearer ', '')) ? 200 : 401);
    if (status === 200) events.push(...batch);
    respond(status, { success: status === 200 });
  });
  return {
    authServer: authorization,
    host: segment,
    tokenRequests,
    batches,
    events,
    keys,
    /** All tokens that were given out are good no more. */
    expire: () => good.clear(),
    oauthSettings: { clientId: CLIENT_ID, clientKey: KEY.pem, keyId: 'key-1', authServer: authorization },
  };
}

async function listen(t, answer) {
  const server = http.createServer((request, response) => {
    const respond = (status, body, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    answer(request, respond).catch((error) => respond(500, { error: error.message }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Why an authorization server would not believe it. */
function problemOf(form, keys, audience, assertionIds) {
  const { grant_type: grant, client_assertion_type: type, client_assertion: assertion = '', scope } = form;
  if (grant !== 'client_credentials' || type !== ASSERTION_TYPE || scope !== 'tracking_api:write')
    return 'form';
  const [head, body, signature] = assertion.split('.');
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url'));
  const { alg, kid } = read(head);
  const publicKey = keys.get(kid);
  if (alg !== 'RS256' || publicKey === undefined) return 'key';
  const isSigned = createVerify('RSA-SHA256')
    .update(`${head}.${body}`)
    .verify(publicKey, signature, 'base64url');
  const { iss, sub, aud, iat, exp, jti } = read(body);
  const now = Date.now() / 1000;
  if (!isSigned) return 'signature';
  if (iss !== CLIENT_ID || sub !== CLIENT_ID || aud !== audience) return 'claims';
  if (iat > now || exp < now || exp - iat > 60) return 'time';
  if (assertionIds.has(jti)) return 'replayed';
  assertionIds.add(jti);
  return undefined;
}
