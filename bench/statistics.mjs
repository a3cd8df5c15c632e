/** @returns {number} */
export function median(/** @type {number[]} */ values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * The smallest value that is not below `percent` of all.
 * @param {Float64Array} values
 * @param {number} percent
 * @returns {number}
 */
export function percentile(values, percent) {
  return values.toSorted()[Math.ceil((values.length * percent) / 100) - 1];
}

/**
 * @typedef {{ median: number, min: number, max: number }} Spread
 * @returns {Spread}
 */
export function spread(/** @type {number[]} */ values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * @param {Record<string, number>[]} rounds one measurement each, with the same keys
 * @returns {Record<string, Spread>}
 */
export function summarize(rounds) {
  return Object.fromEntries(
    Object.keys(rounds[0]).map((key) => [key, spread(rounds.map((round) => round[key]))]),
  );
}
