import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { text } from 'node:stream/consumers';

import { startFakeSegment } from '../../dist/testing/index.js';

export const KEY = 'write-key-canary';
export const BASIC = { authorization: `Basic ${Buffer.from(`${KEY}:`).toString('base64')}` };
export const EVENT_LIMIT = 32 * 1024;
export const REQUEST_LIMIT = 500 * 1024;
export const ONE_HOUR_MS = 3_600_000;

/** Starts a server that is closed with the test. */
export async function start(t, options) {
  const server = await startFakeSegment(options);
  t.after(() => server.close());
  return server;
}

/**
 * Each POST has a connection of its own: `fetch` may still hold one that the server has just cut. Fails with
 * the socket's own error.
 */
export async function post(server, path, body, headers = BASIC) {
  const request = rawPost(server, { path, headers });
  request.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  const [response] = await once(request, 'response');
  return { status: response.statusCode, headers: new Headers(response.headers), text: await text(response) };
}

export const postBatch = (server, events, headers) => post(server, '/v1/batch', { batch: events }, headers);

export const track = (messageId, more) => ({
  type: 'track',
  userId: 'u1',
  event: 'Ordered',
  messageId,
  ...more,
});

/** A track event whose JSON takes exactly so many UTF-8 bytes. */
export function trackOfBytes(bytes, filler = 'x') {
  const event = track('sized', { properties: { filler: '' } });
  const room = bytes - Buffer.byteLength(JSON.stringify(event));
  const fillerBytes = Buffer.byteLength(JSON.stringify(filler)) - 2;
  event.properties.filler = filler.repeat(Math.floor(room / fillerBytes)) + 'x'.repeat(room % fillerBytes);
  assert.equal(Buffer.byteLength(JSON.stringify(event)), bytes);
  return event;
}

/** A POST still to be ended. */
export function rawPost(server, { path = '/v1/batch', headers = BASIC, agent = false } = {}) {
  return http.request(server.url + path, { method: 'POST', headers, agent });
}

export const errorOf = async (emitter) => (await once(emitter, 'error'))[0];

export async function assertRefusesConnections(server) {
  const error = await errorOf(net.connect(server.port, server.host));
  assert.equal(error.code, 'ECONNREFUSED');
}
