// What arrived: how often each event came, whether it was intact, and whether its repeats had the same messageId.
import { examine } from './events.mjs';
import { hash } from './random.mjs';

const FIRST_CAPACITY = 1_024;
const MOST_COUNTED = 255;

/** The events of one producer, by sequence number. */
class Arrivals {
  counts = new Uint8Array(FIRST_CAPACITY);
  messageIds = new Uint32Array(FIRST_CAPACITY);

  reach(/** @type {number} */ sequence) {
    if (sequence < this.counts.length) return;
    const capacity = Math.max(sequence + 1, this.counts.length * 2);
    const { counts, messageIds } = this;
    this.counts = new Uint8Array(capacity);
    this.counts.set(counts);
    this.messageIds = new Uint32Array(capacity);
    this.messageIds.set(messageIds);
  }
}

export class Deliveries {
  /** @type {Map<number, Arrivals>} */
  #byProducer = new Map();
  /** Different events. */
  distinct = 0;
  /** Arrivals beyond the first of each. */
  duplicates = 0;
  /** Arrivals that were not what was tracked. */
  corrupted = 0;
  /** Repeats with another messageId, which Segment would take for another event. */
  renamed = 0;

  /** @returns {{ producer: number, isNew: boolean } | undefined} undefined for what is no event of a producer */
  add(/** @type {any} */ event) {
    const found = examine(event);
    // Its id is not to be trusted either: the event it may have been is missing.
    if (found === undefined || !found.intact) {
      this.corrupted += 1;
      return undefined;
    }
    const { producer, sequence } = found;
    const arrivals = this.#of(producer);
    arrivals.reach(sequence);
    const messageId = hash(String(event.messageId));
    const isNew = arrivals.counts[sequence] === 0;
    if (isNew) {
      this.distinct += 1;
      arrivals.messageIds[sequence] = messageId;
    } else {
      this.duplicates += 1;
      if (arrivals.messageIds[sequence] !== messageId) this.renamed += 1;
    }
    if (arrivals.counts[sequence] < MOST_COUNTED) arrivals.counts[sequence] += 1;
    return { producer, isNew };
  }

  has(/** @type {number} */ producer, /** @type {number} */ sequence) {
    return (this.#byProducer.get(producer)?.counts[sequence] ?? 0) > 0;
  }

  /** @returns {Iterable<number>} */
  producers() {
    return this.#byProducer.keys();
  }

  /** @returns {number[]} the sequence numbers that arrived */
  sequencesOf(/** @type {number} */ producer) {
    const counts = this.#byProducer.get(producer)?.counts ?? [];
    return Array.from(counts.entries()).flatMap(([sequence, count]) => (count > 0 ? [sequence] : []));
  }

  /** Different events of one producer. */
  countOf(/** @type {number} */ producer) {
    return this.sequencesOf(producer).length;
  }

  #of(/** @type {number} */ producer) {
    let arrivals = this.#byProducer.get(producer);
    if (arrivals === undefined) this.#byProducer.set(producer, (arrivals = new Arrivals()));
    return arrivals;
  }
}
