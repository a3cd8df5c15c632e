import { parseArgs } from 'node:util';
import { METRICS } from './metrics/metric.mjs';
import { DEFAULT_SDKS } from './sdks/adapter.mjs';

const DEFAULT_ROUNDS = 5;

export const USAGE = `Usage: npm run bench -- [options]

  --quick           one round of small runs: a smoke test, not a result
  --rounds <n>      interleaved rounds, of which the medians are reported (default ${DEFAULT_ROUNDS})
  --only <metrics>  ${METRICS.join(', ')}
  --sdk <names>     ${DEFAULT_SDKS.join(', ')}
  --strict          exit with 1 when a budget is missed
  --help            show this text

Lists are separated by commas. RESULTS.md is written by a run without --quick, --only and --sdk.`;

function listOf(/** @type {string} */ option, /** @type {string} */ text, /** @type {string[]} */ known) {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`${option}: unknown ${unknown.join(', ')}; known: ${known.join(', ')}`);
  return names;
}

/** @param {string[]} args */
export function parseBenchArguments(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string' },
      sdk: { type: 'string' },
      strict: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = values.rounds === undefined ? (values.quick ? 1 : DEFAULT_ROUNDS) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error('--rounds: must be a whole number of at least 1');
  return {
    quick: values.quick,
    strict: values.strict,
    help: values.help,
    rounds,
    metrics: values.only === undefined ? undefined : listOf('--only', values.only, METRICS),
    sdks: values.sdk === undefined ? undefined : listOf('--sdk', values.sdk, DEFAULT_SDKS),
  };
}
