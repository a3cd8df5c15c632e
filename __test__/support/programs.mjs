/** Real child processes that run a function with the package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

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

/** Runs a whole script, by default as an ES module. */
export async function runScript(t, source, { nodeOptions = [], env = {}, type = 'module' } = {}) {
  const args = [...nodeOptions, `--input-type=${type}`, '--eval', source];
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...env } });
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
