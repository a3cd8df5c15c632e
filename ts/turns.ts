import { setImmediate } from './clock.js';

/** Reading mail in turns of the event loop: what is told in one of them is bounded, however fast more arrives. */
export class Turns {
  readonly #read: () => boolean;
  #isTaken = false;
  #hasMore = false;

  /** @param read takes a piece of the mail; true when the loop should have a turn of its own before the next */
  constructor(read: () => boolean) {
    this.#read = read;
  }

  /** There is mail. */
  take(): void {
    this.#hasMore = true;
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.#hasMore = false;
    if (this.#read() || this.#hasMore) setImmediate(() => this.#next());
    else this.#isTaken = false;
  }

  #next(): void {
    this.#isTaken = false;
    if (this.#hasMore) this.take();
  }
}
