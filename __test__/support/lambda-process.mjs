/** A function in a process of its own, as Lambda runs it: one event after the other, and frozen in between. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What Lambda's runtime does with a handler, as far as a handler sees of it. */
const runtime = (handler) => {
  process.on('message', ({ event, remaining }) => {
    const deadline = Date.now() + remaining;
    const context = { getRemainingTimeInMillis: () => deadline - Date.now() };
    handler(event, context).then(
      (result) => process.send({ result }),
      ({ name, code, message }) => process.send({ error: { name, code, message } }),
    );
  });
  process.send('ready');
};

/** A process that has loaded a function. */
class LambdaProcess {
  #child;
  #exit;

  constructor(child) {
    this.#child = child;
    this.#exit = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`the function has ended: ${signal ?? code}`);
    });
    this.#exit.catch(() => {});
  }

  /** The next thing it says. */
  async next() {
    const [message] = await Promise.race([once(this.#child, 'message'), this.#exit]);
    return message;
  }

  /** Resolves with `{ result }` or `{ error }`. */
  invoke(event, remaining = 30_000) {
    const answer = this.next();
    this.#child.send({ event, remaining });
    return answer;
  }

  /** Stops the process; resolves when it stands still. */
  async freeze() {
    this.#child.kill('SIGSTOP');
    while (!isStopped(this.#child.pid)) await pause(1);
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  end() {
    this.#child.kill('SIGKILL');
  }
}

function isStopped(pid) {
  // Elsewhere there is no such file; the signal is as good as done.
  if (process.platform !== 'linux') return true;
  return /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/**
 * Starts `make({ aws, segment }, argument)` in a process of its own; it returns the handler. It is given as text: it sees
 * nothing of its surroundings.
 */
export async function startLambda(make, argument = {}) {
  const source = `
    const aws = await import('@companion/segment/aws');
    const segment = await import('@companion/segment');
    (${runtime})((${make})({ aws, segment }, ${JSON.stringify(argument)}));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const lambda = new LambdaProcess(child);
  await lambda.next();
  return lambda;
}
