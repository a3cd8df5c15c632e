// Runs one program in a directory that is not the project's, as somebody who knows nothing of the project.
import { spawn } from 'node:child_process';

/** What a run of the project sets and a stranger's shell does not have. */
const OURS = /^(?:SEGMENT_|NEST_|NODE_OPTIONS$|NODE_PATH$|NODE_TEST_CONTEXT$|npm_(?:package|lifecycle)_)/;

/**
 * This process's environment without what could change how the package behaves.
 *
 * @param {Record<string, string>} [more]
 * @returns {NodeJS.ProcessEnv}
 */
export function strangersEnvironment(more = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !OURS.test(name));
  return { ...Object.fromEntries(kept), ...more };
}

/**
 * Resolves with how the program ended and what it printed.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd: string, env?: Record<string, string> }} options `env`: beside the stranger's own
 * @returns {Promise<{ code: number | null, output: string }>}
 */
export function outcome(program, args, { cwd, env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: strangersEnvironment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => (output += text));
    }
    child.once('error', (error) => reject(new Error(`${program} could not be started: ${error.message}`)));
    child.once('close', (code) => resolve({ code, output }));
  });
}

/**
 * Resolves with what the program printed; rejects with it when the program fails.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd: string, env?: Record<string, string> }} options
 * @returns {Promise<string>}
 */
export async function run(program, args, options) {
  const { code, output } = await outcome(program, args, options);
  if (code === 0) return output;
  throw new Error(`${output}\n${[program, ...args].join(' ')} ended with ${code}`.trim());
}
