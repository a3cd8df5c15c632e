// The budgets of the design, each judged from this run's medians. A budget whose numbers were not measured is
// said to be so; it never counts as met.
import { caseOf } from './metrics/metric.mjs';
import { OURS, OURS_WITH_SPOOL } from './sdks/adapter.mjs';

const PEER = 'analytics-node';
/** By the line of Node: on 26 JSON.stringify has become so fast that the rest of the call counts for more. */
const FRESH_LIMITS = { 20: 1.5, 24: 1.5, 26: 2 };
const FRESH_LIMIT_WITH_SPOOL = 2.2;

/**
 * @typedef {import('./statistics.mjs').Spread} Spread
 * @typedef {Record<string, Record<string, Record<string, Spread>>>} Results metric, then SDK (and case), then key
 * @typedef {{ what: string, budget: string, measured: string, verdict: 'met' | 'MISSED' | 'not measured' }} Verdict
 */

/**
 * @param {Results} results
 * @returns {Verdict[]}
 */
export function judge(results) {
  const at = (/** @type {string} */ metric, /** @type {string} */ sdk, /** @type {string} */ key) =>
    results[metric]?.[sdk]?.[key]?.median ?? NaN;
  const ours = (/** @type {string} */ metric, /** @type {string} */ key) => at(metric, OURS, key);
  const spool = (/** @type {string} */ metric, /** @type {string} */ key) => at(metric, OURS_WITH_SPOOL, key);
  const peer = (/** @type {string} */ metric, /** @type {string} */ key) => at(metric, PEER, key);

  const throughput = ours('throughput', 'eventsPerSecond');
  const jsonBytes = ours('outage-memory', 'jsonBytes');

  const requests = (/** @type {string} */ oneCase) => results['request-latency']?.[caseOf(OURS, oneCase)];
  const slower = (/** @type {string} */ oneCase) => requests(oneCase)?.ratioP99?.median ?? NaN;
  // Not their median: no request may fail in any round.
  const failed = ['hangs', 'refuses', 'answers500']
    .map((oneCase) => requests(oneCase)?.failures?.max ?? NaN)
    .reduce((sum, failures) => sum + failures, 0);

  const ofCase = (metric, oneCase, key, sdk = OURS) => at(metric, caseOf(sdk, oneCase), key);
  const fresh = (/** @type {string} */ sdk, line, key) => ofCase('track-fresh', `node${line}`, key, sdk);
  // Of the Nodes that were there, the one with the least distance to the peer.
  const cheaperFresh = Object.keys(FRESH_LIMITS)
    .map((line) => fresh(PEER, line, 'trackNs') / fresh(OURS, line, 'trackNs'))
    .filter((times) => !Number.isNaN(times))
    .reduce((least, times) => (least <= times ? least : times), NaN);

  return [
    atMost('track(), memory mode, × JSON.stringify', 1.5, ours('track-call', 'ratio'), 2),
    atLeast(
      'track(), synchronous part, times cheaper than analytics-node',
      10,
      peer('track-call', 'trackNs') / ours('track-call', 'trackNs'),
      1,
    ),
    atLeast(
      'track(), all JavaScript thread time it causes, times cheaper than analytics-node',
      10,
      peer('track-call', 'threadNs') / ours('track-call', 'threadNs'),
      1,
    ),
    atMost(
      'track() with the spool, p50, × JSON.stringify p50',
      2.5,
      spool('track-percentiles', 'ratioP50'),
      2,
    ),
    atMost(
      'track() with the spool, p99, × JSON.stringify p99',
      2.5,
      spool('track-percentiles', 'ratioP99'),
      2,
    ),
    ...Object.entries(FRESH_LIMITS).flatMap(([line, limit]) => [
      atMost(
        `track() of fresh events on Node ${line}, × JSON.stringify`,
        limit,
        fresh(OURS, line, 'ratio'),
        2,
      ),
      atMost(
        `the same with the spool on Node ${line}`,
        FRESH_LIMIT_WITH_SPOOL,
        fresh(OURS_WITH_SPOOL, line, 'ratio'),
        2,
      ),
    ]),
    atLeast('track() of fresh events, times cheaper than analytics-node', 10, cheaperFresh, 1),
    atMost('the native call alone, warm, ns', 300, ours('enqueue', 'warmNs'), 0),
    atMost('the native call alone, cold, ns', 300, ours('enqueue', 'coldNs'), 0),
    atLeast('throughput, × analytics-node', 30, throughput / peer('throughput', 'eventsPerSecond'), 1),
    atLeast('throughput, events/s', 100_000, throughput, 0),
    atLeast(
      'with an enrichment plugin and callbacks, events/s, × analytics-node',
      5,
      ours('plugins-and-callbacks', 'eventsPerSecond') / peer('plugins-and-callbacks', 'eventsPerSecond'),
      1,
    ),
    atMost(
      'flush() of one event beside a client with 64 requests, p99 ms',
      20,
      ofCase('neighbour-flush', 'besideOne', 'p99'),
      1,
    ),
    atMost(
      'flush() of one event beside 16 default clients, p99 ms',
      20,
      ofCase('neighbour-flush', 'besideSixteen', 'p99'),
      1,
    ),
    atMost('delivery with one bad event, × none', 1.3, ofCase('one-bad-event', 'one', 'ratio'), 2),
    atLeast(
      'CPU per delivered event, times less than analytics-node',
      15,
      peer('throughput', 'cpuMicros') / ours('throughput', 'cpuMicros'),
      1,
    ),
    atMost(
      'memory per event waiting in an outage, bytes (1.3 × JSON bytes + 64)',
      1.3 * jsonBytes + 64,
      ours('outage-memory', 'rssPerEvent'),
      0,
    ),
    atMost('added p99 event-loop delay at 5,000 events/s, ms', 1, ours('event-loop-delay', 'addedP99'), 2),
    atMost('request p99 of a NestJS application while Segment hangs, × no tracking', 1.1, slower('hangs'), 2),
    atMost('the same while Segment refuses connections', 1.1, slower('refuses'), 2),
    atMost('the same while Segment answers 500', 1.1, slower('answers500'), 2),
    atMost('requests that fail meanwhile', 0, failed, 0),
    atLeast(
      'raw notifications to identify calls, × analytics-node',
      10,
      ours('notifications', 'perSecond') / peer('notifications', 'perSecond'),
      1,
    ),
    atMost(
      'cold start of a Lambda function, × analytics-node',
      1,
      ours('lambda', 'coldMs') / peer('lambda', 'coldMs'),
      2,
    ),
    atMost(
      'its warm time per record, × analytics-node',
      0.5,
      ours('lambda', 'warmMicros1') / peer('lambda', 'warmMicros1'),
      2,
    ),
    atLeast(
      'bytes on the wire, times less than analytics-node',
      4,
      peer('throughput', 'wireBytes') / ours('throughput', 'wireBytes'),
      1,
    ),
    atLeast(
      'drain of 1,000,000 events from disk, events/s',
      50_000,
      spool('spool-drain', 'eventsPerSecond'),
      0,
    ),
    atMost(
      'longest turn of the event loop in a recovery with a listener, ms',
      20,
      spool('recovery-with-listener', 'longestTurnMs'),
      1,
    ),
    atMost('RSS growth over 10 million events, %', 5, ours('endurance', 'growthPercent'), 1),
  ];
}

/** @returns {Verdict} */
function atMost(
  /** @type {string} */ what,
  /** @type {number} */ limit,
  /** @type {number} */ value,
  /** @type {number} */ digits,
) {
  return verdict(what, { limit, sign: '<=', value, digits, met: value <= limit });
}

/** @returns {Verdict} */
function atLeast(
  /** @type {string} */ what,
  /** @type {number} */ limit,
  /** @type {number} */ value,
  /** @type {number} */ digits,
) {
  return verdict(what, { limit, sign: '>=', value, digits, met: value >= limit });
}

/**
 * @param {string} what
 * @param {{ limit: number, sign: string, value: number, digits: number, met: boolean }} comparison
 * @returns {Verdict}
 */
function verdict(what, { limit, sign, value, digits, met }) {
  const shownLimit = limit.toLocaleString('en-US', { maximumFractionDigits: 1 });
  const budget = Number.isNaN(limit) ? '' : `${sign} ${shownLimit}`;
  if (Number.isNaN(value)) return { what, budget, measured: '', verdict: 'not measured' };
  const measured = value.toLocaleString('en-US', { maximumFractionDigits: digits });
  return { what, budget, measured, verdict: met ? 'met' : 'MISSED' };
}
