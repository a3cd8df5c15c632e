import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { buildEvent, WHOLE_BATCHES } from '../events.mjs';
import { deliverAll, trackOrFail } from './metric.mjs';

const TICK_MS = 10;
const EVENTS_PER_TICK = 50;
const WARM_UP_TICKS = 50;
// An SDK that cannot keep the pace is stopped here, at a whole number of batches.
const PATIENCE = 1.3;

export const title = 'Event-loop delay at a steady 5,000 events/s';
export const note =
  'A 10 ms timer tracks 50 events per tick; perf_hooks.monitorEventLoopDelay with a resolution of 1 ms, which is ' +
  'part of every value. The control is the same loop without tracking; added p99 is against the control of the ' +
  'same round. Bytes as in the throughput run, at this pace.';
export const withControl = true;
export const columns = [
  { key: 'p50', title: 'p50 ms', digits: 2 },
  { key: 'p99', title: 'p99 ms', digits: 2 },
  { key: 'addedP99', title: 'added p99 ms', digits: 2, headline: true },
  { key: 'max', title: 'max ms', digits: 1 },
  { key: 'achievedPerSecond', title: 'events/s reached', digits: 0 },
  { key: 'wireBytes', title: 'bytes/event', digits: 1 },
  { key: 'connections', title: 'connections', digits: 0 },
];

export function sizeFor(_sdk, quick) {
  return { events: (quick ? 5 : 17) * WHOLE_BATCHES };
}

export function describeSize({ events }) {
  return `${events} events`;
}

export function relateToControl(values, control) {
  return { ...values, addedP99: values.p99 - control.p99 };
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { events } = size;
  const client = adapter.create(url, { waitingEvents: events });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const patienceMs = (events / EVENTS_PER_TICK) * TICK_MS * PATIENCE;

  let sequence = 0;
  let tick = 0;
  let start = performance.now();
  let firstMeasured = 0;
  await new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      try {
        tick += 1;
        if (tick === WARM_UP_TICKS) {
          delay.enable();
          start = performance.now();
          firstMeasured = sequence + EVENTS_PER_TICK;
        }
        for (let i = 0; i < EVENTS_PER_TICK; i++) {
          trackOrFail(client, adapter.toMessage(buildEvent(sequence++)));
        }
        const overdue = performance.now() - start > patienceMs && sequence % WHOLE_BATCHES === 0;
        if (sequence < events && !overdue) return;
        clearInterval(timer);
        resolve(undefined);
      } catch (error) {
        clearInterval(timer);
        reject(error);
      }
    }, TICK_MS);
  });
  delay.disable();
  const achievedPerSecond = ((sequence - firstMeasured) / (performance.now() - start)) * 1000;

  const seen = adapter.sendsNothing ? undefined : await deliverAll(bench, client, sequence);
  await client.close();
  const ms = (/** @type {number} */ nanoseconds) => nanoseconds / 1e6;
  return {
    p50: ms(delay.percentile(50)),
    p99: ms(delay.percentile(99)),
    max: ms(delay.max),
    achievedPerSecond,
    ...(seen && { wireBytes: seen.wireBytes / sequence, connections: seen.connections }),
  };
}
