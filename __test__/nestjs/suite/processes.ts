/** Real processes that run a program of the suite. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** What it printed, and what it complained of. */
  output: string;
}

export interface RunningProgram {
  readonly child: ChildProcess;
  /** Resolves with what the first line that matches says in its first group; rejects when it ends without. */
  line: (pattern: RegExp) => Promise<string>;
  ended: Promise<Ended>;
}

/** Starts `<name>.program.js`, which is compiled to where the tests are. Killed with the test if it is still there. */
export function startProgram(t: TestContext, name: string, ...args: string[]): RunningProgram {
  const path = join(dirname(process.argv[1] ?? ''), `${name}.program.js`);
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  const take = (stream: Readable) =>
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  take(child.stdout);
  take(child.stderr);
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal, output }) as Ended);
  const line = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(output)?.[1];
        if (found !== undefined) resolve(found);
      };
      look();
      child.stdout.on('data', look);
      void ended.then(() => reject(new Error(`It ended without a line like ${String(pattern)}:\n${output}`)));
    });
  return { child, line, ended };
}
