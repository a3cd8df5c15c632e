import { performance } from 'node:perf_hooks';
import { buildEvent } from '../events.mjs';
import { startProcess } from '../own-process.mjs';
import { OURS } from '../sdks/adapter.mjs';
import { nextTurn, trackOrFail } from './metric.mjs';

const CHUNK = 250;
const ANSWER_MS = 50;

/** @type {Record<string, number>} */
const BAD_EVENTS = { none: 0, one: 1, ten: 10 };

export const title = 'Delivery with bad events among the good ones';
export const note =
  'Segment answers 400 to a whole request when one event in it is bad, so the bad one has to be found by sending less ' +
  'and less of the batch. The events are tracked in one burst and flushed; ms is until all of them are settled. Every ' +
  'request is answered after 50 ms, by a server in a process of its own that looks into each body. One bad event is in the ' +
  'middle; ten are spread evenly, so each is in another batch. Every good event must arrive exactly once, and every bad ' +
  'one be given up. The ratio is to the run without bad events of the same round.';
export const cases = { none: 'no bad event', one: 'one bad event', ten: 'ten bad events' };
export const onlySdks = [OURS];
export const columns = [
  { key: 'ms', title: 'ms', digits: 0 },
  { key: 'ratio', title: '× no bad event', digits: 2, headline: true },
  { key: 'requests', title: 'requests', digits: 0 },
  { key: 'refused', title: 'of them refused', digits: 0 },
];

export function sizeFor(_sdk, quick, rounds) {
  return { rounds, events: quick ? 20_000 : 40_000 };
}

export function describeSize({ events }) {
  return `${events} events`;
}

/** One delivery by a client of its own. */
async function deliver({ adapter, size }, segment, /** @type {number} */ badEvents) {
  const { server, url, bad } = segment;
  const { events } = size;
  const isBad = new Set(
    Array.from({ length: badEvents }, (_, i) => Math.floor(((i + 0.5) * events) / badEvents)),
  );
  await server.call('reset');
  const client = adapter.create(url, { waitingEvents: events });
  const start = performance.now();
  for (let sequence = 0; sequence < events; sequence++) {
    const event = buildEvent(sequence);
    if (isBad.has(sequence)) event.properties.note = bad;
    trackOrFail(client, adapter.toMessage(event));
    if (sequence % CHUNK === 0) await nextTurn();
  }
  await client.flush();
  const ms = performance.now() - start;
  const { delivered, dropped } = client.stats();
  await client.close();
  const { requests, refused, arrived, distinct } = await server.call('report');
  const good = events - badEvents;
  if (arrived !== good || distinct !== good || delivered !== good || dropped.rejected !== badEvents) {
    const counts = { arrived, distinct, delivered, rejected: dropped.rejected };
    throw new Error(`${good} good and ${badEvents} bad events ended as ${JSON.stringify(counts)}`);
  }
  return { ms, requests, refused };
}

export async function measure(bench) {
  const server = startProcess('local-segment.mjs');
  try {
    const segment = { server, ...(await server.call('listen', { delayMs: ANSWER_MS, inspects: true })) };
    /** @type {Record<string, Record<string, number>[]>} */
    const rounds = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
    // The first delivery of a process compiles and allocates for all that follow.
    await deliver(bench, segment, 1);
    for (let round = 0; round < bench.size.rounds; round++) {
      let withoutBad = NaN;
      for (const [name, badEvents] of Object.entries(BAD_EVENTS)) {
        const values = await deliver(bench, segment, badEvents);
        if (badEvents === 0) withoutBad = values.ms;
        rounds[name].push({ ...values, ratio: values.ms / withoutBad });
      }
    }
    return rounds;
  } finally {
    await server.stop();
  }
}
