/** LLVM's readers of object files, of every platform: a component of Rust, of the version that wrote them. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { run, step } from './steps.mjs';

/** The path of `llvm-objdump`, `llvm-readobj` and the others. */
export function llvmTool(name) {
  const path = pathOf(name);
  if (!existsSync(path)) addComponent();
  if (!existsSync(path)) throw new Error(`Rust's llvm-tools have no ${name}: there is no ${path}.`);
  return path;
}

/** For set-up: once, before programs that run side by side ask for tools, since rustup adds for one at a time. */
export const addLlvmTools = () => void llvmTool('llvm-objdump');

function addComponent() {
  step('Adding llvm-tools to Rust');
  run('rustup', ['component', 'add', 'llvm-tools']);
}

function pathOf(name) {
  const ask = (...args) => execFileSync('rustc', args, { encoding: 'utf8' }).trim();
  const [, host] = /^host: (.+)$/m.exec(ask('--version', '--verbose'));
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  return join(ask('--print', 'sysroot'), 'lib', 'rustlib', host, 'bin', file);
}
