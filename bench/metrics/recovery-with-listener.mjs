import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { monotonicMs } from '../ipc-calls.mjs';
import { fillAndKill } from '../killed-process.mjs';
import { OURS_WITH_SPOOL } from '../sdks/adapter.mjs';
import { temporaryDirectory } from '../sdks/companion-spool.mjs';
import { deliverAll, sleep } from './metric.mjs';

const RECOVERY_DEADLINE_MS = 200_000;
const LOOK_AGAIN_MS = 50;
// Far more than an event takes on disk: nothing may give way.
const SPOOL_BYTES_PER_EVENT = 1000;
const DEFAULT_SPOOL_BYTES = 256 * 1024 * 1024;

export const title = 'Recovery of what a killed process left on disk, with a listener';
export const note =
  'A process tracks events of about 200 bytes with a spool while the server answers 503, and is killed with SIGKILL. ' +
  'The next one recovers and delivers them, and its `track` listener is told of each: on its event loop, which has to ' +
  'stay free for the application. The longest turn is the maximum of perf_hooks.monitorEventLoopDelay with a resolution of ' +
  '1 ms, which is part of the value, from before the client is constructed until the listener has heard of the last event. ' +
  'Every event must be recovered, arrive exactly once and be told of exactly once.';
export const onlySdks = [OURS_WITH_SPOOL];
export const columns = [
  { key: 'longestTurnMs', title: 'longest turn ms', digits: 1, headline: true },
  { key: 'p99TurnMs', title: 'p99 turn ms', digits: 2 },
  { key: 'longestCollectionMs', title: 'longest garbage collection ms', digits: 1 },
  { key: 'peakRssMiB', title: 'peak RSS MiB', digits: 0 },
  { key: 'eventsPerSecond', title: 'recovered events/s', digits: 0 },
];

export function sizeFor(_sdk, quick) {
  return { events: quick ? 100_000 : 1_000_000 };
}

export function describeSize({ events }) {
  return `${events} events`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { events } = size;
  const directory = temporaryDirectory();
  await fillAndKill(bench, directory, 'view');

  const { Analytics } = adapter.load();
  const maxBytes = Math.max(DEFAULT_SPOOL_BYTES, events * SPOOL_BYTES_PER_EVENT);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  // Part of the longest turn: on a machine that is busy with other things it may be all of it.
  let longestCollectionMs = 0;
  const collections = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries())
      longestCollectionMs = Math.max(longestCollectionMs, duration);
  });
  collections.observe({ entryTypes: ['gc'] });
  // Its first timer must be running, or it misses the turn of the constructor.
  await sleep(LOOK_AGAIN_MS);
  delay.reset();

  const start = monotonicMs();
  const analytics = new Analytics({ writeKey: 'bench', host: url, spool: { directory, maxBytes } });
  let heard = 0;
  let heardAllAt = NaN;
  analytics.on('track', () => {
    heard += 1;
    if (heard === events) heardAllAt = monotonicMs();
  });
  const isOver = () => heard >= events || monotonicMs() - start > RECOVERY_DEADLINE_MS;
  while (!isOver()) await sleep(LOOK_AGAIN_MS);
  if (heard < events) throw new Error(`only ${heard} of ${events} recovered events were told of`);
  delay.disable();
  collections.disconnect();
  const peakRss = process.resourceUsage().maxRSS * 1024;

  const { recovered } = analytics.stats();
  if (recovered !== events) throw new Error(`only ${recovered} of ${events} events were recovered`);
  const client = { flush: () => analytics.flush(), problem: () => undefined };
  await deliverAll(bench, client, events);
  await analytics.closeAndFlush({ timeout: 5000 });
  if (heard !== events) throw new Error(`${events} events were told of ${heard} times`);
  return {
    longestTurnMs: delay.max / 1e6,
    longestCollectionMs,
    p99TurnMs: delay.percentile(99) / 1e6,
    peakRssMiB: peakRss / 2 ** 20,
    eventsPerSecond: (events / (heardAllAt - start)) * 1000,
  };
}
