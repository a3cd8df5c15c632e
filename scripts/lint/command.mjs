// Runs one program in the root of the project, with the tools of node_modules on its path.
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Resolves with what the program printed; rejects with it when the program fails.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string>} [env] beside this process's own
 * @param {{ show?: boolean }} [options] `show`: on the screen as it comes
 * @returns {Promise<string>}
 */
export function run(program, args, env = {}, { show = false } = {}) {
  const path = [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { ...process.env, ...env, PATH: path },
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
      // npm and the tools of node_modules are scripts there, which only a shell can start.
      shell: process.platform === 'win32' && program !== process.execPath,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (/** @type {string} */ text) => (output += text));
    }
    child.once('error', (error) => reject(new Error(`${program} could not be started: ${error.message}`)));
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${output}\n${[program, ...args].join(' ')} ended with ${code}`.trim()));
    });
  });
}
