/** What Rust builds for beside the machine it is on: each target is a component, which rustup adds. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { run, step } from './steps.mjs';

/** Adds a target if it is missing. */
export function requireTarget(target) {
  const { status, stdout } = spawnSync('rustc', ['--print', 'target-libdir', '--target', target], {
    encoding: 'utf8',
  });
  if (status === 0 && existsSync(stdout.trim())) return;
  step(`Adding ${target} to Rust`);
  run('rustup', ['target', 'add', target]);
}
