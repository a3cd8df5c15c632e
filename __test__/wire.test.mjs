/** What goes over the wire: requests, bodies, events. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import {
  KEY,
  METHODS,
  MINIMAL,
  messageIdsOf,
  startClient,
  startPair,
  trackMany,
} from './support/clients.mjs';
import { startCollector } from './support/collector.mjs';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
const FULL = {
  context: { ip: '::1' },
  integrations: { All: true, Tool: { id: 1 } },
  timestamp: new Date(0),
  messageId: 'm1',
};

async function startWire(t, settings, answers) {
  const collector = await startCollector(t, answers);
  return { ...collector, analytics: startClient(t, collector, settings) };
}

describe('requests', () => {
  test('are POSTs to /v1/batch with exactly these headers', async (t) => {
    const { analytics, requests, url } = await startWire(t);
    analytics.track(MINIMAL.track);
    await analytics.flush();
    const [{ method, url: path, headers, body }] = requests;
    assert.deepEqual([method, path], ['POST', '/v1/batch']);
    assert.deepEqual(headers, {
      accept: '*/*',
      authorization: `Basic ${Buffer.from(`${KEY}:`).toString('base64')}`,
      'content-encoding': 'gzip',
      'content-length': String(body.length),
      'content-type': 'application/json',
      host: new URL(url).host,
      'user-agent': `companion-segment/${version} (node/${process.versions.node})`,
    });
  });

  test('hold batch, writeKey and sentAt, and nothing else', async (t) => {
    const { analytics, requests } = await startWire(t);
    trackMany(analytics, 3);
    const before = Date.now();
    await analytics.flush();
    const [{ json }] = requests;
    assert.deepEqual(Object.keys(json), ['batch', 'writeKey', 'sentAt']);
    assert.equal(json.writeKey, KEY);
    assert.match(json.sentAt, ISO);
    assert.ok(Date.parse(json.sentAt) >= before && Date.parse(json.sentAt) <= Date.now());
    assert.deepEqual(messageIdsOf(json.batch), ['m0', 'm1', 'm2']);
  });

  test('are plain with gzip: false, byte for byte the same JSON', async (t) => {
    const { analytics, requests } = await startWire(t, { gzip: false });
    analytics.track(MINIMAL.track);
    await analytics.flush();
    const [{ headers, body, text }] = requests;
    assert.equal(headers['content-encoding'], undefined);
    assert.equal(body.toString(), text);
    assert.deepEqual([analytics.stats().bytesRaw, analytics.stats().bytesSent], [body.length, body.length]);
  });

  test('are compressed by default, and the counters tell both sizes', async (t) => {
    const { analytics, requests } = await startWire(t);
    trackMany(analytics, 100);
    await analytics.flush();
    const [{ body, text }] = requests;
    const { bytesRaw, bytesSent, requests: count } = analytics.stats();
    assert.deepEqual([bytesRaw, bytesSent, count], [Buffer.byteLength(text), body.length, 1]);
    assert.ok(bytesSent < bytesRaw / 4);
  });

  test('carry any write key', async (t) => {
    const writeKey = 'k"\\é字😀:/?';
    const { analytics, requests } = await startWire(t, { writeKey });
    analytics.track(MINIMAL.track);
    await analytics.flush();
    assert.equal(requests[0].json.writeKey, writeKey);
    const [, credentials] = requests[0].headers.authorization.split(' ');
    assert.equal(Buffer.from(credentials, 'base64').toString('utf8'), `${writeKey}:`);
  });

  for (const [path, expected] of [
    ['/v1/b', '/v1/b'],
    ['/v1/b/', '/v1/b'],
    ['/', '/'],
    ['/v1/batch?source=x', '/v1/batch?source=x'],
    ['v2/import', '/v2/import'],
  ]) {
    test(`go to the path ${path}`, async (t) => {
      const { analytics, requests } = await startWire(t, { path });
      analytics.track(MINIMAL.track);
      await analytics.flush();
      assert.equal(requests[0].url, expected);
    });
  }
});

describe('attempts', () => {
  test('count up in X-Retry-Count, with a fresh sentAt and the same events', async (t) => {
    const { analytics, requests } = await startWire(t, {}, [{ status: 500 }, { status: 503 }]);
    trackMany(analytics, 2);
    const { delivered } = await analytics.flush();
    assert.equal(delivered, 2);
    assert.deepEqual(
      requests.map(({ headers }) => headers['x-retry-count']),
      [undefined, '1', '2'],
    );
    const sentAt = requests.map(({ json }) => Date.parse(json.sentAt));
    assert.ok(sentAt[0] < sentAt[1] && sentAt[1] < sentAt[2], String(sentAt));
    const [first, ...others] = requests.map(({ json }) => json.batch);
    for (const batch of others) assert.deepEqual(batch, first);
    assert.ok(Date.parse(first[0].timestamp) <= sentAt[0]);
    assert.equal(analytics.stats().retries, 2);
  });
});

/** What the seal adds to every event. */
function assertSealed({ messageId, timestamp, context, _metadata }) {
  assert.match(messageId, UUID);
  assert.match(timestamp, ISO);
  assert.deepEqual(context, { library: { name: '@companion/segment', version } });
  assert.deepEqual(_metadata, { nodeVersion: process.version, jsRuntime: 'node' });
}

describe('events', () => {
  const bare = {
    identify: { userId: 'u1', traits: {} },
    track: { userId: 'u1', event: 'Ordered', properties: {} },
    page: { userId: 'u1', properties: {} },
    screen: { userId: 'u1', properties: {} },
    group: { userId: 'u1', groupId: 'g1', traits: {} },
    alias: { userId: 'u1', previousId: 'a1' },
  };
  const traits = { email: 'a@b.example', nested: { list: [1, null] } };
  const full = {
    identify: { userId: 'u1', anonymousId: 'a1', traits },
    track: { userId: 'u1', anonymousId: 'a1', event: 'Ordered', properties: traits },
    page: { userId: 'u1', anonymousId: 'a1', name: 'Home', properties: traits },
    screen: { userId: 'u1', anonymousId: 'a1', name: 'Home', properties: traits },
    group: { userId: 'u1', anonymousId: 'a1', groupId: 'g1', traits },
    alias: { userId: 'u1', previousId: 'a1' },
  };
  for (const method of METHODS) {
    test(`${method} with the least it takes`, async (t) => {
      const { analytics, requests } = await startWire(t);
      const before = Date.now();
      analytics[method](MINIMAL[method]);
      const after = Date.now();
      await analytics.flush();
      const [event] = requests[0].json.batch;
      assertSealed(event);
      assert.ok(Date.parse(event.timestamp) >= before && Date.parse(event.timestamp) <= after);
      const { messageId: _id, timestamp: _at, context: _context, _metadata, ...rest } = event;
      assert.deepEqual(rest, { type: method, integrations: {}, ...bare[method] });
    });

    test(`${method} with everything it takes`, async (t) => {
      const { analytics, requests } = await startWire(t);
      analytics[method]({ ...full[method], ...FULL });
      await analytics.flush();
      const [{ context, _metadata, ...event }] = requests[0].json.batch;
      assert.equal(context.ip, '::1');
      assert.equal(context.library.name, '@companion/segment');
      const { integrations, messageId } = FULL;
      const timestamp = '1970-01-01T00:00:00.000Z';
      assert.deepEqual(event, { type: method, ...full[method], integrations, messageId, timestamp });
      for (const member of ['messageId', 'timestamp', 'integrations', 'context', 'type', 'library']) {
        assert.equal(requests[0].text.split(`"${member}":`).length, 2, `${member} is written once`);
      }
    });
  }

  test('a page has its category twice, a screen once, and nothing of null', async (t) => {
    const { analytics, requests } = await startWire(t);
    const properties = { category: 'other', name: 'other', path: '/' };
    for (const method of ['page', 'screen']) {
      analytics[method]({ userId: 'u1', category: 'Docs', name: 'Home', properties });
      analytics[method]({ userId: 'u1', category: null, name: null, properties });
      analytics[method]({ userId: 'u1', category: '', name: '' });
    }
    await analytics.flush();
    const views = requests[0].json.batch.map(({ category, name, properties: sent }) => ({
      category,
      name,
      sent,
    }));
    const untouched = { category: undefined, name: undefined, sent: properties };
    assert.deepEqual(views, [
      { category: 'Docs', name: 'Home', sent: { ...properties, category: 'Docs' } },
      untouched,
      { category: '', name: '', sent: { category: '' } },
      { category: 'Docs', name: 'Home', sent: properties },
      untouched,
      { category: '', name: '', sent: {} },
    ]);
  });

  test('message ids are random and different', async (t) => {
    const { analytics, requests } = await startWire(t);
    for (let count = 0; count < 2_000; count += 1) analytics.track(MINIMAL.track);
    await analytics.flush();
    const ids = messageIdsOf(requests.flatMap(({ json }) => json.batch));
    assert.equal(new Set(ids).size, 2_000);
    for (const id of ids) assert.match(id, UUID);
    // Neighbours of analytics-node's share 15 of 16 bytes.
    assert.equal(new Set(ids.map((id) => id.slice(0, 13))).size, 2_000);
  });

  test('arrive in the order of the calls where one request follows the other', async (t) => {
    const { analytics, segment } = await startPair(t, { maxConcurrentRequests: 1 });
    const ids = trackMany(analytics, 5_000);
    await analytics.flush();
    assert.ok(segment.requestCount > 1);
    assert.deepEqual(messageIdsOf(segment.events), ids);
  });
});

describe('snapshots', () => {
  for (const [way, settings] of [
    ['', {}],
    [', with redact', { redact: ['properties.none'] }],
  ]) {
    test(`what the caller changes after the call is not sent${way}`, async (t) => {
      const { analytics, requests } = await startWire(t, settings);
      const params = {
        ...MINIMAL.track,
        ...FULL,
        timestamp: new Date(0),
        properties: { list: [1], o: { a: 1 } },
        context: { a: { b: 1 } },
      };
      analytics.track(params);
      params.properties.list.push('later');
      params.properties.o.a = 'later';
      params.properties.added = 'later';
      params.context.a.b = 'later';
      params.timestamp.setTime(1);
      params.event = 'later';
      await analytics.flush();
      assert.ok(!requests[0].text.includes('later'));
      assert.equal(requests[0].json.batch[0].timestamp, '1970-01-01T00:00:00.000Z');
    });

    test(`the caller's objects stay as they were, frozen or not${way}`, async (t) => {
      const { analytics, requests } = await startWire(t, settings);
      const make = () => ({
        properties: { a: { b: [1] } },
        traits: { a: { b: [1] } },
        context: { ip: '1', library: 1 },
        integrations: { All: true },
      });
      for (const method of METHODS) {
        const params = { ...MINIMAL[method], category: 'c', ...make() };
        const copy = structuredClone(params);
        assert.equal(analytics[method](params), true);
        assert.deepEqual(params, copy);
        const frozen = { ...MINIMAL[method], category: 'c', ...make() };
        for (const value of Object.values(frozen)) Object.freeze(value);
        assert.equal(analytics[method](Object.freeze(frozen)), true);
      }
      await analytics.flush();
      const { batch } = requests[0].json;
      assert.equal(batch.length, 12);
      for (const { context } of batch) assert.equal(context.library.name, '@companion/segment');
    });
  }
});
