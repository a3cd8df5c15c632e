import { performance } from 'node:perf_hooks';
import { buildEvent, buildWireEvent, WHOLE_BATCHES } from '../events.mjs';
import { median } from '../statistics.mjs';
import { deliverAll, sleep, trackOrFail } from './metric.mjs';

const WARM_UP_BURSTS = 4;
// track() and JSON.stringify alternate in blocks this long, so that both see the same caches and the same heap.
const BLOCK = 50;
// Lets timers and sockets of the last burst finish, so that their work is not charged to the next.
const REST_MS = 15;

export const title = 'track(): synchronous cost on the JavaScript thread';
export const note =
  'Bursts of calls with a full drain between them. In each burst, blocks of 50 track() calls alternate with blocks ' +
  'of 50 JSON.stringify calls on the same events in wire form, in the same process. ns/call is the time inside ' +
  'track(), the median burst of a round; the mean of all bursts includes garbage collection. Thread ns/call is all ' +
  'that the JavaScript thread was busy per event until the burst was delivered: promises, timers and requests, too.';
export const columns = [
  { key: 'trackNs', title: 'ns/call', digits: 0, headline: true },
  { key: 'trackMeanNs', title: 'mean ns/call', digits: 0 },
  { key: 'stringifyNs', title: 'JSON.stringify ns', digits: 0 },
  { key: 'ratio', title: '× JSON.stringify', digits: 2 },
  { key: 'threadNs', title: 'thread ns/call', digits: 0 },
];

export function sizeFor(sdk, quick) {
  // A burst stays in this SDK's queue, which every call serializes again: the cost grows with the burst.
  if (sdk === 'rudder-sdk-node') return { calls: WHOLE_BATCHES / 5, bursts: quick ? 4 : 6 };
  return { calls: WHOLE_BATCHES, bursts: quick ? 6 : 12 };
}

export function describeSize({ calls, bursts }) {
  return `${bursts} bursts of ${calls} calls`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { calls, bursts } = size;
  const client = adapter.create(url, { waitingEvents: calls });
  /** @type {{ trackMs: number, stringifyMs: number, threadMs: number }[]} */
  const measured = [];
  let serializedLength = 0;

  for (let burst = 0; burst < WARM_UP_BURSTS + bursts; burst++) {
    const first = burst * calls;
    const sequences = Array.from({ length: calls }, (_, i) => first + i);
    const messages = sequences.map((sequence) => adapter.toMessage(buildEvent(sequence)));
    const wireEvents = sequences.map(buildWireEvent);
    let trackMs = 0;
    let stringifyMs = 0;

    const loop = performance.eventLoopUtilization();
    for (let block = 0; block < calls; block += BLOCK) {
      const blockStart = performance.now();
      for (let i = block; i < block + BLOCK; i++) trackOrFail(client, messages[i]);
      const between = performance.now();
      for (let i = block; i < block + BLOCK; i++) serializedLength += JSON.stringify(wireEvents[i]).length;
      trackMs += between - blockStart;
      stringifyMs += performance.now() - between;
    }
    await deliverAll(bench, client, first + calls);
    await sleep(REST_MS);
    const threadMs = performance.eventLoopUtilization(loop).active - stringifyMs;
    if (burst >= WARM_UP_BURSTS) measured.push({ trackMs, stringifyMs, threadMs });
  }
  await client.close();
  if (serializedLength === 0) throw new Error('JSON.stringify was optimized away');

  const nsPerCall = (/** @type {number} */ ms) => (ms * 1e6) / calls;
  const trackNs = nsPerCall(median(measured.map(({ trackMs }) => trackMs)));
  const stringifyNs = nsPerCall(median(measured.map(({ stringifyMs }) => stringifyMs)));
  return {
    trackNs,
    trackMeanNs: nsPerCall(measured.reduce((sum, { trackMs }) => sum + trackMs, 0) / bursts),
    stringifyNs,
    ratio: trackNs / stringifyNs,
    threadNs: nsPerCall(median(measured.map(({ threadMs }) => threadMs))),
  };
}
