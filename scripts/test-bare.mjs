/**
 * npm run test:bare: do the commands work on a machine that has what README.md names and nothing else? And does each
 * thing that is missing have its line, before anything is installed or built? On systems that debootstrap makes, with
 * a clone of what is committed. They are in target/bare, with a log of each run.
 *
 *   --suite bookworm   this system only; may be repeated
 *   --only demo        `demo` and `test` run these commands, `missing` takes their prerequisites away; may be repeated
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { ROOT } from './setup/steps.mjs';
import { SUITES, systemsOf } from './test-bare/contents.mjs';
import { commandRun, runsWithout } from './test-bare/runs.mjs';

/** What takes longest comes last. */
const PARTS = { demo: [commandRun('demo')], missing: runsWithout(), test: [commandRun('test')] };
const PROGRAMS = ['debootstrap', 'git', 'rustup', 'setpriv', 'unshare'];
const PROJECT = '/home/project';
const COLUMNS = { suite: 8, command: 7, exit: 4, seconds: 7, result: 6, without: 0 };

async function main() {
  const options = { suite: { type: 'string', multiple: true }, only: { type: 'string', multiple: true } };
  const { values } = parseArgs({ options });
  const { suite: suites = Object.keys(SUITES), only: parts = Object.keys(PARTS) } = values;
  const refusal = whyNot(suites, parts);
  if (refusal !== undefined) {
    console.error(`test:bare: ${refusal}`);
    return false;
  }
  console.log(`${execFileSync('git', ['log', '-1', '--format=%h %s'], { encoding: 'utf8' })}\n`);
  printRow(Object.fromEntries(Object.keys(COLUMNS).map((name) => [name, name])));
  let isAsExpected = true;
  for (const suite of suites) isAsExpected = (await runSuite(suite, parts)) && isAsExpected;
  return isAsExpected;
}

function whyNot(suites, parts) {
  const known = { suite: Object.keys(SUITES), only: Object.keys(PARTS) };
  for (const [option, values] of Object.entries({ suite: suites, only: parts })) {
    const unknown = values.find((value) => !known[option].includes(value));
    if (unknown !== undefined) return `--${option} ${unknown}: there are ${known[option].join(', ')}.`;
  }
  const isThere = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  const isReady = process.getuid?.() === 0 && PROGRAMS.every(isThere);
  return isReady
    ? undefined
    : `This has to be root on Linux, with ${PROGRAMS.join(', ')}. On Debian: apt-get install debootstrap git.`;
}

async function runSuite(suite, parts) {
  const systems = await systemsOf(suite);
  let isAsExpected = true;
  for (const run of Object.keys(PARTS).flatMap((part) => (parts.includes(part) ? PARTS[part] : []))) {
    const { code, seconds, problems, log, output } = await outcomeOf(run, systems[run.system]);
    const result = problems.length === 0 ? 'ok' : 'FAILED';
    printRow({ ...run, suite, exit: code, seconds: seconds.toFixed(0), result });
    for (const line of problems.length === 0 ? toldIn(output) : [...problems, `see ${log}`])
      console.log(`    ${line}`);
    isAsExpected &&= problems.length === 0;
  }
  return isAsExpected;
}

/** Runs it in a new clone on top of the system. */
async function outcomeOf({ name, run, take, told }, system) {
  const top = join('runs', name);
  const project = join(system.directory, top, PROJECT);
  rmSync(join(system.directory, top), { recursive: true, force: true });
  mkdirSync(project, { recursive: true });
  execFileSync('git', ['clone', '--quiet', '--no-hardlinks', ROOT, project]);
  await system.enterOrThrow(top, take);
  const start = performance.now();
  const { code, output } = await system.enter(top, `cd ${PROJECT}; exec ${run}`);
  const seconds = (performance.now() - start) / 1_000;
  const problems = told.length === 0 ? problemsWith(code) : problemsWithout(code, output, told, project);
  if (problems.length === 0) rmSync(join(system.directory, top), { recursive: true });
  return { code, seconds, output, problems, log: join(system.directory, `${top}.log`) };
}

const problemsWith = (code) => (code === 0 ? [] : [`it ended with ${code}`]);

/** It has to fail, with these lines and no other, and the clone has to be as it was. */
function problemsWithout(code, output, told, project) {
  const problems = code === 0 ? ['it succeeded'] : [];
  const lines = toldIn(output);
  for (const beginning of told.filter((text) => lines.filter((line) => line.startsWith(text)).length !== 1))
    problems.push(`not told once: ${beginning}`);
  for (const line of lines.filter((text) => !told.some((beginning) => text.startsWith(beginning))))
    problems.push(`told as well: ${line}`);
  const status = ['-C', project, 'status', '--porcelain', '--ignored'];
  const made = execFileSync('git', status, { encoding: 'utf8' }).trim();
  return made === '' ? problems : [...problems, `made in the clone: ${made}`];
}

const toldIn = (output) =>
  output.split('\n').filter((line) => line.startsWith('setup: ') && line.includes(' is needed; '));

function printRow(row) {
  const cells = Object.entries(COLUMNS).map(([name, width]) => String(row[name] ?? '').padEnd(width));
  console.log(cells.join('  ').trimEnd());
}

process.exitCode = (await main()) ? 0 : 1;
