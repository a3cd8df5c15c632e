/** What a case needs: a client of either package on a server of its own, and what becomes of its events. */
import { KEY, METHODS, MINIMAL, next, startSegment } from '../support/clients.mjs';
import { startCollector } from '../support/collector.mjs';

/** The default of both, and longer than any case takes: nothing leaves by itself. */
const LATER_MS = 10_000;

/** A client that sends every event at once and tries twice, and that is gone with the test. */
export function clientOf(library, t, settings) {
  const analytics = new library.Analytics({
    writeKey: KEY,
    flushAt: 1,
    flushInterval: LATER_MS,
    maxRetries: 1,
    ...settings,
  });
  // Their timeout of 0 means: no limit.
  t.after(() => analytics.closeAndFlush({ timeout: 1 }));
  return analytics;
}

/** A client on a fake Segment. */
export async function onSegment(library, t, settings, options) {
  const segment = await startSegment(t, options);
  return { segment, analytics: clientOf(library, t, { host: segment.url, ...settings }) };
}

/** A client on a bare server, which shows what the fake Segment hides. */
export async function onCollector(library, t, settings, answers) {
  const collector = await startCollector(t, answers);
  return { collector, analytics: clientOf(library, t, { host: collector.url, ...settings }) };
}

/** Makes a call and waits for its event's end: the context, and the reason if it failed. */
export function fateOf(analytics, type = 'track', params = MINIMAL[type]) {
  const fate = nextFate(analytics);
  analytics[type](params);
  return fate;
}

/** The end of the next event that ends. */
export function nextFate(analytics) {
  return new Promise((resolve) => {
    const delivered = (context) => end({ context, reason: undefined });
    const failed = ({ reason, ctx }) => end({ context: ctx, reason });
    const end = (fate) => {
      for (const type of METHODS) analytics.off(type, delivered);
      analytics.off('error', failed);
      resolve(fate);
    };
    for (const type of METHODS) analytics.on(type, delivered);
    analytics.on('error', failed);
  });
}

/** The ends of so many events, in their order. */
export function fates(analytics, count) {
  const ends = [];
  return new Promise((resolve) => {
    const add = (end) => {
      if (ends.push(end) === count) resolve(ends);
    };
    for (const type of METHODS) analytics.on(type, (context) => add({ context, reason: undefined }));
    analytics.on('error', ({ reason, ctx }) => add({ context: ctx, reason }));
  });
}

/** The event as it arrived at a server. */
export async function sent(library, t, type, params, settings) {
  const { collector, analytics } = await onCollector(library, t, settings);
  analytics[type](params);
  const [{ json }] = await collector.take(1);
  return json.batch[0];
}

/** What a call throws, as far as the contract goes; undefined if nothing. */
export function thrownBy(call) {
  try {
    call();
    return undefined;
  } catch (error) {
    return { message: error.message, field: error.field };
  }
}

/** Tracks so many events with the ids m0, m1, ... */
export function trackAll(analytics, count, more) {
  for (let index = 0; index < count; index += 1) {
    analytics.track({ ...MINIMAL.track, messageId: `m${index}`, ...more });
  }
}

/** An `httpClient` function that sends to another server and remembers what it was called with. */
export function recordingFetch(url) {
  const calls = [];
  const fetchFn = (...args) => {
    calls.push(args);
    const [, { method, headers, body, signal }] = args;
    return fetch(url, { method, headers, body, signal });
  };
  return { calls, fetchFn };
}

/** A plugin that does `handle` at every kind of event. It gives the context back unless `handle` gives something. */
export function plugin(name, type, handle, more) {
  const handled = (context) => {
    const result = handle(context);
    if (result instanceof Promise) return result.then((given) => given ?? context);
    return result ?? context;
  };
  const handlers = handle && Object.fromEntries(METHODS.map((method) => [method, handled]));
  return { name, type, version: '1.0.0', isLoaded: () => true, load: async () => {}, ...handlers, ...more };
}

/** Lets everything run that can run without waiting. */
export async function turns(count) {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A promise with its ends. */
export function deferred() {
  let resolve;
  const promise = new Promise((end) => {
    resolve = end;
  });
  return { promise, resolve };
}

/** Replaces a member of an object until the test ends. */
export function replace(t, object, member, value) {
  const original = object[member];
  object[member] = value;
  t.after(() => {
    object[member] = original;
  });
}

export const boom = () => {
  throw new Error('boom');
};

export { KEY, METHODS, MINIMAL, next, startCollector, startSegment };
export { settled } from '../support/clients.mjs';
