/**
 * What is worth waiting for between two edits: `npm run test:quick`. Rust's unit tests, the types, and of the tests of the package
 * all but those that take longer than a few seconds: they start many processes, install packages, or wait for servers.
 *
 *   --slowest    afterwards, how long each file took
 */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';

const FOLDER = '__test__';
/** Files whose names begin so are left to `npm test`. */
const SLOW = [
  'addon',
  'aws-frozen',
  'aws-handlers-sqs',
  'bundlers',
  'chaos',
  'cli',
  'collection',
  'connections',
  'consumers',
  'contract',
  'copies',
  'defects',
  'drop-in-types',
  'engine',
  'example',
  'exits',
  'http-client',
  'infra',
  'lambda-asset',
  'moto',
  'oauth',
  'outage',
  'prerequisites',
  'proxies',
  'release',
  'signals',
  'spool',
  'stand-ins',
  'trust',
  'types-old-typescript',
  'workers',
];
/** Files at once. Most of them wait for a server more than they work. */
const AT_ONCE = 4;

const isQuick = (name) => name.endsWith('.test.mjs') && !SLOW.some((slow) => name.startsWith(slow));
const files = (await readdir(FOLDER)).filter(isQuick);
const took = [];
const failed = [];

const UNITS = ['test', '--release', '--locked', '--features', 'testing', '--lib', '--quiet'];
if (!(await passes('cargo', UNITS))) failed.push('cargo test --lib');
if (!(await passes('npx', ['tsc', '-p', `${FOLDER}/types/tsconfig.json`]))) failed.push('npm run test:types');
const queue = [...files];
await Promise.all(Array.from({ length: AT_ONCE }, work));
if (process.argv.includes('--slowest')) {
  for (const [name, ms] of took.toSorted(([, one], [, other]) => other - one))
    console.log(`${ms} ms  ${name}`);
}
console.log(`${files.length + 2 - failed.length} of ${files.length + 2} passed`);
for (const name of failed) console.log(`failed: ${name}`);
process.exitCode = failed.length > 0 ? 1 : 0;

async function work() {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const start = performance.now();
    const file = `${FOLDER}/${name}`;
    if (!(await passes(process.execPath, ['--test', '--test-reporter=dot', file]))) failed.push(file);
    took.push([name, Math.round(performance.now() - start)]);
  }
}

/** Runs a program; what it says is shown if it fails. */
async function passes(command, args) {
  const child = spawn(command, args);
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) process.stdout.write(Buffer.concat(output));
  return code === 0;
}
