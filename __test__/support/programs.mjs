/** Real child processes that run a function with the package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { KEY, NEVER_MS } from './clients.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Runs `program({ Analytics, ... }, argument)` in a process of its own, to its end. `program` is given as text:
 * it sees nothing of its surroundings. A program that does not end is killed with the test.
 */
export function runProgram(t, program, argument = {}, options = {}) {
  const source = `
    const exported = await import('@companion/segment');
    await (${program})(exported, ${JSON.stringify(argument)});
  `;
  return runScript(t, source, options);
}

/** Runs a whole script, by default as an ES module; `descriptors` is how many it may have. */
export async function runScript(
  t,
  source,
  { nodeOptions = [], env = {}, type = 'module', descriptors } = {},
) {
  const args = [process.execPath, ...nodeOptions, `--input-type=${type}`, '--eval', source];
  const limited = ['sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', ...args];
  const [command, ...rest] = descriptors === undefined ? args : limited;
  const child = spawn(command, rest, { cwd: ROOT, env: { ...process.env, ...env } });
  t.after(() => child.kill('SIGKILL'));
  child.stdin.end();
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { code, signal, stdout, stderr };
}

/** What a program printed with `console.log(JSON.stringify(...))` on its last line. */
export const lastLine = (stdout) => JSON.parse(stdout.trimEnd().split('\n').at(-1));

/**
 * How a process ends that a signal ends: its code and its signal. Windows has no signals; Node ends a process there with a
 * code.
 */
export function endBy(signal) {
  if (process.platform !== 'win32') return { code: null, signal };
  return { code: signal === 'SIGABRT' ? 134 : 1, signal: null };
}

/** As long as it takes: no test passes or fails by its speed. */
export const PATIENT = { exitTimeout: NEVER_MS };

/**
 * Runs a program that gets `make(settings)` for clients, a first client and its `track(messageId)`. Nothing leaves
 * before the end by itself. The program is text, so it sees nothing of its surroundings.
 */
export function runClient(t, segment, program, settings = PATIENT) {
  const source = `async ({ Analytics }, { settings }) => {
    const make = (more) => new Analytics({ ...settings, ...more });
    const analytics = make();
    const track = (messageId, callback) => analytics.track({ userId: 'u1', event: 'e', messageId }, callback);
    await (${program})({ analytics, track, make });
  }`;
  const defaults = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS };
  return runProgram(t, source, { settings: { ...defaults, ...settings } });
}
