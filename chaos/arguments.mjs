import { parseArgs } from 'node:util';

import { ROWS } from './rows.mjs';

export const USAGE = `Usage: npm run chaos -- [options]

  --only <rows>  ${ROWS.join(', ')}
  --short        a few kills and events of each row, as npm test has them: a smoke test, not a result
  --seed <n>     takes the decisions of an earlier run again (0 to 4,294,967,295)
  --write        puts the table of a whole run into docs/RELIABILITY.md
  --help         show this text

Lists are separated by commas. Ends with 1 when a row failed, with 2 for wrong usage.`;

const HIGHEST_SEED = 2 ** 32 - 1;

/** A mistake in the command line. */
export class UsageError extends Error {}

/** @param {string[]} args */
export function parseChaosArguments(args) {
  const { only, seed, ...flags } = parsed(args);
  if (flags.write && (flags.short || only !== undefined))
    throw new UsageError('--write: only for a whole run, without --only and --short');
  return { ...flags, rows: only === undefined ? ROWS : rowsOf(only), seed: seedOf(seed) };
}

function parsed(/** @type {string[]} */ args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        only: { type: 'string' },
        short: { type: 'boolean', default: false },
        seed: { type: 'string' },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function rowsOf(/** @type {string} */ list) {
  const names = list.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !ROWS.includes(name));
  if (unknown.length > 0)
    throw new UsageError(`--only: unknown ${unknown.join(', ')}; known: ${ROWS.join(', ')}`);
  return ROWS.filter((name) => names.includes(name));
}

function seedOf(/** @type {string | undefined} */ text) {
  if (text === undefined) return Math.floor(Math.random() * (HIGHEST_SEED + 1));
  const seed = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(seed <= HIGHEST_SEED))
    throw new UsageError(`--seed: must be a whole number from 0 to ${HIGHEST_SEED}`);
  return seed;
}
