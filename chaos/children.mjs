// The processes of a row: started, called, stopped and killed by their process id, and none of them left behind.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { callsOver, monotonicMs } from '../bench/ipc-calls.mjs';

const LOOK_AT_MEMORY_MS = 200;
const STDERR_KEPT = 4_000;

/**
 * @typedef {object} Ending
 * @property {number | null} code
 * @property {NodeJS.Signals | null} signal
 * @property {string} stderr
 * @property {number} at monotonic milliseconds
 */

export class Child {
  /** @type {import('node:child_process').ChildProcess} */
  process;
  /** @type {Promise<Ending>} */
  ending;
  stdout = '';
  #stderr = '';
  #call;

  constructor(/** @type {string} */ program, /** @type {unknown} */ argument) {
    this.process = fork(fileURLToPath(new URL(program, import.meta.url)), [JSON.stringify(argument)], {
      env: environment(),
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.process.stdout?.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    this.ending = this.#end();
    this.#call = callsOver(this.process, program);
  }

  get pid() {
    return this.process.pid ?? 0;
  }

  /** @returns {Promise<any>} */
  call(/** @type {string} */ command, /** @type {unknown} */ argument) {
    return this.alive(this.#call(command, argument));
  }

  /**
   * What is waited for, or the error that the process has ended in the meantime.
   *
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T>}
   */
  async alive(promise) {
    const ended = this.ending.then(({ code, signal, stderr }) => {
      throw new Error(`a process ended with ${code ?? signal}: ${stderr}`);
    });
    // Its channel closes before the process is gone, and knows less.
    return Promise.race([
      promise.catch((error) => (this.process.connected ? Promise.reject(error) : ended)),
      ended,
    ]);
  }

  signal(/** @type {NodeJS.Signals} */ name) {
    this.process.kill(name);
  }

  /** Lets a producer that has finished go, and says how it ended. */
  async leave() {
    if (this.process.connected) this.process.disconnect();
    return this.ending;
  }

  /** @returns {Promise<Ending>} */
  async #end() {
    const exited = once(this.process, 'exit').then((ending) => [...ending, monotonicMs()]);
    const streams = [this.process.stdout, this.process.stderr];
    const closed = streams.map((stream) => stream && once(stream, 'close'));
    const [[code, signal, at]] = await Promise.all([exited, ...closed]);
    return { code, signal, stderr: this.#stderr.trim(), at };
  }
}

export class Children {
  /** @type {Set<number>} process ids, those of the children's own children included */
  #living = new Set();
  /** The most memory that one of them held, in bytes; 0 where the system does not tell. */
  peakMemory = 0;
  kills = 0;
  #looking = setInterval(() => this.#lookAtMemory(), LOOK_AT_MEMORY_MS).unref();

  /** @returns {Child} */
  start(/** @type {string} */ program, /** @type {unknown} */ argument) {
    const child = new Child(program, argument);
    this.adopt(child.pid);
    void child.ending.finally(() => this.forget(child.pid));
    return child;
  }

  /** From now on this process, which somebody else of this row has started, is looked after; or group, if negative. */
  adopt(/** @type {number} */ pid) {
    if (pid !== 0) this.#living.add(pid);
  }

  forget(/** @type {number} */ pid) {
    this.#living.delete(pid);
  }

  /** SIGKILL. @returns {boolean} whether there was something to kill */
  kill(/** @type {number} */ pid) {
    if (!this.#living.has(pid)) return false;
    this.#look(pid);
    const isKilled = end(pid);
    if (isKilled) this.kills += 1;
    return isKilled;
  }

  /** Ends whatever is left. */
  end() {
    clearInterval(this.#looking);
    for (const pid of this.#living) end(pid);
    this.#living.clear();
  }

  #lookAtMemory() {
    for (const pid of this.#living) this.#look(pid);
  }

  #look(/** @type {number} */ pid) {
    this.peakMemory = Math.max(this.peakMemory, peakMemoryOf(pid));
  }
}

/** Without proxies, which would take the loopback traffic elsewhere, and without what a test runner adds. */
function environment() {
  const foreign = /^(?:(?:https?|all|no)_proxy|NODE_OPTIONS|NODE_TEST_CONTEXT|NODE_V8_COVERAGE)$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

function end(/** @type {number} */ pid) {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
    return false;
  }
}

/** The peak since the process began, so that looking now and then misses little. Linux only. */
function peakMemoryOf(/** @type {number} */ pid) {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
