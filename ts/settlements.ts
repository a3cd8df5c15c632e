/** Who waits for the fate of which event, and copies of what was passed to those that somebody is told of. */
import type { Settlement } from './outcome.js';

/** Characters of JSON of the pending events that are kept as they were passed; of more, what JSON made of them is told. */
const MOST_COPIED = 16 * 1024 * 1024;

/** Those of one client, by the number of the event. */
export class Settlements {
  readonly #awaited = new Map<number, Settlement>();
  /** What was passed to calls that only listeners are told of. */
  readonly #heard = new Map<number, Settlement>();
  /** Characters of JSON of the copies in both. */
  #copiedLength = 0;

  /** Whether nobody waits for an event. */
  get isEmpty(): boolean {
    return this.#awaited.size === 0;
  }

  /** Whether there is room for another copy. */
  get takesCopies(): boolean {
    return this.#copiedLength <= MOST_COPIED;
  }

  /** Keeps it until the event's end. `length` is that of the event's JSON. */
  keep(sequence: number, settlement: Settlement, length: number): void {
    const isCopied = settlement.context !== undefined;
    settlement.length = isCopied ? length : 0;
    this.#copiedLength += settlement.length;
    if (settlement.isOnlyHeard !== true) this.#awaited.set(sequence, settlement);
    else if (isCopied) this.#heard.set(sequence, settlement);
  }

  /** Whether this one still waits for the event. */
  holds(sequence: number, settlement: Settlement): boolean {
    return this.#awaited.get(sequence) === settlement;
  }

  /** The event has come to its end, or was taken back. */
  take(sequence: number): Settlement | undefined {
    const settlement = this.#awaited.get(sequence) ?? this.#heard.get(sequence);
    this.#awaited.delete(sequence);
    this.#heard.delete(sequence);
    this.#copiedLength -= settlement?.length ?? 0;
    return settlement;
  }

  /** Nobody listens any more, or nothing is pending: listeners are told of none of them. */
  forgetHeard(): void {
    for (const { length = 0 } of this.#heard.values()) this.#copiedLength -= length;
    this.#heard.clear();
  }
}
