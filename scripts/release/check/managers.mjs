/** Every package manager installs the root alone; every runtime that can run it does; and what goes wrong is told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { outcome, run } from '../../test-nest/program.mjs';
import { bun, deno, INSTALLERS, installed } from '../installers.mjs';
import { smoke } from '../smoke/run.mjs';
import { summary } from './platforms.mjs';

const NODE = process.execPath;
const RUNTIMES = { bun: () => [bun()], deno: () => [deno(), 'run', '-A'] };
const LOAD = "require('@companion/segment'); console.log('loaded')";

/**
 * @param {string} url of the registry
 * @param {(row: import('./report.mjs').Row) => void} tell
 */
export async function checkManagers(url, tell) {
  for (const [name, { runsWith = [] }] of Object.entries(INSTALLERS)) {
    const started = performance.now();
    const { directory, code, output, remove } = await installed(name, url);
    const command = RUNTIMES[name]?.() ?? [NODE, ...runsWith];
    const steps =
      code === 0
        ? await smoke(directory, { command }, { cli: await commandLine(directory, runsWith) })
        : [{ step: 'install', problem: output }];
    tell({ part: 'package managers', what: `${name}, run by ${runnerOf(name)}`, ...summary(steps, started) });
    remove();
  }
  for (const [what, check] of Object.entries(CASES)) {
    const started = performance.now();
    const problem = await check(url).then(
      () => '',
      (error) => error.message,
    );
    const seconds = (performance.now() - started) / 1_000;
    tell({ part: 'installations', what, passed: problem === '', detail: '', problem, seconds });
  }
}

const runnerOf = (name) => (Object.hasOwn(RUNTIMES, name) ? name : `Node ${process.versions.node}`);

/** Where the command line is, as Node sees it: with Plug'n'Play in an archive. */
async function commandLine(directory, runsWith) {
  const script = "console.log(require.resolve('@companion/segment/package.json'))";
  const manifest = await run(NODE, [...runsWith, '-e', script], { cwd: directory });
  return join(manifest.trim(), '..', 'dist', 'cli', 'main.js');
}

/** What people do to their installations. A case throws what is wrong. */
const CASES = {
  'npm --omit=optional: the error names the package and the cure': async (url) => {
    await refused(
      url,
      { options: ['--omit=optional'] },
      /segment-linux-x64-gnu is not installed\..*--omit=optional/,
    );
  },
  'node_modules of another system: the error names both': async (url) => {
    const options = ['--os=darwin', '--cpu=arm64'];
    await refused(
      url,
      { options },
      /segment-linux-x64-gnu is not installed, only @companion\/segment-darwin-arm64 /,
    );
  },
  'a lock file of another system: npm ci installs what this one needs': async (url) => {
    const other = await installed('npm', url, { options: ['--os=win32', '--cpu=x64'] });
    const read = (name) => readFileSync(join(other.directory, name), 'utf8');
    const files = { 'package.json': read('package.json'), 'package-lock.json': read('package-lock.json') };
    other.remove();
    const here = await installed('npm', url, { files, command: 'ci' });
    try {
      await loads(here);
    } finally {
      here.remove();
    }
  },
};

async function refused(url, how, pattern) {
  const { directory, code, output, remove } = await installed('npm', url, how);
  try {
    if (code !== 0) throw new Error(`npm ended with ${code}:\n${output}`);
    const ended = await outcome(NODE, ['-e', LOAD], { cwd: directory });
    if (ended.code === 0) throw new Error('it loads');
    if (!ended.output.includes("code: 'ERR_ADDON'")) throw new Error(`no ERR_ADDON:\n${ended.output}`);
    if (!pattern.test(ended.output)) throw new Error(`the text does not help:\n${ended.output}`);
  } finally {
    remove();
  }
}

async function loads({ directory, code, output }) {
  if (code !== 0) throw new Error(`it ended with ${code}:\n${output}`);
  await run(NODE, ['-e', LOAD], { cwd: directory });
}
