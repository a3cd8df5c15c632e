/** Makes the tests of the contract for one of the two packages. */
import { describe, test } from 'node:test';

import { BEHAVIOURS } from './behaviours.mjs';
import { THEIRS } from './libraries.mjs';

/** A case that hangs has failed. */
const timeout = 30_000;

/** Their callbacks take 300 ms and their retries seconds; most cases do nothing but wait. */
const CONCURRENCY = 16;

export function testContract(library) {
  const alone = BEHAVIOURS.filter((known) => known.alone === true);
  const together = BEHAVIOURS.filter((known) => known.alone !== true);
  for (const [cases, concurrency] of [
    [together, CONCURRENCY],
    [alone, 1],
  ]) {
    describe(library.name, { concurrency }, () => {
      for (const { title, run, differs } of cases) {
        const body = library === THEIRS && differs !== undefined ? differs.run : run;
        test(title, { timeout }, (t) => body(library, t));
      }
    });
  }
}
