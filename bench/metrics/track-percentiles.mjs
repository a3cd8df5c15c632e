import { performance } from 'node:perf_hooks';
import { buildEvent, buildWireEvent, WHOLE_BATCHES } from '../events.mjs';
import { OURS, OURS_WITH_SPOOL } from '../sdks/adapter.mjs';
import { percentile } from '../statistics.mjs';
import { deliverAll, sleep, trackOrFail } from './metric.mjs';

const WARM_UP_BURSTS = 4;
// As in track-call: blocks of the two alternate, so that both see the same caches, heap and neighbours.
const BLOCK = 50;
const REST_MS = 15;

export const title = 'track(): percentiles of single calls, in memory and with the spool';
export const note =
  'Every call is timed on its own with performance.now(), which costs both sides the same few dozen ns. Bursts with ' +
  'a full drain between them; in each, blocks of 50 track() calls alternate with blocks of 50 JSON.stringify calls ' +
  'on the same events in wire form, in the same process. The percentiles are over all calls of a round, garbage ' +
  'collection and waiting for a core included, and so are those of JSON.stringify; each ratio is between the same ' +
  'percentiles.';
export const onlySdks = [OURS, OURS_WITH_SPOOL];
export const columns = [
  { key: 'trackP50', title: 'p50 ns', digits: 0, headline: true },
  { key: 'trackP99', title: 'p99 ns', digits: 0 },
  { key: 'stringifyP50', title: 'JSON.stringify p50 ns', digits: 0 },
  { key: 'stringifyP99', title: 'JSON.stringify p99 ns', digits: 0 },
  { key: 'ratioP50', title: 'p50, × JSON.stringify', digits: 2 },
  { key: 'ratioP99', title: 'p99, × JSON.stringify', digits: 2 },
];

export function sizeFor(_sdk, quick) {
  return { calls: WHOLE_BATCHES, bursts: quick ? 6 : 20 };
}

export function describeSize({ calls, bursts }) {
  return `${bursts} bursts of ${calls} calls`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { calls, bursts } = size;
  const client = adapter.create(url, { waitingEvents: calls });
  const trackMs = new Float64Array(bursts * calls);
  const stringifyMs = new Float64Array(bursts * calls);
  let serializedLength = 0;

  for (let burst = 0; burst < WARM_UP_BURSTS + bursts; burst++) {
    const first = burst * calls;
    const sequences = Array.from({ length: calls }, (_, i) => first + i);
    const messages = sequences.map((sequence) => adapter.toMessage(buildEvent(sequence)));
    const wireEvents = sequences.map(buildWireEvent);
    // Warm-up bursts are written over by the first measured one.
    const slot = Math.max(0, burst - WARM_UP_BURSTS) * calls;

    for (let block = 0; block < calls; block += BLOCK) {
      for (let i = block; i < block + BLOCK; i++) {
        const start = performance.now();
        trackOrFail(client, messages[i]);
        trackMs[slot + i] = performance.now() - start;
      }
      for (let i = block; i < block + BLOCK; i++) {
        const start = performance.now();
        serializedLength += JSON.stringify(wireEvents[i]).length;
        stringifyMs[slot + i] = performance.now() - start;
      }
    }
    await deliverAll(bench, client, first + calls);
    await sleep(REST_MS);
  }
  await client.close();
  if (serializedLength === 0) throw new Error('JSON.stringify was optimized away');

  const [trackP50, trackP99] = [50, 99].map((percent) => percentile(trackMs, percent) * 1e6);
  const [stringifyP50, stringifyP99] = [50, 99].map((percent) => percentile(stringifyMs, percent) * 1e6);
  return {
    trackP50,
    trackP99,
    stringifyP50,
    stringifyP99,
    ratioP50: trackP50 / stringifyP50,
    ratioP99: trackP99 / stringifyP99,
  };
}
