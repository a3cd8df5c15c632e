// Starts and ends the two processes beside the runner: the collector, and one subject per measurement.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { answerCalls, callsOver } from './ipc-calls.mjs';

const COLLECTOR = fileURLToPath(new URL('collector.mjs', import.meta.url));
const SUBJECT = fileURLToPath(new URL('subject.mjs', import.meta.url));
/** V8 may or may not grow its young generation by some 13 MB in a run, more than the events that wait. */
const FIXED_YOUNG_GENERATION = ['--min-semi-space-size=16', '--max-semi-space-size=16'];
const RUN_LIMIT_MS = 120_000;
/** @type {Record<string, number>} of the metrics that take longer */
const LONGER_LIMITS_MS = {
  'spool-drain': 300_000,
  'recovery-with-listener': 300_000,
  endurance: 900_000,
  'request-latency': 300_000,
  'neighbour-flush': 300_000,
  'track-fresh': 300_000,
};
const STDERR_SHOWN = 2000;

/** Without proxies, which would take the loopback traffic elsewhere, and as applications run. */
function environment() {
  const kept = Object.entries(process.env).filter(([name]) => !/^(https?|all|no)_proxy$/i.test(name));
  return { ...Object.fromEntries(kept), NODE_ENV: 'production' };
}

export class Collector {
  /** @type {import('node:child_process').ChildProcess} */
  #child;
  /** @type {import('./ipc-calls.mjs').Call} */
  call;
  url = '';

  /** @private */
  constructor() {
    this.#child = fork(COLLECTOR, [], { env: environment() });
    this.call = callsOver(this.#child, 'the collector');
  }

  static async start() {
    const collector = new Collector();
    collector.url = `http://127.0.0.1:${await collector.call('listen')}`;
    return collector;
  }

  async stop() {
    if (!this.#child.connected) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}

/**
 * @param {Collector} collector
 * @param {{ metric: string, sdk: string, size: any }} run
 * @returns {Promise<any>} what the metric's `measure` returns
 */
export async function measureInOwnProcess(collector, { metric, sdk, size }) {
  await collector.call('reset');
  const child = fork(SUBJECT, [metric, sdk], {
    env: environment(),
    execArgv: ['--expose-gc', ...(metric === 'outage-memory' ? FIXED_YOUNG_GENERATION : [])],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    complaints = (complaints + text).slice(-STDERR_SHOWN);
  });
  // Not its 'close', which never comes when the parent is the one that disconnects.
  const ended = Promise.all([once(child, 'exit'), child.stderr && once(child.stderr, 'close')]);
  answerCalls(child, {
    answer: (mode) => collector.call('answer', mode),
    untilDisconnected: () => collector.call('untilDisconnected'),
    waitFor: (question) => collector.call('waitFor', question),
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), LONGER_LIMITS_MS[metric] ?? RUN_LIMIT_MS);
  try {
    return await callsOver(child, 'the SDK process')('measure', { url: collector.url, size });
  } catch (error) {
    if (child.connected) child.disconnect();
    await ended;
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(complaints ? `${message}\n${complaints.trim()}` : message, { cause: error });
  } finally {
    clearTimeout(limit);
    if (child.connected) child.disconnect();
    await ended;
  }
}
