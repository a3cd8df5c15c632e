// The rows of the harness, in the order in which they run.

/**
 * @typedef {object} Result
 * @property {'passed' | 'failed' | 'reported' | 'not run'} status
 * @property {string[]} problems what was broken, what did not run and why
 * @property {Partial<import('./judge.mjs').Account> & { kills?: number, faults?: number, tornTails?: number,
 *   peakMemory?: number, seconds?: number }} [figures]
 * @property {string[]} facts what shows that the row ran, in words
 * @property {string[][]} [detail] a table of its own, header first
 *
 * @typedef {object} Row
 * @property {string} title
 * @property {boolean} [longOnly] without a short version: `npm test` runs it elsewhere
 * @property {(scene: import('./scene.mjs').Scene, options?: any) => Promise<Result>} run
 */

export const ROWS = [
  'sigkill-spool',
  'sigkill-analytics-node',
  'log-alone',
  'simulation',
  'flip-and-truncate',
  'disk-full',
  'cluster',
  'outage',
  'exits',
  'freeze',
  'clock',
];

/** @returns {Promise<Row>} */
export function loadRow(/** @type {string} */ name) {
  return import(`./rows/${name}.mjs`);
}
