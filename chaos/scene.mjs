// What one row has to itself: chance, processes, directories, collectors. Nothing of it is left when it closes.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Children } from './children.mjs';
import { Collector } from './collector.mjs';
import { account, missing } from './judge.mjs';
import { Notes } from './notes.mjs';
import { Random, seedFor } from './random.mjs';

/** Far beyond what anything here takes: what is not over by then hangs. */
const PATIENCE_MS = 180_000;

/**
 * @typedef {object} SceneOptions
 * @property {string} row
 * @property {number} seed of the whole run
 * @property {boolean} short
 * @property {(text: string) => void} [progress]
 */

export class Scene {
  /** @type {boolean} */
  short;
  /** @type {Random} */
  random;
  /** @type {(text: string) => void} */
  progress;
  children = new Children();
  #root;
  /** @type {(() => unknown)[]} */
  #clearings = [];
  /** @type {Map<number, { child: import('./children.mjs').Child | undefined, killed: boolean }>} */
  #producers = new Map();
  #started = performance.now();

  constructor(/** @type {SceneOptions} */ { row, seed, short, progress = () => {} }) {
    this.short = short;
    this.random = new Random(seedFor(seed, row));
    this.progress = progress;
    this.#root = mkdtempSync(join(tmpdir(), 'companion-segment-chaos-'));
    mkdirSync(this.notes);
  }

  /** Where producers of this row write their notes. */
  get notes() {
    return join(this.#root, 'notes');
  }

  get seconds() {
    return (performance.now() - this.#started) / 1_000;
  }

  /** A new directory. */
  directory(/** @type {string} */ name) {
    const path = join(this.#root, name);
    mkdirSync(path);
    return path;
  }

  async collector() {
    const collector = await Collector.start();
    this.atEnd(() => collector.close());
    return collector;
  }

  /** To be done when the row is over, however it ends; the last one first. */
  atEnd(/** @type {() => unknown} */ clearing) {
    this.#clearings.push(clearing);
  }

  /** The number of the next producer, of which this row's account is to know. */
  nextProducer() {
    const number = this.#producers.size + 1;
    this.#producers.set(number, { child: undefined, killed: false });
    return number;
  }

  /**
   * Starts a producer process of its own.
   *
   * @param {import('./clients.mjs').ClientOptions} client
   * @param {{ pace?: number }} [options]
   */
  produce(client, { pace = 0 } = {}) {
    const producer = this.nextProducer();
    const child = this.children.start('producer.mjs', { producer, notes: this.notes, client, pace });
    return { producer, child };
  }

  /** Kills a producer; resolves when it has ended. */
  async kill(/** @type {number} */ producer, /** @type {import('./children.mjs').Child} */ child) {
    this.wasKilled(producer);
    this.children.kill(child.pid);
    await child.ending;
  }

  wasKilled(/** @type {number} */ producer) {
    const entry = this.#producers.get(producer);
    if (entry !== undefined) entry.killed = true;
  }

  notesOf(/** @type {number} */ producer) {
    return Notes.read(this.notes, producer);
  }

  /** How many accepted events of one producer have not arrived. */
  missing(/** @type {number} */ producer, /** @type {import('./deliveries.mjs').Deliveries} */ deliveries) {
    return missing(producer, this.notesOf(producer), deliveries).length;
  }

  /** Compares what the producers noted with what arrived. */
  account(/** @type {import('./deliveries.mjs').Deliveries} */ deliveries) {
    const producers = Array.from(this.#producers, ([number, { killed }]) => ({
      number,
      notes: this.notesOf(number),
      killed,
    }));
    return account(producers, deliveries);
  }

  /**
   * The figures every row has.
   *
   * @param {import('./judge.mjs').Account} judged
   * @param {number} faults
   */
  figures(judged, faults) {
    const { kills, peakMemory } = this.children;
    return { ...judged, kills, faults, peakMemory, seconds: this.seconds };
  }

  async close() {
    this.clearNow();
    for (const clearing of this.#clearings.splice(0).toReversed()) await clearing();
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** What can be done at once, for a run that is broken off. */
  clearNow() {
    this.children.end();
  }
}

/**
 * Fails for what hangs instead of waiting for ever.
 *
 * @template T
 * @param {string} what
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(what, promise, milliseconds = PATIENCE_MS) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: not within ${milliseconds / 1_000} s`)),
      milliseconds,
    );
  });
  try {
    return /** @type {T} */ (await Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}

/** The segments of a spool: what is still on disk. @returns {string[]} */
export function segmentsIn(/** @type {string} */ directory) {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.seg'),
  );
}
