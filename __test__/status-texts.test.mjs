/** `http_response.statusText` is what the other side said. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { MINIMAL, next, startClient, startPair } from './support/clients.mjs';

const answering = (answer) => ({ makeRequest: async () => ({ headers: {}, ...answer }) });

for (const [what, answer, expected] of [
  ['its own text', { status: 200, statusText: 'Taken' }, 'Taken'],
  ['no text at all', { status: 200 }, 'OK'],
  ['an empty text', { status: 200, statusText: '' }, ''],
  ['something that is no text', { status: 200, statusText: 5 }, 'OK'],
  ['a status that nobody knows', { status: 299, statusText: 'Nearly' }, 'Nearly'],
  ['a status that nobody knows and no text', { status: 299 }, ''],
  ['quotes and other letters', { status: 200, statusText: '"Grüße"\n' }, '"Grüße"\n'],
]) {
  test(`an httpClient that answers with ${what}`, async (t) => {
    const { analytics } = await startPair(t, { httpClient: answering(answer) });
    const answered = next(analytics, 'http_response');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    const [{ status, statusText }] = await answered;
    assert.deepEqual([status, statusText], [answer.status, expected]);
  });
}

for (const [sent, expected] of [
  ['Taken', 'Taken'],
  ['OK', 'OK'],
]) {
  test(`a server that says 200 ${sent}`, async (t) => {
    const server = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(200, sent).end());
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const analytics = startClient(t, { url: `http://127.0.0.1:${server.address().port}` });
    const answered = next(analytics, 'http_response');
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal((await answered)[0].statusText, expected);
  });
}
