// The process of `track-fresh`: one SDK under one Node. Says what a call costs that gets an event nobody has seen.
import { performance } from 'node:perf_hooks';
import { answerCalls, callsOver } from './ipc-calls.mjs';
import { deliverAll, sleep, trackOrFail } from './metrics/metric.mjs';
import { loadAdapter } from './sdks/adapter.mjs';
import { buildPurchase } from './small-events.mjs';
import { median } from './statistics.mjs';

// Events are built in blocks this long, beside the clock, and used at once: young objects, as an application has them.
const BLOCK = 100;
const REST_MS = 50;

const [sdkName] = process.argv.slice(2);
const adapter = await loadAdapter(sdkName);
const collector = callsOver(process, 'the SDK process');

let serializedLength = 0;
const stringify = (/** @type {any} */ params) => {
  serializedLength += JSON.stringify(params).length;
};

/**
 * @returns {{ mean: number, typical: number }} ns for each call, without the building of its event: of all calls, and of
 *   those of the median block
 */
function timeCalls(/** @type {number} */ first, /** @type {number} */ calls, call) {
  /** @type {number[]} */
  const blocksMs = [];
  for (let from = first; from < first + calls; from += BLOCK) {
    const events = Array.from({ length: BLOCK }, (_, i) => buildPurchase(from + i));
    const start = performance.now();
    for (let i = 0; i < BLOCK; i++) call(events[i]);
    blocksMs.push(performance.now() - start);
  }
  const nsPerCall = (/** @type {number} */ ms) => (ms * 1e6) / BLOCK;
  const mean = nsPerCall(blocksMs.reduce((sum, ms) => sum + ms, 0) / blocksMs.length);
  return { mean, typical: nsPerCall(median(blocksMs)) };
}

answerCalls(process, {
  /** Its events are those from `first` on: the collector has the earlier ones of other processes. */
  measure: async ({ url, first, warmUp, calls }) => {
    const client = adapter.create(url, { waitingEvents: warmUp + calls });
    const track = (/** @type {any} */ params) => trackOrFail(client, params);
    timeCalls(first, warmUp, stringify);
    timeCalls(first, warmUp, track);
    await deliverAll({ adapter, collector }, client, first + warmUp);
    await sleep(REST_MS);

    // JSON.stringify has the machine for itself, once before and once after; track() has it together with the engine
    // and the collector.
    const before = timeCalls(first, calls, stringify);
    const tracked = timeCalls(first + warmUp, calls, track);
    await deliverAll({ adapter, collector }, client, first + warmUp + calls);
    await sleep(REST_MS);
    const after = timeCalls(first, calls, stringify);
    await client.close();
    if (serializedLength === 0) throw new Error('JSON.stringify was optimized away');
    const stringifyNs = (before.mean + after.mean) / 2;
    return {
      trackNs: tracked.mean,
      stringifyNs,
      ratio: tracked.mean / stringifyNs,
      typicalNs: tracked.typical,
      typicalRatio: tracked.typical / ((before.typical + after.typical) / 2),
    };
  },
});
process.once('disconnect', () => process.exit(0));
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.once(signal, () => process.exit(1));
