/** Programs of the npm registry that are no dependency of the project: each version in a folder of its own. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT, run, step } from './steps.mjs';

/**
 * Installs a package once.
 *
 * @param {string} name
 * @param {string} version
 * @param {object} [more]
 * @param {string[]} [more.options] of npm, such as `--cpu=arm64` for a program of another machine
 * @param {Record<string, string>} [more.overrides] versions of what it depends on
 * @returns {string} the folder of the package
 */
export function toolFolder(name, version, { options = [], overrides = {} } = {}) {
  const home = join(ROOT, 'target', 'tools', `${name.replace('/', '-')}-${version}`);
  const folder = join(home, 'node_modules', name);
  const stamp = join(home, 'installed');
  if (existsSync(stamp)) return folder;
  step(`Installing ${name} ${version}`);
  mkdirSync(home, { recursive: true });
  const manifest = { private: true, dependencies: { [name]: version }, overrides };
  writeFileSync(join(home, 'package.json'), JSON.stringify(manifest));
  const quietly = ['--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts', '--prefer-offline'];
  run('npm', ['install', '--prefix', home, ...quietly, ...options]);
  writeFileSync(stamp, '');
  return folder;
}
