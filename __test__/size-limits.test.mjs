/** 32 KiB an event, measured on the bytes that a server receives. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MINIMAL, assertConserved, assertRefused, startClient } from './support/clients.mjs';
import { eventTexts, startCollector } from './support/collector.mjs';

const LIMIT = 32 * 1024;
/** Given, so that every event has the same overhead. */
const FIXED = { ...MINIMAL.track, messageId: 'm1', timestamp: '2026-01-01T00:00:00.000Z' };

const PLACES = [
  ['properties', (filler) => ({ ...FIXED, properties: { filler } })],
  ['the event name', (filler) => ({ ...FIXED, event: filler })],
  ['the context', (filler) => ({ ...FIXED, context: { filler } })],
  ['integrations', (filler) => ({ ...FIXED, integrations: { Tool: { filler } } })],
  ['a key', (filler) => ({ ...FIXED, properties: { [filler]: 1 } })],
  [
    'properties, with id and time added by the client',
    (filler) => ({ ...MINIMAL.track, properties: { filler } }),
  ],
];

const FILLERS = [
  ['ASCII', 'x'],
  ['two-byte text', 'é'],
  ['three-byte text', '字'],
  ['four-byte text', '😀'],
  ['quotes that JSON escapes', '"'],
  ['control characters that JSON escapes', '\u0001'],
  ['lone surrogates that JSON escapes', '\ud800'],
];

const jsonBytes = (text) => Buffer.byteLength(JSON.stringify(text)) - 2;

/** Text of so many bytes in JSON. */
function fill(bytes, filler) {
  const unit = jsonBytes(filler);
  const text = filler.repeat(Math.floor(bytes / unit)) + 'x'.repeat(bytes % unit);
  assert.equal(jsonBytes(text), bytes);
  return text;
}

async function sentBytes(analytics, collector, params) {
  const { requests } = collector;
  assert.equal(analytics.track(params), true);
  await analytics.flush();
  const [text, ...others] = eventTexts(requests.at(-1).text);
  assert.deepEqual(others, []);
  assert.deepEqual(JSON.parse(text), requests.at(-1).json.batch[0]);
  return Buffer.byteLength(text);
}

describe('the largest event', () => {
  for (const [where, make] of PLACES) {
    for (const [what, filler] of FILLERS) {
      test(`${what} in ${where}: 32,768 bytes are delivered, one more is refused`, async (t) => {
        const collector = await startCollector(t);
        const analytics = startClient(t, collector);
        const overhead = (await sentBytes(analytics, collector, make(filler))) - jsonBytes(filler);
        const largest = make(fill(LIMIT - overhead, filler));
        assert.equal(await sentBytes(analytics, collector, largest), LIMIT);
        const tooLarge = make(fill(LIMIT - overhead + 1, filler));
        const { reason } = assertRefused(analytics, () => analytics.track(tooLarge), 'ERR_EVENT_TOO_LARGE');
        assert.equal(reason.limit, '32768 bytes');
        assert.match(reason.message, /32768/);
        assert.equal(await sentBytes(analytics, collector, largest), LIMIT);
        const { accepted, delivered, refused } = analytics.stats();
        assert.deepEqual([accepted, delivered, refused.event_too_large], [3, 3, 1]);
        assertConserved(analytics.stats());
      });
    }
  }

  test('the six methods share the limit', async (t) => {
    const collector = await startCollector(t);
    const analytics = startClient(t, collector);
    for (const [method, params] of Object.entries(MINIMAL)) {
      const context = { filler: 'x'.repeat(LIMIT) };
      assertRefused(analytics, () => analytics[method]({ ...params, context }), 'ERR_EVENT_TOO_LARGE');
    }
    assert.equal(analytics.stats().refused.event_too_large, 6);
  });
});

test('events of the largest size are split over requests of at most 500,000 bytes', async (t) => {
  const collector = await startCollector(t);
  const analytics = startClient(t, collector);
  const overhead = await sentBytes(analytics, collector, PLACES[0][1](''));
  const largest = PLACES[0][1]('x'.repeat(LIMIT - overhead));
  for (let count = 0; count < 100; count += 1) assert.equal(analytics.track(largest), true);
  const { delivered } = await analytics.flush();
  assert.equal(delivered, 101);
  const sizes = collector.requests.slice(1).map(({ text }) => Buffer.byteLength(text));
  assert.ok(Math.max(...sizes) <= 500_000, `largest request: ${Math.max(...sizes)}`);
  assert.ok(sizes.length <= Math.ceil(100 / 15), `requests: ${sizes.length}`);
  assert.equal(
    sizes.reduce((total, size) => total + size, 0),
    analytics.stats().bytesRaw - Buffer.byteLength(collector.requests[0].text),
  );
});
