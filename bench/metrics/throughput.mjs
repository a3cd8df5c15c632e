import { performance } from 'node:perf_hooks';
import { buildEvent, WHOLE_BATCHES } from '../events.mjs';
import { monotonicMs } from '../ipc-calls.mjs';
import { deliverAll, nextTurn, trackOrFail } from './metric.mjs';

// Events between two turns of the event loop: an application that bursts still serves its other callbacks.
const CHUNK = 250;

// Chosen so that one run takes a few seconds at most.
const EVENTS = {
  companion: 200 * WHOLE_BATCHES,
  'analytics-node': 20 * WHOLE_BATCHES,
  'analytics-node-flushat-500': 20 * WHOLE_BATCHES,
  'rudder-sdk-node': 2 * WHOLE_BATCHES,
  'posthog-node': 20 * WHOLE_BATCHES,
};

export const title = 'Delivered throughput, CPU, bytes on the wire, connections';
export const note =
  'One burst as fast as the SDK takes it, until the collector has received the last event. CPU is user and ' +
  'system time of the whole process, main thread is the time its event loop was busy; both include building ' +
  'the event objects, which is the same for all. Bytes are raw bytes read from the sockets, with headers.';
export const columns = [
  { key: 'eventsPerSecond', title: 'events/s', digits: 0, headline: true },
  { key: 'cpuMicros', title: 'CPU µs/event', digits: 2 },
  { key: 'mainThreadMicros', title: 'main thread µs/event', digits: 2 },
  { key: 'wireBytes', title: 'bytes/event', digits: 1 },
  { key: 'connections', title: 'connections', digits: 0 },
  { key: 'requests', title: 'requests', digits: 0 },
];

export function sizeFor(sdk, quick) {
  const events = EVENTS[sdk];
  return { events: quick ? Math.ceil(events / 10 / WHOLE_BATCHES) * WHOLE_BATCHES : events };
}

export function describeSize({ events }) {
  return `${events} events`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { events } = size;
  const client = adapter.create(url, { waitingEvents: events });

  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const start = monotonicMs();
  for (let sequence = 0; sequence < events;) {
    const end = Math.min(sequence + CHUNK, events);
    for (; sequence < end; sequence++) trackOrFail(client, adapter.toMessage(buildEvent(sequence)));
    await nextTurn();
  }
  const seen = await deliverAll(bench, client, events);
  const cpu = process.cpuUsage(cpuBefore);
  const loop = performance.eventLoopUtilization(loopBefore);
  await client.close();

  return {
    eventsPerSecond: (events / (seen.completedAt - start)) * 1000,
    cpuMicros: (cpu.user + cpu.system) / events,
    mainThreadMicros: (loop.active * 1000) / events,
    wireBytes: seen.wireBytes / events,
    connections: seen.connections,
    requests: seen.requests,
  };
}
