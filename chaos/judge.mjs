// Compares what producers noted with what arrived, and says whether a row kept its promises.

/**
 * @typedef {object} Producer
 * @property {number} number
 * @property {import('./notes.mjs').Notes} notes
 * @property {boolean} killed it may have had a call under way that it could not note any more
 *
 * @typedef {object} Account
 * @property {number} issued calls that were made, as far as anything tells of them
 * @property {number} accepted calls that returned true
 * @property {number} delivered different events that arrived
 * @property {number} lost accepted and missing
 * @property {number} duplicates arrivals beyond the first of each event
 * @property {number} spurious arrived and never issued, or refused
 * @property {number} corrupted arrived with another payload
 * @property {number} renamed repeated with another messageId
 * @property {string[]} examples the first events that were lost or spurious
 */

const MOST_EXAMPLES = 5;

/**
 * @param {Iterable<Producer>} producers
 * @param {import('./deliveries.mjs').Deliveries} deliveries
 * @returns {Account}
 */
export function account(producers, deliveries) {
  const { distinct: delivered, duplicates, corrupted, renamed } = deliveries;
  const result = { issued: 0, accepted: 0, delivered, lost: 0, duplicates, spurious: 0, corrupted, renamed };
  /** @type {string[]} */
  const examples = [];
  const example = (
    /** @type {string} */ what,
    /** @type {number} */ producer,
    /** @type {number} */ sequence,
  ) => {
    if (examples.length < MOST_EXAMPLES) examples.push(`${what} ${producer}:${sequence}`);
  };
  const unheardOf = new Set(deliveries.producers());
  for (const { number, notes, killed } of producers) {
    unheardOf.delete(number);
    result.issued += notes.calls;
    result.accepted += notes.accepted;
    for (const sequence of missing(number, notes, deliveries)) {
      result.lost += 1;
      example('lost', number, sequence);
    }
    for (const sequence of deliveries.sequencesOf(number)) {
      if (notes.isAccepted(sequence)) continue;
      // The call that a kill cut short: issued, though never noted.
      if (killed && sequence === notes.calls) result.issued += 1;
      else {
        result.spurious += 1;
        example('spurious', number, sequence);
      }
    }
  }
  for (const number of unheardOf) {
    for (const sequence of deliveries.sequencesOf(number)) {
      result.spurious += 1;
      example('spurious', number, sequence);
    }
  }
  return { ...result, examples };
}

/**
 * The sequence numbers of accepted events that have not arrived.
 *
 * @param {number} producer
 * @param {import('./notes.mjs').Notes} notes
 * @param {import('./deliveries.mjs').Deliveries} deliveries
 * @returns {number[]}
 */
export function missing(producer, notes, deliveries) {
  const sequences = [];
  for (let sequence = 0; sequence < notes.calls; sequence += 1)
    if (notes.isAccepted(sequence) && !deliveries.has(producer, sequence)) sequences.push(sequence);
  return sequences;
}

/** What every row promises of its account. @returns {Record<string, boolean>} */
export function integrity(/** @type {Account} */ { spurious, corrupted, renamed }) {
  return {
    'nothing arrived that was not tracked': spurious === 0,
    'everything arrived as it was tracked': corrupted === 0,
    'repeats had the same messageId': renamed === 0,
  };
}

/** What every row promises in which no loss is allowed. @returns {Record<string, boolean>} */
export function wholeness(/** @type {Account} */ judged) {
  return { 'no accepted event was lost': judged.lost === 0, ...integrity(judged) };
}

/**
 * A row passes if all its promises held and everything ran that was to put them to the test.
 *
 * @param {{ promises: Record<string, boolean>, proofs: Record<string, boolean>, examples?: string[] }} row
 * @returns {{ status: 'passed' | 'failed', problems: string[] }}
 */
export function verdict({ promises, proofs, examples = [] }) {
  const failing = (/** @type {Record<string, boolean>} */ claims) =>
    Object.keys(claims).filter((claim) => !claims[claim]);
  const problems = [
    ...failing(promises).map((claim) => `broken: ${claim}`),
    ...failing(proofs).map((claim) => `did not run: ${claim}`),
  ];
  if (problems.length > 0) problems.push(...examples);
  return { status: problems.length === 0 ? 'passed' : 'failed', problems };
}
