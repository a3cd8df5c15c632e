// Servers, applications and the like that a metric needs beside the SDK's process: each in a process of its own.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { callsOver } from './ipc-calls.mjs';

/**
 * @param {string} name of the file, in the folder of the bench
 * @param {string[]} args
 * @param {string} [execPath] another Node than the running one
 */
export function startProcess(name, args = [], execPath = process.execPath) {
  const file = fileURLToPath(new URL(name, import.meta.url));
  const child = fork(file, args, { execPath, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { child, call: callsOver(child, `the process of ${name}`), stop };
}
