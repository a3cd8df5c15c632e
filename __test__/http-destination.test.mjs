/** The example of a destination plugin, with Segment and an endpoint that are real servers. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { json } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Analytics as Peer } from '@segment/analytics-node';

import {
  KEY,
  METHODS,
  MINIMAL,
  NEVER_MS,
  failuresOf,
  messageIdsOf,
  settled,
  startPair,
  startSegment,
  trackMany,
} from './support/clients.mjs';

const EXAMPLE = fileURLToPath(new URL('../examples/http-destination', import.meta.url));
const COMPILER = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
const { status, stdout } = spawnSync(process.execPath, [COMPILER, '-p', EXAMPLE], { encoding: 'utf8' });
assert.equal(status, 0, stdout);
const { httpDestination } = await import('../examples/http-destination/dist/http-destination.js');

const DESTINATION = 'HTTP Destination';
const turns = async (count) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** An endpoint that answers with `answer(response, event)`, by default at once with 204. */
async function startEndpoint(t, answer = (response) => response.writeHead(204).end()) {
  const requests = [];
  const waiting = new Set();
  const server = http.createServer((request, response) => {
    void json(request).then((event) => {
      requests.push({ method: request.method, url: request.url, headers: request.headers, event });
      for (const look of waiting) look();
      answer(response, event);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  t.after(close);
  /** Resolves once so many requests are here. */
  const take = (count) =>
    new Promise((resolve) => {
      const look = () => {
        if (requests.length < count) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const ids = () => requests.map(({ event }) => event.messageId);
  return { url: `http://127.0.0.1:${server.address().port}/events`, requests, ids, take, close };
}

/** A client on Segment and an endpoint. */
async function startBoth(t, { answer, options, faults } = {}) {
  const endpoint = await startEndpoint(t, answer);
  const { analytics, segment } = await startPair(t, {}, { faults });
  const errors = [];
  const onError = (error, event) => errors.push({ error, messageId: event.messageId });
  await analytics.register(httpDestination({ url: endpoint.url, onError, ...options }));
  return { analytics, segment, endpoint, errors };
}

describe('an HTTP destination', { concurrency: true }, () => {
  test('gets the events of all six methods, as Segment does', async (t) => {
    const headers = { authorization: 'Bearer invented' };
    const { analytics, segment, endpoint, errors } = await startBoth(t, { options: { headers } });
    for (const method of METHODS) analytics[method]({ ...MINIMAL[method], messageId: method });
    const { delivered } = await analytics.flush();
    assert.deepEqual([delivered, errors], [METHODS.length, []]);
    assert.deepEqual(messageIdsOf(segment.events), METHODS);
    assert.deepEqual(endpoint.ids().toSorted(), METHODS.toSorted());
    for (const { method, url, headers: given, event } of endpoint.requests) {
      assert.deepEqual([method, url, event.type], ['POST', '/events', event.messageId]);
      assert.deepEqual([given['content-type'], given.authorization], ['application/json', 'Bearer invented']);
      const atSegment = segment.events.find(({ messageId }) => messageId === event.messageId);
      assert.deepEqual([event.timestamp, event.userId], [atSegment.timestamp, atSegment.userId]);
    }
  });

  test('sees what plugins made of the event', async (t) => {
    const { analytics, segment, endpoint } = await startBoth(t);
    const change = (name, type, total) => ({
      name,
      type,
      isLoaded: () => true,
      load: async () => {},
      track: (context) => void context.updateEvent(`properties.${name}`, total),
    });
    await analytics.register(change('first', 'before', 1), change('second', 'enrichment', 2));
    analytics.track(MINIMAL.track);
    await analytics.flush();
    for (const { properties } of [endpoint.requests[0].event, segment.events[0]])
      assert.deepEqual(properties, { first: 1, second: 2 });
  });

  for (const [what, integrations, expected] of [
    ['is left out by its name', { [DESTINATION]: false }, { segment: 1, endpoint: 0 }],
    ['is left out with all others', { All: false }, { segment: 1, endpoint: 0 }],
    ['can be the only one of the others', { All: false, [DESTINATION]: true }, { segment: 1, endpoint: 1 }],
    ['can be the only one at all', { 'Segment.io': false }, { segment: 0, endpoint: 1 }],
    ['does not answer to another name', { 'HTTP Destination 2': false }, { segment: 1, endpoint: 1 }],
  ]) {
    test(what, async (t) => {
      const { analytics, segment, endpoint } = await startBoth(t);
      analytics.track({ ...MINIMAL.track, integrations });
      await analytics.flush();
      assert.deepEqual({ segment: segment.eventCount, endpoint: endpoint.requests.length }, expected);
    });
  }

  for (const [what, answer, expected] of [
    ['that answers 500', (response) => response.writeHead(500).end(), /answered with 500/],
    ['that redirects', (response) => response.writeHead(302, { location: '/' }).end(), /answered with 302/],
    ['that never answers', () => {}, /TimeoutError/],
    ['that hangs up', (response) => response.destroy(), /fetch failed/],
  ]) {
    test(`${what} harms nobody`, async (t) => {
      const options = { name: 'Bad', timeout: what === 'that never answers' ? 1_000 : 60_000 };
      const { analytics, segment, endpoint, errors } = await startBoth(t, { answer, options });
      const good = await startEndpoint(t);
      await analytics.register(httpDestination({ url: good.url, name: 'Good' }));
      const failures = failuresOf(analytics);
      const settling = settled(analytics, 'track', { ...MINIMAL.track, messageId: 'm0' });
      await analytics.flush();
      const [error, context] = await settling;
      assert.deepEqual([error, failures], [undefined, []]);
      assert.deepEqual([segment.events.length, good.ids(), endpoint.ids()], [1, ['m0'], ['m0']]);
      assert.deepEqual(
        context.logs().map(({ extras }) => extras.plugin),
        ['Bad'],
      );
      assert.deepEqual(
        errors.map(({ messageId }) => messageId),
        ['m0'],
      );
      assert.match(String(errors[0].error), expected);
    });
  }

  test('gets what Segment refuses', async (t) => {
    const { analytics, segment, endpoint } = await startBoth(t, {
      faults: [{ status: 400, times: Infinity }],
    });
    const failures = failuresOf(analytics);
    analytics.track({ ...MINIMAL.track, messageId: 'm0' });
    await analytics.flush();
    assert.deepEqual([segment.eventCount, failures.length, endpoint.ids()], [0, 1, ['m0']]);
  });

  test('is waited for by closeAndFlush', async (t) => {
    const held = [];
    const { analytics, segment, endpoint } = await startBoth(t, {
      answer: (response) => held.push(response),
    });
    trackMany(analytics, 2);
    let isClosed = false;
    const closing = analytics.closeAndFlush().then(() => (isClosed = true));
    await Promise.all([segment.waitForEvents(2), endpoint.take(2)]);
    held[0].writeHead(204).end();
    await turns(20);
    assert.equal(isClosed, false);
    held[1].writeHead(204).end();
    await closing;
  });

  test('has so many requests at once and so many events that wait, and says so of the next', async (t) => {
    const held = [];
    const { analytics, segment, endpoint, errors } = await startBoth(t, {
      answer: (response) => held.push(response),
      options: { maxConcurrent: 2, maxWaiting: 3 },
    });
    const ids = trackMany(analytics, 6);
    await endpoint.take(2);
    await turns(20);
    assert.deepEqual(endpoint.ids().toSorted(), ids.slice(0, 2));
    assert.deepEqual(
      errors.map(({ messageId }) => messageId),
      ids.slice(5),
    );
    const flushing = analytics.flush();
    for (let answered = 0; answered < 5; answered += 1) {
      await endpoint.take(answered + 1);
      held[answered].writeHead(204).end();
    }
    await flushing;
    assert.deepEqual(endpoint.ids().toSorted(), ids.slice(0, 5));
    assert.deepEqual(messageIdsOf(segment.events), ids);
  });

  test('runs in analytics-node', async (t) => {
    const endpoint = await startEndpoint(t);
    const segment = await startSegment(t);
    const peer = new Peer({ writeKey: KEY, host: segment.url, flushInterval: NEVER_MS });
    t.after(() => peer.closeAndFlush({ timeout: 1 }));
    await peer.register(httpDestination({ url: endpoint.url }));
    peer.track({ ...MINIMAL.track, messageId: 'm0' });
    peer.track({ ...MINIMAL.track, messageId: 'm1', integrations: { [DESTINATION]: false } });
    await peer.flush();
    assert.deepEqual([messageIdsOf(segment.events), endpoint.ids()], [['m0', 'm1'], ['m0']]);
  });

  test('takes no url that is none, or that is not encrypted', () => {
    for (const url of ['', 'events', 'http://events.example', 'ftp://127.0.0.1/events'])
      assert.throws(() => httpDestination({ url }), TypeError);
    assert.equal(httpDestination({ url: 'https://events.example' }).name, DESTINATION);
  });
});
