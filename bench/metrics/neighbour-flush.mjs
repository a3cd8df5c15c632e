// oxlint-disable unicorn/require-post-message-target-origin -- a thread, not a window
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { buildEvent } from '../events.mjs';
import { startProcess } from '../own-process.mjs';
import { OURS } from '../sdks/adapter.mjs';
import { percentile } from '../statistics.mjs';
import { deliverAll, sleep, trackOrFail } from './metric.mjs';

const BUSY_CLIENTS = new URL('../busy-clients.mjs', import.meta.url);
// At the start of a round neighbours and their connections are new; this is about how they go on.
const SETTLE_MS = 300;
const WARM_UP_FLUSHES = 20;
const PAUSE_MS = 3;
// So slow that all requests are in flight. An engine that is faster than its server and its producer has few of them.
const ANSWER_MS = 250;

/** @type {Record<string, { clients: number, requests: number, settings: object } | undefined>} */
const NEIGHBOURS = {
  alone: undefined,
  besideOne: {
    clients: 1,
    requests: 64,
    settings: { maxConcurrentRequests: 64, maxQueueBytes: 256 * 1024 * 1024 },
  },
  besideSixteen: { clients: 16, requests: 4, settings: {} },
};

export const title = 'flush() of one event beside clients that are busy';
export const note =
  'A client with default settings tracks one event and flushes it, with a pause of 3 ms before the next. Its ' +
  'neighbours are clients in a worker thread of the same process, so of the same engine thread, that always have more ' +
  'full batches waiting than they may have requests in flight. They send to a server of their own, in a process of ' +
  'its own, that answers after 250 ms; the measured client sends to the collector. ms is from flush() until its ' +
  'promise has resolved. The machine has to run all of it: producer, engine, two servers and the measured event loop.';
export const cases = {
  alone: 'alone',
  besideOne: 'beside one client with 64 requests',
  besideSixteen: 'beside 16 default clients',
};
export const onlySdks = [OURS];
export const columns = [
  { key: 'p50', title: 'flush p50 ms', digits: 2 },
  { key: 'p99', title: 'flush p99 ms', digits: 2, headline: true },
  { key: 'max', title: 'max ms', digits: 1 },
  { key: 'neighboursPerSecond', title: "neighbours' events/s", digits: 0 },
  { key: 'mostInFlight', title: 'most of their requests at once', digits: 0 },
];

export function sizeFor(_sdk, quick, rounds) {
  return { rounds, flushes: quick ? 150 : 400 };
}

export function describeSize({ rounds, flushes }) {
  return `${rounds * flushes} flushes`;
}

/** Returns once all of them are busy. */
async function startNeighbours(/** @type {NonNullable<typeof NEIGHBOURS[string]>} */ neighbours) {
  const server = startProcess('local-segment.mjs');
  const { url } = await server.call('listen', { delayMs: ANSWER_MS });
  const worker = new Worker(BUSY_CLIENTS, { workerData: { url, ...neighbours } });
  await once(worker, 'message');
  await sleep(SETTLE_MS);
  const stop = async () => {
    const told = once(worker, 'message');
    worker.postMessage('stop');
    const [{ eventsPerSecond }] = await told;
    await once(worker, 'exit');
    const { mostInFlight } = await server.call('report');
    await server.stop();
    return { neighboursPerSecond: eventsPerSecond, mostInFlight };
  };
  return { stop };
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const client = adapter.create(url, {});
  let sequence = 0;
  const timeFlush = async () => {
    trackOrFail(client, adapter.toMessage(buildEvent(sequence++)));
    const start = performance.now();
    await client.flush();
    return performance.now() - start;
  };
  /** @type {Record<string, Record<string, number>[]>} */
  const rounds = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < size.rounds; round++) {
    for (const [name, neighbours] of Object.entries(NEIGHBOURS)) {
      const busy = neighbours && (await startNeighbours(neighbours));
      for (let i = 0; i < WARM_UP_FLUSHES; i++) await timeFlush();
      const times = new Float64Array(size.flushes);
      for (let i = 0; i < size.flushes; i++) {
        await sleep(PAUSE_MS);
        times[i] = await timeFlush();
      }
      const beside = await busy?.stop();
      const [p50, p99, max] = [50, 99, 100].map((percent) => percentile(times, percent));
      rounds[name].push({ p50, p99, max, ...beside });
    }
  }
  await deliverAll(bench, client, sequence);
  await client.close();
  return rounds;
}
