// What a producer does, in a process or in a thread: it tracks, notes what was accepted, and looks at the counters
// all the while. An identity that does not hold ends it with an error, which the judge hears of.
import { assertConserved, createClient, isEmpty } from './clients.mjs';
import { eventOf } from './events.mjs';
import { NoteWriter } from './notes.mjs';

/**
 * @typedef {object} ProducerOptions
 * @property {number} producer its number
 * @property {string} notes directory of the notes
 * @property {import('./clients.mjs').ClientOptions} client
 * @property {number} [pace] events per second to track from the start
 */

const TICK_MS = 2;
/** After a stall a producer catches up, but not all at once: a kill is to find it at work. */
const MOST_IN_ONE_TICK = 200;
const CALLS_BETWEEN_LOOKS = 100;
const CALLS_IN_ONE_TURN = 2_000;
const LOOK_AGAIN_MS = 10;

export class Tracking {
  #producer;
  #notes;
  #client;
  #sequence = 0;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** Codes of the errors that listeners were told of, and how often. @type {Record<string, number>} */
  #errors = {};

  constructor(/** @type {ProducerOptions} */ { producer, notes, client, pace = 0 }) {
    this.#producer = producer;
    this.#notes = new NoteWriter(notes, producer);
    this.#client = createClient(client);
    this.#client.onError((code) => {
      this.#errors[code] = (this.#errors[code] ?? 0) + 1;
    });
    if (pace > 0) this.pace(pace);
  }

  /** Tracks so many events per second until it is told to stop. */
  pace(/** @type {number} */ rate) {
    this.stop();
    const start = performance.now();
    let done = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - start) * rate) / 1_000) + 1;
      const count = Math.min(due - done, MOST_IN_ONE_TICK);
      done = due;
      for (let index = 0; index < count; index += 1) this.#trackOne();
    }, TICK_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Tracks so many events as fast as it can, or until the spool is in the state. */
  async track({ count, untilSpool }) {
    for (let index = 0; index < count; index += 1) {
      this.#trackOne();
      if (index % CALLS_IN_ONE_TURN === 0) await new Promise(setImmediate);
      if (untilSpool !== undefined && this.#client.stats().spool === untilSpool) break;
    }
    return this.look();
  }

  /** The counters, checked. */
  look() {
    const stats = this.#client.stats();
    assertConserved(stats);
    return { calls: this.#sequence, errors: this.#errors, stats };
  }

  /** Resolves when nothing waits any more, neither of this process nor of those before it. */
  async drain() {
    while (!isEmpty(this.look().stats)) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    return this.look();
  }

  async finish({ timeout }) {
    this.stop();
    const report = await this.#client.close({ timeout });
    assertConserved(report);
    return { ...this.look(), report };
  }

  #trackOne() {
    this.#notes.add(this.#client.track(eventOf(this.#producer, this.#sequence)));
    this.#sequence += 1;
    if (this.#sequence % CALLS_BETWEEN_LOOKS === 0) this.look();
  }
}

/**
 * For a producer that only tracks a few events and ends.
 *
 * @param {ProducerOptions & { count: number }} options
 */
export function trackAndNote({ producer, notes, client: options, count }) {
  const writer = new NoteWriter(notes, producer);
  const client = createClient(options);
  for (let sequence = 0; sequence < count; sequence += 1)
    writer.add(client.track(eventOf(producer, sequence)));
  assertConserved(client.stats());
}
