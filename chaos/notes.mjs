// What a producer durably notes about its calls: one byte for each, in order, once the call has returned. write(2)
// has handed it to the kernel, so that a SIGKILL right after it takes nothing back.
import { existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const ACCEPTED = 0x2b;
const REFUSED = 0x2d;
const BYTES = { accepted: Buffer.of(ACCEPTED), refused: Buffer.of(REFUSED) };

/** @returns {string} */
const pathOf = (/** @type {string} */ directory, /** @type {number} */ producer) =>
  join(directory, `${producer}.notes`);

/** The producer's side. */
export class NoteWriter {
  #file;

  constructor(/** @type {string} */ directory, /** @type {number} */ producer) {
    this.#file = openSync(pathOf(directory, producer), 'a');
  }

  add(/** @type {boolean} */ accepted) {
    writeSync(this.#file, accepted ? BYTES.accepted : BYTES.refused);
  }
}

/** The judge's side: what one producer noted. */
export class Notes {
  #bytes;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** @returns {Notes} no calls for a producer that ended before it could open its file */
  static read(/** @type {string} */ directory, /** @type {number} */ producer) {
    const path = pathOf(directory, producer);
    return new Notes(existsSync(path) ? readFileSync(path) : Buffer.alloc(0));
  }

  /** Calls that returned. */
  get calls() {
    return this.#bytes.length;
  }

  get accepted() {
    let count = 0;
    for (const byte of this.#bytes) if (byte === ACCEPTED) count += 1;
    return count;
  }

  isAccepted(/** @type {number} */ sequence) {
    return this.#bytes[sequence] === ACCEPTED;
  }
}
