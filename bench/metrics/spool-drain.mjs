import { monotonicMs } from '../ipc-calls.mjs';
import { fillAndKill } from '../killed-process.mjs';
import { OURS_WITH_SPOOL } from '../sdks/adapter.mjs';
import { temporaryDirectory } from '../sdks/companion-spool.mjs';
import { deliverAll, sleep } from './metric.mjs';

const DRAIN_DEADLINE_MS = 200_000;
const LOOK_AGAIN_MS = 20;

export const title = 'Drain of what a killed process left on disk';
export const note =
  'A process tracks the events with a spool in the temporary directory while the server answers 503, and is killed ' +
  'with SIGKILL. Then the server is back, and another process drains the directory with default settings: events/s ' +
  'is from the construction of its client, the package already loaded, until the collector has received the last ' +
  'event; CPU is that of the whole draining process meanwhile. The files are still in the page cache. Every event ' +
  'must be recovered and arrive exactly once.';
export const onlySdks = [OURS_WITH_SPOOL];
export const columns = [
  { key: 'eventsPerSecond', title: 'drained events/s', digits: 0, headline: true },
  { key: 'firstArrivalMs', title: 'first arrival ms', digits: 0 },
  { key: 'cpuMicros', title: 'CPU µs/event', digits: 2 },
  { key: 'peakRssMiB', title: 'peak RSS MiB', digits: 0 },
  { key: 'diskBytes', title: 'disk bytes/event', digits: 0 },
  { key: 'filledPerSecond', title: 'filled events/s', digits: 0 },
];

export function sizeFor(_sdk, quick) {
  return { events: quick ? 50_000 : 1_000_000 };
}

export function describeSize({ events }) {
  return `${events} events`;
}

/** The collector is not asked meanwhile: counting takes a core. */
async function drain(client) {
  const deadline = monotonicMs() + DRAIN_DEADLINE_MS;
  for (;;) {
    const stats = client.stats();
    if (stats.orphans === 0 && stats.pending + stats.spooled === 0) return stats;
    if (monotonicMs() > deadline) throw new Error(`the spool is not drained: ${JSON.stringify(stats)}`);
    await sleep(LOOK_AGAIN_MS);
  }
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { events } = size;
  const spoolDirectory = temporaryDirectory();
  const filled = await fillAndKill(bench, spoolDirectory, 'order');

  adapter.load();
  const cpuBefore = process.cpuUsage();
  const start = monotonicMs();
  const client = adapter.create(url, { waitingEvents: events, spoolDirectory });
  const { recovered } = await drain(client);
  const cpu = process.cpuUsage(cpuBefore);
  const peakRss = process.resourceUsage().maxRSS * 1024;
  if (recovered !== events)
    throw new Error(`${adapter.label}: only ${recovered} of ${events} events were recovered`);
  const seen = await deliverAll(bench, client, events);
  await client.close();

  return {
    eventsPerSecond: (events / (seen.completedAt - start)) * 1000,
    firstArrivalMs: seen.firstArrivalAt - start,
    cpuMicros: (cpu.user + cpu.system) / events,
    peakRssMiB: peakRss / 2 ** 20,
    ...filled,
  };
}
