import { performance } from 'node:perf_hooks';
import { createRequire } from 'node:module';
import { buildEvent, WHOLE_BATCHES } from '../events.mjs';
import { OURS } from '../sdks/adapter.mjs';
import { median } from '../statistics.mjs';
import { deliverAll, sleep } from './metric.mjs';

const require = createRequire(import.meta.url);
const WARM_UP_BURSTS = 4;
// Texts are made in blocks this long, beside the clock: track() hands over text that it has just made.
const BLOCK = 100;
const REST_MS = 15;
const QUEUE_BYTES_PER_EVENT = 1500;
// As much as the event lacks to 500 bytes.
const NOTE = 'autumn catalogue, page 7';

export const title = 'The native call alone';
export const note =
  "What track() calls of the engine, without the face's checks and without JSON.stringify: one text of about 500 bytes " +
  'is taken in. Cold are all calls in a row on a client that has never sent anything, with the memory of its queue still to ' +
  'be had and the engine delivering meanwhile; warm is the median burst of a client with a full drain after each.';
export const onlySdks = [OURS];
export const columns = [
  { key: 'warmNs', title: 'warm ns', digits: 0, headline: true },
  { key: 'coldNs', title: 'cold ns', digits: 0 },
  { key: 'bytes', title: 'bytes of text', digits: 0 },
];

export function sizeFor(_sdk, quick) {
  return { cold: quick ? 30_000 : 100_000, calls: WHOLE_BATCHES, bursts: quick ? 10 : 40 };
}

export function describeSize({ cold, calls, bursts }) {
  return `${cold} cold, ${bursts} bursts of ${calls}`;
}

const textOf = (/** @type {number} */ sequence) => {
  const { userId, event, properties, context } = buildEvent(sequence);
  return JSON.stringify({ event, userId, properties: { ...properties, note: NOTE }, context });
};

/** What the face is built on: not what the package exports, but what it has. */
function nativeCall() {
  const { EVENT_TYPES, FLAG } = require('../../dist/native.js');
  const { enqueue } = require('../../dist/addon.js').loadAddon();
  return { enqueue, flags: EVENT_TYPES.indexOf('track') + FLAG.context };
}

/** @returns {number} the number by which the native call knows the client */
function handleOf(/** @type {any} */ analytics) {
  let known = 0;
  analytics.identifyNatively((/** @type {number} */ handle) => {
    known = handle;
    return '+';
  });
  return known;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { cold, calls, bursts } = size;
  const { Analytics } = adapter.load();
  const { enqueue, flags } = nativeCall();
  const start = () => {
    const maxQueueBytes = Math.max(64 * 1024 * 1024, cold * QUEUE_BYTES_PER_EVENT);
    const analytics = new Analytics({ writeKey: 'bench', host: url, maxQueueBytes });
    const handle = handleOf(analytics);
    const client = {
      flush: () => analytics.flush(),
      close: () => analytics.closeAndFlush({ timeout: 5000 }),
      problem: () => undefined,
    };
    return { handle, client };
  };

  let sequence = 0;
  let bytes = 0;
  /** @returns {number} ns for each call */
  const timeCalls = (/** @type {number} */ handle, /** @type {number} */ count) => {
    let ms = 0;
    for (let block = 0; block < count; block += BLOCK) {
      const texts = Array.from({ length: BLOCK }, () => textOf(sequence++));
      const blockStart = performance.now();
      let refused = 0;
      for (let i = 0; i < BLOCK; i++) if (enqueue(handle, texts[i], flags) < 0) refused += 1;
      ms += performance.now() - blockStart;
      if (refused > 0) throw new Error(`the engine refused ${refused} events`);
      bytes += texts.reduce((sum, text) => sum + text.length, 0);
    }
    return (ms * 1e6) / count;
  };

  const fresh = start();
  const coldNs = timeCalls(fresh.handle, cold);
  await deliverAll(bench, fresh.client, sequence);
  await fresh.client.close();

  const { handle, client } = start();
  /** @type {number[]} */
  const warm = [];
  for (let burst = 0; burst < WARM_UP_BURSTS + bursts; burst++) {
    const ns = timeCalls(handle, calls);
    await deliverAll(bench, client, sequence);
    await sleep(REST_MS);
    if (burst >= WARM_UP_BURSTS) warm.push(ns);
  }
  await client.close();
  return { warmNs: median(warm), coldNs, bytes: bytes / sequence };
}
