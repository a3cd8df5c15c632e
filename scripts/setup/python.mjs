/** Programs from PyPI, in a virtual environment of the checkout: zig and cargo-zigbuild, moto. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { fail, run, step } from './steps.mjs';

export const PYTHON = join('target', 'python');
const REQUIREMENTS = join('scripts', 'setup', 'requirements.txt');
const INSTALLED = join(PYTHON, 'requirements.txt');

/** Makes sure that they are there. */
export function pythonTools() {
  if (existsSync(INSTALLED) && readFileSync(INSTALLED).equals(readFileSync(REQUIREMENTS))) return;
  const isThere = spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0;
  if (!isThere) fail('Python 3 with venv was not found. On Debian: apt-get install python3 python3-venv');
  step('Installing zig and moto');
  rmSync(PYTHON, { recursive: true, force: true });
  run('python3', ['-m', 'venv', PYTHON]);
  const quiet = ['--quiet', '--disable-pip-version-check'];
  run(join(PYTHON, 'bin', 'pip'), ['install', ...quiet, '--requirement', REQUIREMENTS]);
  copyFileSync(REQUIREMENTS, INSTALLED);
}
