// Chance with a seed: the same seed takes the same decisions, so that a run can be repeated.

/** Small and fast (mulberry32); nothing here needs more. */
export class Random {
  #state;

  constructor(/** @type {number} */ seed) {
    this.#state = seed >>> 0;
  }

  /** @returns {number} from 0 up to, and without, 1 */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @returns {number} a whole number, both ends included */
  between(/** @type {number} */ lowest, /** @type {number} */ highest) {
    return lowest + Math.floor(this.next() * (highest - lowest + 1));
  }

  /** @returns {boolean} */
  chance(/** @type {number} */ probability) {
    return this.next() < probability;
  }

  /** @template T @returns {T} */
  pick(/** @type {readonly T[]} */ choices) {
    return choices[this.between(0, choices.length - 1)];
  }
}

/** A seed for one part of a run: what it decides does not depend on which other parts run. */
export function seedFor(/** @type {number} */ seed, /** @type {string} */ name) {
  return (seed ^ hash(name)) >>> 0;
}

/** FNV-1a, 32 bits. */
export function hash(/** @type {string} */ text) {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
