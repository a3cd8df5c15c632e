// What a metric is, and the parts that all of them share inside the process of the SDK under test.

/**
 * @typedef {object} Column
 * @property {string} key a number that `measure` returns
 * @property {string} title with the unit
 * @property {number} digits after the point
 * @property {boolean} [headline] the column that the ratio to ours is taken from
 *
 * @typedef {object} Bench what `measure` works with
 * @property {import('../sdks/adapter.mjs').Adapter} adapter
 * @property {string} url
 * @property {any} size
 * @property {import('../ipc-calls.mjs').Call} collector
 *
 * @typedef {object} Metric
 * @property {string} title
 * @property {string} note how it is measured, for the reader of the results
 * @property {Column[]} columns
 * @property {(values: Record<string, number>, control: Record<string, number>) => Record<string, number>}
 *   [relateToControl] present: the loop also runs without an SDK, in every round
 * @property {string[]} [onlySdks]
 * @property {boolean} [onRequest] runs only when named with `--only`
 * @property {Record<string, string>} [cases] present: what to measure of every SDK, and how the table calls it. One
 *   run is all rounds of all cases, and `measure` returns a list of rounds for each case
 * @property {(sdk: string, quick: boolean, rounds: number) => any} sizeFor
 * @property {(size: any) => string} describeSize
 * @property {(bench: Bench) => Promise<any>} measure returns `Record<string, number>`, but see `cases`
 */

export const METRICS = [
  'track-call',
  'track-percentiles',
  'track-fresh',
  'enqueue',
  'throughput',
  'plugins-and-callbacks',
  'neighbour-flush',
  'one-bad-event',
  'outage-memory',
  'event-loop-delay',
  'request-latency',
  'notifications',
  'lambda',
  'cold-start',
  'spool-drain',
  'recovery-with-listener',
  'endurance',
];

/** @returns {Promise<Metric>} */
export function loadMetric(/** @type {string} */ name) {
  return import(`./${name}.mjs`);
}

/** The key of a row of results. */
export function caseOf(/** @type {string} */ sdk, /** @type {string} */ oneCase) {
  return `${sdk}/${oneCase}`;
}

const DELIVERY_DEADLINE_MS = 60_000;
const COLLECTOR_WAIT_MS = 2_000;

export function sleep(/** @type {number} */ ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function nextTurn() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fails the run when the SDK refuses: a bench that loses events compares nothing. */
export function trackOrFail(client, message) {
  if (client.track(message) === false) throw new Error(`the SDK refused an event: ${client.problem()}`);
}

/**
 * Returns when the collector holds exactly the events 0 to `count - 1`, each once; fails the run otherwise.
 * @param {Bench} bench
 * @param {import('../sdks/adapter.mjs').Client} client
 * @param {number} count
 */
export async function deliverAll({ collector, adapter }, client, count) {
  const deadline = performance.now() + DELIVERY_DEADLINE_MS;
  let seen;
  do {
    // The collector is the judge, so a flush that hangs, fails or resolves early only costs another look.
    const flushed = client.flush().catch(() => {});
    await Promise.race([flushed, sleep(DELIVERY_DEADLINE_MS / 4)]);
    seen = await collector('waitFor', { count, timeoutMs: COLLECTOR_WAIT_MS });
  } while (seen.distinct < count && performance.now() < deadline);

  const problem = client.problem() ? `; first error: ${client.problem()}` : '';
  if (seen.distinct < count) {
    throw new Error(`${adapter.label}: only ${seen.distinct} of ${count} events arrived${problem}`);
  }
  if (seen.distinct > count || seen.highestSequence !== count - 1) {
    throw new Error(`${adapter.label}: the collector saw events that were never sent${problem}`);
  }
  if (seen.duplicates > 0)
    throw new Error(`${adapter.label}: ${seen.duplicates} events arrived twice${problem}`);
  return seen;
}
