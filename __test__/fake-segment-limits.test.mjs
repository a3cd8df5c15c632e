import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';

import {
  BASIC,
  EVENT_LIMIT,
  REQUEST_LIMIT,
  start,
  post,
  postBatch,
  track,
  trackOfBytes,
} from './support/fake-segment-requests.mjs';

describe('bodies', () => {
  test('gzip is taken, and both sizes are counted', async (t) => {
    const server = await start(t);
    const json = JSON.stringify({ batch: [track('m1'), track('m2')] });
    const compressed = gzipSync(json);
    for (const encoding of ['gzip', 'x-gzip', 'GZIP']) {
      assert.equal(
        (await post(server, '/v1/batch', compressed, { ...BASIC, 'content-encoding': encoding })).status,
        200,
      );
    }
    assert.equal((await post(server, '/v1/batch', json)).status, 200);
    assert.equal(server.eventCount, 8);
    const [zipped, , , plain] = server.requests;
    assert.deepEqual(
      [zipped.encoding, zipped.bytesOnWire, zipped.bytesRaw],
      ['gzip', compressed.length, json.length],
    );
    assert.deepEqual(
      [plain.encoding, plain.bytesOnWire, plain.bytesRaw],
      ['identity', json.length, json.length],
    );
    assert.equal(server.bytesOnWire, 3 * compressed.length + json.length);
    assert.equal(server.bytesRaw, 4 * json.length);
  });

  test('gzip: false answers 415 to a compressed body and takes a plain one', async (t) => {
    const server = await start(t, { gzip: false });
    const json = JSON.stringify({ batch: [track('m1')] });
    assert.equal(
      (await post(server, '/v1/batch', gzipSync(json), { ...BASIC, 'content-encoding': 'gzip' })).status,
      415,
    );
    assert.equal((await post(server, '/v1/batch', json)).status, 200);
    assert.equal(server.eventCount, 1);
  });

  test('other encodings answer 415', async (t) => {
    const server = await start(t);
    const body = deflateSync(JSON.stringify({ batch: [track('m1')] }));
    assert.equal(
      (await post(server, '/v1/batch', body, { ...BASIC, 'content-encoding': 'deflate' })).status,
      415,
    );
  });

  const gzip = { ...BASIC, 'content-encoding': 'gzip' };
  const refused = [
    { name: 'broken JSON', body: '{"batch":[{"canary":1}' },
    { name: 'an empty body', body: '' },
    { name: 'a body that is an array', body: '[{"canary":1}]' },
    { name: 'a body that is null', body: 'null' },
    { name: 'a batch that is no array', body: '{"batch":{"canary":1}}' },
    { name: 'no batch', body: '{"events":["canary"]}' },
    { name: 'an event that is no object', body: '{"batch":[{"type":"page","userId":"u1"},"canary"]}' },
    { name: 'an event that is null', body: '{"batch":[null]}' },
    { name: 'broken gzip', rawBytes: 0, body: 'canary', headers: gzip },
    {
      name: 'truncated gzip',
      rawBytes: 0,
      body: gzipSync('{"batch":["canary"]}').subarray(0, -9),
      headers: gzip,
    },
    { name: 'a gzip bomb', rawBytes: 0, body: gzipSync(Buffer.alloc(17 * 1024 * 1024, ' ')), headers: gzip },
    { name: 'more than the server buffers', rawBytes: 0, body: Buffer.alloc(17 * 1024 * 1024, ' ') },
    {
      name: 'an event nested too deeply',
      body: `{"batch":[{"canary":${'['.repeat(60_000)}${']'.repeat(60_000)}}]}`,
    },
  ];
  for (const { name, body, headers, rawBytes = body.length } of refused) {
    test(`${name} answers 400 without quoting the payload`, async (t) => {
      const server = await start(t);
      const { status, text } = await post(server, '/v1/batch', body, headers);
      assert.equal(status, 400);
      assert.equal(JSON.parse(text).success, false);
      assert.doesNotMatch(text, /canary/);
      assert.equal(server.eventCount, 0);
      assert.equal(server.requests[0].bytesOnWire, body.length);
      assert.equal(
        server.requests[0].bytesRaw,
        rawBytes,
        'no more is decompressed or kept than the server buffers',
      );
    });
  }
});

describe('limits', () => {
  /** A batch body of exactly so many bytes, one small event, padded with spaces. */
  const batchOfBytes = (bytes) =>
    `${'{"batch":[{"type":"page","userId":"u1","messageId":"m1"}]'.padEnd(bytes - 1)}}`;

  for (const headers of [BASIC, { ...BASIC, 'content-encoding': 'gzip' }]) {
    const encode = (text) => (headers === BASIC ? text : gzipSync(text));
    test(`500 KB per request, ${headers['content-encoding'] ?? 'plain'}`, async (t) => {
      const server = await start(t);
      assert.equal(
        (await post(server, '/v1/batch', encode(batchOfBytes(REQUEST_LIMIT)), headers)).status,
        200,
      );
      assert.equal(
        (await post(server, '/v1/batch', encode(batchOfBytes(REQUEST_LIMIT + 1)), headers)).status,
        400,
      );
      assert.equal(server.eventCount, 1);
      assert.equal(server.requests[1].bytesRaw, REQUEST_LIMIT + 1);
      assert.deepEqual(server.requests[1].messageIds, ['m1']);
    });
  }

  for (const record of [true, false]) {
    test(`32 KB per event in a batch, record: ${record}`, async (t) => {
      const server = await start(t, { record });
      for (const filler of ['x', 'ä', '"', '\\', '}', '},{', '[', '\\"']) {
        const neighbours = [track('m1'), track('m2')];
        const fits = trackOfBytes(EVENT_LIMIT, filler);
        const grown = trackOfBytes(EVENT_LIMIT + 1, filler);
        for (const position of [0, 1, 2]) {
          assert.equal(
            (await postBatch(server, neighbours.toSpliced(position, 0, fits))).status,
            200,
            filler,
          );
          assert.equal(
            (await postBatch(server, neighbours.toSpliced(position, 0, grown))).status,
            400,
            filler,
          );
        }
      }
      assert.equal(server.eventCount, 8 * 3 * 3);
    });
  }

  test('32 KB per single event', async (t) => {
    const server = await start(t);
    assert.equal((await post(server, '/v1/track', trackOfBytes(EVENT_LIMIT, 'ä'))).status, 200);
    assert.equal((await post(server, '/v1/track', trackOfBytes(EVENT_LIMIT + 1, 'ä'))).status, 400);
  });

  test('the size is that of the JSON written again: white space is free, written-out numbers are not', async (t) => {
    const server = await start(t);
    const spacious = `{"batch":[${JSON.stringify(track('m1'), null, 1).replace('{', `{${' '.repeat(EVENT_LIMIT)}`)}]}`;
    assert.equal((await post(server, '/v1/batch', spacious)).status, 200);
    const numbers = `"type":"track","userId":"u1","event":"e","values":[${'1e20,'.repeat(1_500)}0]`;
    assert.ok(numbers.length < EVENT_LIMIT / 4);
    assert.equal((await post(server, '/v1/batch', `{"batch":[{${numbers}}]}`)).status, 400);
    assert.equal((await post(server, '/v1/track', `{${numbers}}`)).status, 400);
  });

  test('random batches are judged by the measured size of their largest event', async (t) => {
    const server = await start(t, { record: false });
    const random = seededRandom(20);
    const seen = new Set();
    for (let round = 0; round < 150; round += 1) {
      const batch = Array.from({ length: 1 + Math.floor(random() * 8) }, () => ({
        ...track('m1'),
        nested: randomJson(random, 5),
        size: 'x'.repeat(Math.floor(random() ** 3 * 36_000)),
      }));
      const largest = Math.max(...batch.map((event) => Buffer.byteLength(JSON.stringify(event))));
      const expected = largest > EVENT_LIMIT ? 400 : 200;
      seen.add(expected);
      assert.equal((await postBatch(server, batch)).status, expected, `round ${round}, ${largest} bytes`);
    }
    assert.equal(seen.size, 2);
  });
});

function seededRandom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomJson(random, depth) {
  const pick = Math.floor(random() * (depth > 0 ? 6 : 4));
  if (pick === 0) return random() * 1e22;
  if (pick === 1)
    return ['"', '\\', '}]', ',{"', 'ä\u2028\u0001'][Math.floor(random() * 5)].repeat(random() * 9);
  if (pick === 2) return null;
  if (pick === 3) return random() < 0.5;
  const values = Array.from({ length: Math.floor(random() * 7) }, () => randomJson(random, depth - 1));
  return pick === 4 ? values : Object.fromEntries(values.map((value, index) => [`k"${index}`, value]));
}

describe('events that are acknowledged and thrown away', () => {
  const cases = [
    { event: { type: 'track', event: 'e' }, reason: /userId and anonymousId/ },
    { event: { type: 'track', event: 'e', userId: '', anonymousId: null }, reason: /userId and anonymousId/ },
    { event: { type: 'identify', traits: {} }, reason: /userId and anonymousId/ },
    { event: { type: 'page' }, reason: /userId and anonymousId/ },
    { event: { type: 'screen' }, reason: /userId and anonymousId/ },
    { event: { type: 'group', groupId: 'g1' }, reason: /userId and anonymousId/ },
    { event: { type: 'group', userId: 'u1' }, reason: /groupId/ },
    { event: { type: 'alias', userId: 'u1' }, reason: /previousId/ },
    { event: { type: 'alias', previousId: 'a1' }, reason: /userId/ },
    { event: { type: 'track', userId: 'u1' }, reason: /event name/ },
    { event: { type: 'track', userId: 'u1', event: '' }, reason: /event name/ },
    { event: { userId: 'u1' }, reason: /type is missing/ },
    { event: { type: 'order', userId: 'u1' }, reason: /type is unknown/ },
    { event: { type: 'toString', userId: 'u1' }, reason: /type is unknown/ },
    { event: { type: 5, userId: 'u1' }, reason: /type is unknown/ },
    { event: track('m'.repeat(101)), reason: /longer than 100/ },
    { event: track(5), reason: /not a string/ },
  ];
  for (const { event, reason } of cases) {
    test(JSON.stringify(event).slice(0, 80), async (t) => {
      const server = await start(t);
      assert.equal((await postBatch(server, [track('m1'), event, track('m2')])).status, 200);
      assert.deepEqual(server.events, [track('m1'), track('m2')]);
      assert.deepEqual(
        server.rejected.map((entry) => entry.event),
        [event],
      );
      assert.match(server.rejected[0].reason, reason);
      assert.deepEqual([server.eventCount, server.rejectedCount], [2, 1]);
      assert.equal(server.requests[0].eventCount, 3);
    });
  }

  test('a messageId of 100 characters and a numeric userId are fine', async (t) => {
    const server = await start(t);
    await postBatch(server, [track('m'.repeat(100)), { type: 'page', userId: 0 }]);
    assert.equal(server.eventCount, 2);
  });

  test('2500 events are taken, of 2501 none', async (t) => {
    const server = await start(t);
    const events = Array.from({ length: 2501 }, (_, index) => track(`m${index}`));
    assert.equal((await postBatch(server, events.slice(1))).status, 200);
    assert.deepEqual([server.eventCount, server.rejectedCount], [2500, 0]);
    assert.equal((await postBatch(server, events)).status, 200);
    assert.deepEqual([server.eventCount, server.rejectedCount], [2500, 2501]);
    assert.match(server.rejected[0].reason, /2500/);
  });
});

describe('poison', () => {
  test('one poisonous event refuses its whole batch', async (t) => {
    const server = await start(t, { poison: (event) => event.messageId === 'bad' });
    const { status, text } = await postBatch(server, [track('m1'), track('bad'), track('m2')]);
    assert.equal(status, 400);
    assert.doesNotMatch(text, /bad/);
    assert.equal(server.eventCount, 0);
    assert.deepEqual(server.requests[0].messageIds, ['m1', 'bad', 'm2']);
    assert.equal((await postBatch(server, [track('m1')])).status, 200);
    assert.equal((await post(server, '/v1/track', track('bad'))).status, 400);
    assert.equal(server.eventCount, 1);
  });
});
