import { OrderLoad, orderInTurn } from '../order-load.mjs';
import { startProcess } from '../own-process.mjs';
import { CONTROL, OURS } from '../sdks/adapter.mjs';
import { median, percentile } from '../statistics.mjs';
import { deliverAll } from './metric.mjs';

const APPLICATION = 'application/main.mjs';
const FAILING_SEGMENTS = 'failing-segments.mjs';
const EVENTS_PER_REQUEST = 2;
// Of each of the five applications.
const PER_SECOND = 120;
// 1.5 s of a round, and a multiple of 15, the batch of analytics-node: see WHOLE_BATCHES.
const PART_REQUESTS = 180;
// V8 takes more than a thousand requests to compile what they run through.
const WARM_UP_REQUESTS = 1200;
const WARM_UP_PER_SECOND = 250;

/** @typedef {{ name: string, call: import('../ipc-calls.mjs').Call, load: OrderLoad }} Application */

export const title = 'Requests of a NestJS application while Segment fails';
export const note =
  'One endpoint on Express that waits 5 ms as for a database and answers 3 KB of JSON, tracked twice per request: ' +
  'with @companion/segment by SegmentModule with the context of the request, a call of SegmentService and @Track, ' +
  'with @segment/analytics-node by two plain calls. The same application runs without tracking and against a Segment ' +
  `that works or fails, each in a process of its own, all at the same time: in turn each gets ${PER_SECOND} ` +
  'requests/s, at fixed times, answered or not, and what can not be delivered stays through all rounds. Latency is ' +
  'from when a request was due until its answer was complete. The ratio of a round is the median of those of its ' +
  'parts of 1.5 s, each between the same percentiles of the same seconds. CPU is that of the whole process. A ' +
  'request has failed without its 201 and its whole answer.';
export const cases = {
  control: 'no tracking',
  healthy: 'Segment healthy',
  hangs: 'Segment hangs',
  refuses: 'Segment refuses connections',
  answers500: 'Segment answers 500',
};
export const onlySdks = [OURS, 'analytics-node'];
export const columns = [
  { key: 'p50', title: 'p50 ms', digits: 2 },
  { key: 'p99', title: 'p99 ms', digits: 2 },
  { key: 'ratioP50', title: 'p50, × no tracking', digits: 3 },
  { key: 'ratioP99', title: 'p99, × no tracking', digits: 3, headline: true },
  { key: 'cpuMicros', title: 'CPU µs/request', digits: 0 },
  { key: 'failures', title: 'failed requests', digits: 0 },
];

export function sizeFor(sdk, quick, rounds) {
  if (quick) return { sdk, rounds, warmUp: 300, parts: 2 };
  return { sdk, rounds, warmUp: WARM_UP_REQUESTS, parts: sdk === OURS ? 5 : 3 };
}

export function describeSize({ rounds, parts }) {
  return `${rounds * parts * PART_REQUESTS} requests`;
}

/** How much slower: what the machine did beside in one part or another does not decide. */
function ratioOf(/** @type {number[]} */ latencies, /** @type {number[]} */ controls, percent) {
  const ratios = [];
  for (let from = 0; from < latencies.length; from += PART_REQUESTS) {
    const [ours, without] = [latencies, controls].map((all) =>
      percentile(Float64Array.from(all.slice(from, from + PART_REQUESTS)), percent),
    );
    ratios.push(ours / without);
  }
  return median(ratios);
}

/**
 * One round of all applications at the same time: whatever else the machine does meets all of them alike.
 * @param {Application[]} applications the first one does not track
 * @returns {Promise<Record<string, number>[]>} of each application
 */
async function measureRound(applications, /** @type {number} */ parts) {
  const each = parts * PART_REQUESTS;
  const cpuNow = () => Promise.all(applications.map(({ call }) => call('cpuMicros')));
  const cpuBefore = await cpuNow();
  const latencies = await orderInTurn(
    applications.map(({ load }) => load),
    { each, perSecond: PER_SECOND },
  );
  const cpuAfter = await cpuNow();
  return applications.map(({ load }, i) => ({
    p50: percentile(Float64Array.from(latencies[i]), 50),
    p99: percentile(Float64Array.from(latencies[i]), 99),
    ...(i > 0 && {
      ratioP50: ratioOf(latencies[i], latencies[0], 50),
      ratioP99: ratioOf(latencies[i], latencies[0], 99),
    }),
    cpuMicros: (cpuAfter[i] - cpuBefore[i]) / each,
    failures: load.takeFailures(),
  }));
}

/** What was tracked was accepted, went where it should, and arrived where it could. */
async function checkTracking(bench, applications, segments) {
  for (const { name, call, load } of applications) {
    if (name === 'control') continue;
    const accepted = await call('accepted');
    const tracked = load.sent * EVENTS_PER_REQUEST;
    if (accepted !== undefined && accepted !== tracked)
      throw new Error(`${cases[name]}: ${accepted} of ${tracked} events were accepted`);
    if (name !== 'healthy') continue;
    await deliverAll(bench, { flush: () => call('flush'), problem: () => undefined }, tracked);
  }
  const { hangs, answers500 } = await segments.call('requests');
  if (hangs === 0 || answers500 === 0) throw new Error('no request met the outage');
}

export async function measure(bench) {
  const { url, size } = bench;
  const names = Object.keys(cases);
  const segments = startProcess(FAILING_SEGMENTS);
  const processes = names.map((name) => startProcess(APPLICATION, [name === 'control' ? CONTROL : size.sdk]));
  try {
    const urls = { healthy: url, ...(await segments.call('listen')) };
    const applications = await Promise.all(
      processes.map(async ({ call }, i) => {
        const port = await call('listen', urls[names[i]]);
        return { name: names[i], call, load: new OrderLoad(port) };
      }),
    );
    await orderInTurn(
      applications.map(({ load }) => load),
      { each: size.warmUp, perSecond: WARM_UP_PER_SECOND },
    );
    const rounds = [];
    for (let i = 0; i < size.rounds; i++) rounds.push(await measureRound(applications, size.parts));
    // Where requests failed, which the result tells, nobody knows what they tracked.
    const faultless = applications.filter((_, i) => rounds.every((round) => round[i].failures === 0));
    await checkTracking(bench, faultless, segments);
    return Object.fromEntries(names.map((name, i) => [name, rounds.map((round) => round[i])]));
  } finally {
    await Promise.all([segments, ...processes].map(({ stop }) => stop()));
  }
}
