// npm run chaos: puts the package under every fault it makes a promise about, and counts every event.
import { parseChaosArguments, USAGE, UsageError } from './arguments.mjs';
import { headingOf, notesOf, tableOf, writeDocument } from './report.mjs';
import { loadRow } from './rows.mjs';
import { Scene } from './scene.mjs';

const FAILED = 1;
const WRONG_USAGE = 2;
const INTERRUPTED = 130;

/** The row that runs: whoever breaks the run off has to clear it away. @type {Scene | undefined} */
let current;
let isInterrupted = false;

/** @returns {Promise<import('./report.mjs').NamedResult | undefined>} undefined: there is no short version */
async function runRow(/** @type {string} */ row, /** @type {number} */ seed, /** @type {boolean} */ short) {
  const { title, longOnly = false, run } = await loadRow(row);
  if (short && longOnly) return undefined;
  const scene = (current = new Scene({
    row,
    seed,
    short,
    progress: (text) => showProgress(`${row}: ${text}`),
  }));
  try {
    return { row, title, ...(await run(scene)) };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return { row, title, status: 'failed', problems: [`broken off: ${what}`], facts: [] };
  } finally {
    current = undefined;
    await scene.close();
    showProgress('');
  }
}

function showProgress(/** @type {string} */ text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text.slice(0, process.stderr.columns - 1)}`);
}

async function main() {
  const { rows, seed, short, write, help } = parseChaosArguments(process.argv.slice(2));
  if (help) {
    console.log(USAGE);
    return;
  }
  const date = new Date();
  const start = performance.now();
  console.log(`seed ${seed}`);
  const results = [];
  for (const row of rows) {
    const result = await runRow(row, seed, short);
    // The process ends as soon as everything is cleared away.
    if (isInterrupted) return;
    if (result === undefined) continue;
    results.push(result);
    console.log(`${result.status.padEnd(8)}  ${row}  ${(result.figures?.seconds ?? 0).toFixed(1)} s`);
    for (const problem of result.problems) console.log(problem.replaceAll(/^/gm, '          '));
  }
  const heading = headingOf({ seed, short, date, seconds: (performance.now() - start) / 1_000 });
  const text = `${heading}\n\n${tableOf(results)}\n\n${notesOf(results)}`;
  console.log(`\n${text}`);
  if (write) writeDocument(text);
  if (results.some(({ status }) => status === 'failed')) process.exitCode = FAILED;
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => {
    isInterrupted = true;
    const scene = current;
    const closed = scene === undefined ? Promise.resolve() : scene.close();
    void closed.finally(() => process.exit(INTERRUPTED));
  });
}

main().catch((error) => {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = error instanceof UsageError ? WRONG_USAGE : FAILED;
});
