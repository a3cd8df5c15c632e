/** @returns {number} */
export function median(/** @type {number[]} */ values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
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
