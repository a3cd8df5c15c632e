import { performance } from 'node:perf_hooks';

import { buildEvent, WHOLE_BATCHES } from '../events.mjs';
import { monotonicMs } from '../ipc-calls.mjs';
import { deliverAll, nextTurn } from './metric.mjs';

const CHUNK = 250;
const EVENTS = { companion: 40 * WHOLE_BATCHES, 'analytics-node': 10 * WHOLE_BATCHES };

export const title = 'An enrichment plugin, and a callback on every event';
export const note =
  'One plugin adds a property to each event, and each call has a callback. Events/s is until the collector has received ' +
  'the last event; then every callback must have been called once, without an error. Main thread is the time its event ' +
  'loop was busy.';
export const onlySdks = ['companion', 'analytics-node'];
export const columns = [
  { key: 'eventsPerSecond', title: 'events/s', digits: 0, headline: true },
  { key: 'mainThreadMicros', title: 'main thread µs/event', digits: 2 },
  { key: 'cpuMicros', title: 'CPU µs/event', digits: 2 },
];

export function sizeFor(sdk, quick) {
  const events = EVENTS[sdk];
  return { events: quick ? Math.ceil(events / 5 / WHOLE_BATCHES) * WHOLE_BATCHES : events };
}

export function describeSize({ events }) {
  return `${events} events`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { events } = size;
  const { Analytics } = adapter.load();
  const analytics = new Analytics({ writeKey: 'bench', host: url });
  await analytics.register({
    name: 'Enrichment',
    type: 'enrichment',
    version: '1.0.0',
    isLoaded: () => true,
    load: async () => {},
    track: (context) => {
      context.updateEvent('properties.enriched', true);
      return context;
    },
  });
  let called = 0;
  let failed = 0;
  const { promise: allCalled, resolve } = withResolvers();
  const callback = (/** @type {unknown} */ error) => {
    if (error !== undefined) failed += 1;
    called += 1;
    if (called === events) resolve();
  };

  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const start = monotonicMs();
  for (let sequence = 0; sequence < events;) {
    const end = Math.min(sequence + CHUNK, events);
    for (; sequence < end; sequence++) analytics.track(adapter.toMessage(buildEvent(sequence)), callback);
    await nextTurn();
  }
  const client = { flush: () => analytics.flush(), problem: () => undefined };
  const seen = await deliverAll(bench, client, events);
  await allCalled;
  const cpu = process.cpuUsage(cpuBefore);
  const loop = performance.eventLoopUtilization(loopBefore);
  await analytics.closeAndFlush({ timeout: 5000 });
  if (failed > 0 || called !== events) throw new Error(`${called} callbacks, ${failed} with an error`);

  return {
    eventsPerSecond: (events / (seen.completedAt - start)) * 1000,
    mainThreadMicros: (loop.active * 1000) / events,
    cpuMicros: (cpu.user + cpu.system) / events,
  };
}

function withResolvers() {
  /** @type {() => void} */
  let resolve = () => {};
  const promise = /** @type {Promise<void>} */ (new Promise((settle) => (resolve = settle)));
  return { promise, resolve };
}
