/**
 * Runs what the tests say of `@segment/analytics-node`, and keeps what was run in `__test__/peer/last-run.json`:
 * `npm run test:peer`. `npm test` compares, and runs none of it: how long theirs takes is not ours to promise.
 */
import { readdir, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';

import { RECORD, currentRun } from '../__test__/peer/record.mjs';

const FOLDER = '__test__/peer';
const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.test.mjs'));
const run = await currentRun();
// One after the other: theirs has time limits that can't be set.
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-concurrency=1', ...files.map((name) => `${FOLDER}/${name}`)],
  { stdio: 'inherit' },
);
if (status !== 0) process.exit(1);
await writeFile(RECORD, `${JSON.stringify(run, null, 2)}\n`);
