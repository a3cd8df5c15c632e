import { buildEvent, WHOLE_BATCHES } from '../events.mjs';
import { monotonicMs } from '../ipc-calls.mjs';
import { OURS } from '../sdks/adapter.mjs';
import { deliverAll, nextTurn, trackOrFail } from './metric.mjs';

const CHUNK = 250;
// The queue is drained between parts: what grows is then a leak, not a backlog.
const PARTS = 20;

export const title = 'Endurance: resident memory over ten million events through one client';
export const note =
  'Ten million events in twenty parts with a drain after each; resident memory after garbage collection at ' +
  'the end of each part. Growth is the last part against the highest of the first quarter.';
export const onRequest = true;
export const onlySdks = [OURS];
export const columns = [
  { key: 'growthPercent', title: 'RSS growth %', digits: 1, headline: true },
  { key: 'firstQuarterMiB', title: 'RSS first quarter MiB', digits: 1 },
  { key: 'lastMiB', title: 'RSS last MiB', digits: 1 },
  { key: 'eventsPerSecond', title: 'events/s', digits: 0 },
];

export function sizeFor(_sdk, quick) {
  const partOfTenMillion = Math.ceil(10_000_000 / PARTS / WHOLE_BATCHES) * WHOLE_BATCHES;
  return { partEvents: quick ? 20 * WHOLE_BATCHES : partOfTenMillion };
}

export function describeSize({ partEvents }) {
  return `${PARTS * partEvents} events`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { partEvents } = size;
  const client = adapter.create(url, { waitingEvents: partEvents });
  /** @type {number[]} */
  const residentBytes = [];
  const start = monotonicMs();
  for (let part = 1, sequence = 0; part <= PARTS; part++) {
    while (sequence < part * partEvents) {
      trackOrFail(client, adapter.toMessage(buildEvent(sequence++)));
      if (sequence % CHUNK === 0) await nextTurn();
    }
    await deliverAll(bench, client, sequence);
    globalThis.gc?.();
    residentBytes.push(process.memoryUsage.rss());
  }
  const seconds = (monotonicMs() - start) / 1000;
  await client.close();

  const firstQuarter = Math.max(...residentBytes.slice(0, PARTS / 4));
  const last = residentBytes[PARTS - 1];
  return {
    growthPercent: (last / firstQuarter - 1) * 100,
    firstQuarterMiB: firstQuarter / 2 ** 20,
    lastMiB: last / 2 ** 20,
    eventsPerSecond: (PARTS * partEvents) / seconds,
  };
}
