/** Programs from PyPI, in a virtual environment of the checkout: zig and cargo-zigbuild, moto. */
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { requirePrerequisite } from './prerequisites.mjs';
import { run, step } from './steps.mjs';

export const PYTHON = join('target', 'python');
const REQUIREMENTS = join('scripts', 'setup', 'requirements.txt');
const INSTALLED = join(PYTHON, 'requirements.txt');

/** Makes sure that they are there. */
export function pythonTools() {
  if (existsSync(INSTALLED) && readFileSync(INSTALLED).equals(readFileSync(REQUIREMENTS))) return;
  // Nobody needs it who builds an addon with the system's own tools.
  requirePrerequisite('python');
  step('Installing zig and moto');
  rmSync(PYTHON, { recursive: true, force: true });
  run('python3', ['-m', 'venv', PYTHON]);
  const quiet = ['--quiet', '--disable-pip-version-check'];
  run(join(PYTHON, 'bin', 'pip'), ['install', ...quiet, '--requirement', REQUIREMENTS]);
  copyFileSync(REQUIREMENTS, INSTALLED);
}
