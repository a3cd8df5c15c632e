/**
 * What analytics-node does wrong, and what this package does instead: `{ what, theirs: [does, run], ours: [does, run] }`.
 */
import { test } from 'node:test';

import { cases as events } from './events.mjs';
import { cases as flushes } from './flush.mjs';
import { cases as tokens } from './oauth.mjs';
import { cases as processes } from './processes.mjs';

/** Makes a test of each case for `side`, which is `theirs` or `ours`. */
export function testDefects(side) {
  for (const known of [...events, ...flushes, ...tokens, ...processes]) {
    const [does, run] = known[side];
    test(`${known.what}: ${side} ${does}`, run);
  }
}
