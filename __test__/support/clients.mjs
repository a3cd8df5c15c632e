/** Clients of the package on servers of its own, and what can be said of every client. */
import assert from 'node:assert/strict';

import { Analytics } from '@companion/segment';
import { startFakeSegment } from '@companion/segment/testing';

export const KEY = 'test-write-key';
/** The longest option of milliseconds there is: nothing leaves by itself. */
export const NEVER_MS = 2_147_483_647;

/** A fake Segment that is closed with the test. */
export async function startSegment(t, options) {
  const segment = await startFakeSegment(options);
  t.after(() => segment.close());
  return segment;
}

/** A client that sends nothing before it is asked to, and that is gone with the test. */
export function startClient(t, segment, settings) {
  const analytics = new Analytics({
    writeKey: KEY,
    host: segment.url,
    flushAt: 2_500,
    flushInterval: NEVER_MS,
    ...settings,
  });
  t.after(() => analytics.closeAndFlush({ timeout: 0 }));
  return analytics;
}

/** Both at once. */
export async function startPair(t, settings, options) {
  const segment = await startSegment(t, options);
  return { segment, analytics: startClient(t, segment, settings) };
}

/** What `error` listeners are told, as a list that grows. */
export function failuresOf(analytics) {
  const failures = [];
  analytics.on('error', (failure) => failures.push(failure));
  return failures;
}

/** The next `event` of the client: the arguments of its listeners. */
export const next = (analytics, event) =>
  new Promise((resolve) => {
    analytics.once(event, (...args) => resolve(args));
  });

/** Calls a method with a callback; resolves with the callback's arguments. */
export const settled = (analytics, type, params) =>
  new Promise((resolve) => {
    analytics[type](params, (...args) => resolve(args));
  });

export const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** `accepted = delivered + (sum of dropped) + spooled + pending`, for stats and reports. */
export function assertConserved({ accepted, delivered, dropped, spooled, pending }) {
  assert.equal(accepted, delivered + sum(dropped) + spooled + pending);
}

/** Only the counters that are not zero. */
export const counted = (counts) =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));

/** The least that each method takes. */
export const MINIMAL = {
  identify: { userId: 'u1' },
  track: { userId: 'u1', event: 'Ordered' },
  page: { userId: 'u1' },
  screen: { userId: 'u1' },
  group: { userId: 'u1', groupId: 'g1' },
  alias: { userId: 'u1', previousId: 'a1' },
};
export const METHODS = Object.keys(MINIMAL);

/** An event that a listener, callback or plugin was shown, as it goes over the wire. */
export function onTheWire(event) {
  assert.ok(event.timestamp instanceof Date, String(event.timestamp));
  return JSON.parse(JSON.stringify(event));
}

/** Tracks so many events in a row; returns their ids. */
export function trackMany(analytics, count, prefix = 'm') {
  const messageIds = Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  for (const messageId of messageIds) assert.equal(analytics.track({ ...MINIMAL.track, messageId }), true);
  return messageIds;
}

export const messageIdsOf = (events) => events.map(({ messageId }) => messageId);

/** Refused: `false`, nothing thrown, nothing accepted, one typed error. Returns what its listener got. */
export function assertRefused(analytics, call, code) {
  const failures = [];
  const listener = (failure) => failures.push(failure);
  analytics.on('error', listener);
  const before = analytics.stats();
  assert.equal(call(), false);
  analytics.off('error', listener);
  assert.equal(failures.length, 1);
  const [{ code: kind, reason, ctx }] = failures;
  assert.equal(kind, 'delivery_failure');
  assert.equal(reason.code, code);
  assert.ok(reason instanceof Error);
  assert.equal(ctx.failedDelivery().reason, reason);
  const after = analytics.stats();
  assert.equal(after.accepted, before.accepted);
  assert.equal(sum(after.refused), sum(before.refused) + 1);
  assertConserved(after);
  return { reason, ctx };
}
