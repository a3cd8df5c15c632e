/** Programs of the npm registry that are no dependency of the project: each version in a folder of its own. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { ROOT, run, step } from './steps.mjs';

/**
 * Installs a package once.
 *
 * @param {string} name
 * @param {string} version
 * @param {object} [more]
 * @param {string[]} [more.options] of npm, such as `--cpu=arm64` for a program of another machine
 * @param {(folder: string) => void} [more.install] installs what package.json in the folder asks for, in another way
 * @returns {string} the folder of the package
 */
export function toolFolder(
  name,
  version,
  { options = [], install = (folder) => npmInstall(folder, options) } = {},
) {
  const home = join(ROOT, 'target', 'tools', `${name.replace('/', '-')}-${version}`);
  const folder = join(home, 'node_modules', name);
  if (existsSync(home)) return folder;
  step(`Installing ${name} ${version}`);
  mkdirSync(dirname(home), { recursive: true });
  // It gets its name when all of it is there: tests that run side by side may want the same.
  const work = mkdtempSync(`${home}-`);
  const manifest = { private: true, dependencies: { [name]: version } };
  writeFileSync(join(work, 'package.json'), JSON.stringify(manifest));
  install(work);
  try {
    renameSync(work, home);
  } catch (error) {
    // Somebody else was faster.
    if (!existsSync(home)) throw error;
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

function npmInstall(folder, options) {
  const quietly = ['--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts', '--prefer-offline'];
  run('npm', ['install', '--prefix', folder, ...quietly, ...options]);
}
