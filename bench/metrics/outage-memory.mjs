import { buildEvent, buildWireEvent, WHOLE_BATCHES } from '../events.mjs';
import { deliverAll, nextTurn, sleep, trackOrFail } from './metric.mjs';

const CHUNK = 250;
const COLLECTIONS = 3;
// Long enough for the requests in flight to be refused, short enough that no SDK gives an event up.
const SETTLE_MS = 1000;

const WAITING_EVENTS = {
  companion: 33 * WHOLE_BATCHES,
  'analytics-node': 6 * WHOLE_BATCHES,
  'rudder-sdk-node': WHOLE_BATCHES,
  'posthog-node': 20 * WHOLE_BATCHES,
};

export const title = 'Memory while the server answers 503';
export const note =
  'Resident memory after garbage collection with the events waiting, less the same before them, per event; ' +
  'beside it the JSON bytes of one event as that SDK sends it. Then the server recovers, and every event must ' +
  'arrive: so all of them were really waiting.';
export const columns = [
  { key: 'rssPerEvent', title: 'RSS bytes/event', digits: 0, headline: true },
  { key: 'heapPerEvent', title: 'V8 heap + external bytes/event', digits: 0 },
  { key: 'jsonBytes', title: 'JSON bytes/event', digits: 0 },
  { key: 'ratio', title: '× JSON bytes', digits: 2 },
  { key: 'peakRssMiB', title: 'peak RSS MiB', digits: 0 },
];

export function sizeFor(sdk, quick) {
  const events = WAITING_EVENTS[sdk];
  const warmUp = sdk === 'rudder-sdk-node' ? WHOLE_BATCHES / 5 : WHOLE_BATCHES;
  return { events: quick ? Math.ceil(events / 4 / WHOLE_BATCHES) * WHOLE_BATCHES : events, warmUp };
}

export function describeSize({ events }) {
  return `${events} waiting events`;
}

async function memoryAfterCollection() {
  if (!globalThis.gc) throw new Error('the SDK process needs --expose-gc');
  for (let i = 0; i < COLLECTIONS; i++) {
    globalThis.gc();
    await sleep(50);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}

/** V8 grows its young generation on the first garbage: done before the baseline, or the SDK would be charged. */
async function growYoungGeneration(/** @type {number} */ events) {
  let length = 0;
  for (let sequence = 0; sequence < events; sequence++) {
    length += JSON.stringify(buildWireEvent(sequence)).length;
    if (sequence % CHUNK === 0) await nextTurn();
  }
  return length;
}

export async function measure(bench) {
  const { adapter, url, size, collector } = bench;
  const { events, warmUp } = size;
  const total = warmUp + events;
  await collector('answer', 'unavailable');
  const client = adapter.create(url, { waitingEvents: total, outage: true });

  const trackRange = async (/** @type {number} */ from, /** @type {number} */ to) => {
    for (let sequence = from; sequence < to; sequence++) {
      trackOrFail(client, adapter.toMessage(buildEvent(sequence)));
      if (sequence % CHUNK === 0) await nextTurn();
    }
  };
  await growYoungGeneration(total);
  await trackRange(0, warmUp);
  await sleep(SETTLE_MS / 2);
  const before = await memoryAfterCollection();

  await trackRange(warmUp, total);
  await sleep(SETTLE_MS);
  const after = await memoryAfterCollection();
  const peakRss = process.resourceUsage().maxRSS * 1024;

  await collector('answer', 'ok');
  const seen = await deliverAll(bench, client, total);
  if (seen.refusedRequests === 0) throw new Error(`${adapter.label}: no request met the outage`);
  await client.close();

  const rssPerEvent = (after.rss - before.rss) / events;
  const jsonBytes = seen.jsonBytes / total;
  return {
    rssPerEvent,
    heapPerEvent: (after.heap - before.heap) / events,
    jsonBytes,
    ratio: rssPerEvent / jsonBytes,
    peakRssMiB: peakRss / 2 ** 20,
  };
}
