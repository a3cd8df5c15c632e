import { buildEvent } from '../events.mjs';
import { monotonicMs } from '../ipc-calls.mjs';
import { deliverAll } from './metric.mjs';

export const title = 'Cold start: require, construct, track, delivered';
export const note =
  'In a fresh process, from before the require until flush() resolved for the first event; then the collector ' +
  'must hold it.';
export const columns = [
  { key: 'requireMs', title: 'require ms', digits: 1 },
  { key: 'constructMs', title: 'construct ms', digits: 1 },
  { key: 'deliverMs', title: 'track + flush ms', digits: 1 },
  { key: 'totalMs', title: 'total ms', digits: 1, headline: true },
];

export function sizeFor() {
  return { events: 1 };
}

export function describeSize() {
  return '1 event';
}

export async function measure(bench) {
  const { adapter, url } = bench;
  const event = buildEvent(0);
  const start = monotonicMs();
  adapter.load();
  const loaded = monotonicMs();
  const client = adapter.create(url, {});
  const constructed = monotonicMs();
  client.track(adapter.toMessage(event));
  await client.flush();
  const delivered = monotonicMs();
  await deliverAll(bench, client, 1);
  await client.close();
  return {
    requireMs: loaded - start,
    constructMs: constructed - loaded,
    deliverMs: delivered - constructed,
    totalMs: delivered - start,
  };
}
