/**
 * Makes a checkout ready: checks what the machine has, installs packages that are missing, builds what is stale. Does
 * nothing when there is nothing to do. `npm run demo`, `npm test`, `npm run bench` and `npm run lint` call it first.
 *
 *   --for test   the command it is for, which may need more than a build (scripts/setup/prerequisites.mjs)
 *   --rebuild    build the addon even if it is fresh, to see what its sources make of index.d.ts
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { buildAddonHere } from './setup/addon.mjs';
import { buildBundler } from './setup/bundler.mjs';
import { checkPrerequisites } from './setup/prerequisites.mjs';
import { filesIn, isFresh, modified, option, run, step } from './setup/steps.mjs';

checkPrerequisites(option('for', 'build'));
installPackages();
buildAddonHere({ rebuilds: process.argv.includes('--rebuild') });
buildFace();
await buildBundler();
buildExample();

function installPackages() {
  const stamp = 'node_modules/.package-lock.json';
  if (
    existsSync(stamp) &&
    modified(stamp) >= Math.max(modified('package-lock.json'), modified('package.json'))
  )
    return;
  step('Installing packages');
  // Not `npm ci`: it refuses a lock file whose optional packages for other platforms a registry does not carry.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
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
