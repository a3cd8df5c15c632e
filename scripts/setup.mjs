/**
 * Makes a checkout ready: checks Node and cargo, installs what is missing, builds what is stale. Does nothing when
 * there is nothing to do. `npm run demo`, `npm test`, `npm run bench` and `npm run lint` call it first.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { buildAddonHere } from './setup/addon.mjs';
import { fail, filesIn, isFresh, isOlder, modified, run, step } from './setup/steps.mjs';

/** `--rebuild`: build the addon even if it is fresh, to see what its sources make of index.d.ts. */
const rebuilds = process.argv.includes('--rebuild');

const MIN_NODE = [20, 19, 0];
const MIN_RUST = [1, 89, 0];

checkNode();
installPackages();
buildAddonHere({ rebuilds, requireTools: checkRust });
buildFace();
buildExample();

function checkNode() {
  if (isOlder(process.versions.node, MIN_NODE)) {
    fail(
      `Node ${MIN_NODE.join('.')} or newer is needed; this is ${process.versions.node}. See https://nodejs.org.`,
    );
  }
}

function checkRust() {
  const { stdout, error } = spawnSync('cargo', ['--version'], { encoding: 'utf8' });
  if (error) fail('cargo was not found. Install Rust (https://rustup.rs) and open a new shell.');
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? '0.0.0';
  if (isOlder(version, MIN_RUST)) {
    fail(`Rust ${MIN_RUST.join('.')} or newer is needed; this is ${version}. Run: rustup update stable`);
  }
  const linker = process.platform === 'win32' ? undefined : (process.env.CC ?? 'cc');
  if (linker !== undefined && spawnSync(linker, ['--version']).error) {
    fail(
      `The C compiler "${linker}" was not found; Rust links with it. On Debian: apt-get install gcc libc6-dev`,
    );
  }
}

function installPackages() {
  const stamp = 'node_modules/.package-lock.json';
  if (
    existsSync(stamp) &&
    modified(stamp) >= Math.max(modified('package-lock.json'), modified('package.json'))
  )
    return;
  step('Installing packages');
  // Not `npm ci`: it refuses a lock file whose optional packages for other platforms a registry does not carry.
  // npm 9 packs `file:..` instead of linking it, and knows nothing of what is built later.
  const links = '--install-links=false';
  run('npm', ['install', '--no-save', links, '--no-audit', '--no-fund', '--loglevel=error']);
  // npm keeps the time of an unchanged stamp.
  writeFileSync(stamp, readFileSync(stamp));
}

function buildFace() {
  const sources = ['package.json', 'tsconfig.json', 'index.d.ts', ...filesIn('ts')];
  if (isFresh('dist/index.js', sources)) return;
  step('Compiling TypeScript');
  // Nothing of a source that is gone may stay.
  rmSync('dist', { recursive: true, force: true });
  run('npx', ['tsc', '-p', 'tsconfig.json']);
}

/** It is compiled against the face, as an application is. */
function buildExample() {
  const example = join('examples', 'companion-api');
  const settings = ['package.json', 'tsconfig.json'].map((name) => join(example, name));
  const sources = ['dist/index.js', ...settings, ...filesIn(join(example, 'src'))];
  if (isFresh(join(example, 'dist', 'main.js'), sources)) return;
  step('Compiling the example');
  rmSync(join(example, 'dist'), { recursive: true, force: true });
  run('npx', ['tsc', '-p', example]);
}
