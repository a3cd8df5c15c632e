import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { KEY, MINIMAL, clientOf, fateOf, fates, onCollector, startCollector, trackAll } from '../stage.mjs';

async function request(library, t, settings) {
  const { collector, analytics } = await onCollector(library, t, settings);
  analytics.track(MINIMAL.track);
  const [first] = await collector.take(1);
  return first;
}

/** Two attempts of one event. */
async function attempts(library, t) {
  const { collector, analytics } = await onCollector(library, t, {}, [{ status: 500 }]);
  const fate = await fateOf(analytics);
  assert.equal(fate.reason, undefined);
  return collector.take(2);
}

export const cases = [
  {
    name: 'is a POST to the path',
    async run(library, t) {
      const { method, url } = await request(library, t);
      assert.deepEqual([method, url], ['POST', '/v1/batch']);
    },
  },
  {
    name: 'Content-Type is application/json',
    async run(library, t) {
      const { headers } = await request(library, t);
      assert.match(headers['content-type'], /^application\/json/);
    },
  },
  {
    name: 'User-Agent',
    async run(library, t) {
      assert.match((await request(library, t)).headers['user-agent'], /companion-segment/);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`analytics-node-next/latest`',
      ours: 'its own name',
      why: 'servers can tell the two apart',
      async run(library, t) {
        assert.equal((await request(library, t)).headers['user-agent'], 'analytics-node-next/latest');
      },
    },
  },
  {
    name: 'Authorization is Basic with the write key as user',
    async run(library, t) {
      const { headers } = await request(library, t);
      assert.equal(headers.authorization, `Basic ${Buffer.from(`${KEY}:`).toString('base64')}`);
    },
  },
  {
    name: 'Content-Length is there, Transfer-Encoding is not',
    async run(library, t) {
      const { headers, body } = await request(library, t);
      assert.equal(Number(headers['content-length']), body.length);
      assert.ok(!('transfer-encoding' in headers));
    },
  },
  {
    name: 'the first attempt has no X-Retry-Count',
    run: async (library, t) => assert.ok(!('x-retry-count' in (await request(library, t)).headers)),
  },
  {
    name: 'the second attempt has X-Retry-Count: 1',
    async run(library, t) {
      const [, second] = await attempts(library, t);
      assert.equal(second.headers['x-retry-count'], '1');
    },
  },
  {
    name: 'the body is { batch, writeKey, sentAt } in this order',
    async run(library, t) {
      const { json } = await request(library, t);
      assert.deepEqual(Object.keys(json), ['batch', 'writeKey', 'sentAt']);
      assert.equal(json.writeKey, KEY);
    },
  },
  {
    name: 'sentAt is ISO text with milliseconds',
    async run(library, t) {
      const { sentAt } = (await request(library, t)).json;
      assert.equal(new Date(sentAt).toISOString(), sentAt);
    },
  },
  {
    name: 'each attempt has a sentAt of its own and the same events',
    async run(library, t) {
      const [first, second] = await attempts(library, t);
      assert.ok(first.json.sentAt < second.json.sentAt);
      assert.deepEqual(first.json.batch, second.json.batch);
    },
  },
  {
    name: 'events of one batch are in the order of the calls',
    async run(library, t) {
      const { collector, analytics } = await onCollector(library, t, { flushAt: 5 });
      trackAll(analytics, 5);
      const [{ json }] = await collector.take(1);
      assert.deepEqual(
        json.batch.map(({ messageId }) => messageId),
        ['m0', 'm1', 'm2', 'm3', 'm4'],
      );
    },
  },
  {
    name: 'connections are used again',
    async run(library, t) {
      const { collector, analytics } = await onCollector(library, t);
      for (let call = 0; call < 3; call += 1) await fateOf(analytics);
      const [{ headers }] = await collector.take(3);
      assert.notEqual(headers.connection, 'close');
    },
  },
  {
    name: 'compression of the body',
    async run(library, t) {
      const { collector, analytics } = await onCollector(library, t, { flushAt: 20 });
      trackAll(analytics, 20);
      const [{ headers, text, body }] = await collector.take(1);
      assert.equal(headers['content-encoding'], 'gzip');
      assert.ok(body.length < text.length);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'none',
      ours: 'gzip',
      why: 'a fraction of the bytes; given up by itself where it is refused',
      advice: '`gzip: false` for a server of your own that takes none',
      async run(library, t) {
        const { collector, analytics } = await onCollector(library, t, { flushAt: 20 });
        trackAll(analytics, 20);
        const [{ headers }] = await collector.take(1);
        assert.ok(!('content-encoding' in headers));
      },
    },
  },
  {
    name: 'how many batches are in flight at once',
    run: async (library, t) => assert.ok((await mostInFlight(library, t, 12)) <= 4),
    differs: {
      kind: DELIBERATE,
      theirs: 'all of them',
      ours: 'at most 4 (`maxConcurrentRequests`)',
      why: 'thousands of connections help nobody',
      advice: 'raise it up to 64 if you have to',
      run: async (library, t) => assert.equal(await mostInFlight(library, t, 12), 12),
    },
  },
];

/** The most requests that were under way together when so many batches are tracked in a row. */
async function mostInFlight(library, t, batches) {
  const { url } = await startCollector(t);
  let inFlight = 0;
  let most = 0;
  const httpClient = async (_url, { method, headers, body }) => {
    inFlight += 1;
    most = Math.max(most, inFlight);
    const response = await fetch(url, { method, headers, body });
    inFlight -= 1;
    return response;
  };
  const analytics = clientOf(library, t, { host: url, httpClient });
  const ends = fates(analytics, batches);
  trackAll(analytics, batches);
  await ends;
  return most;
}
