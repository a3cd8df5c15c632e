/** The application of examples/companion-api, as a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Its own directory, because a `.env` beside it is for whoever starts it by hand. */
const DIRECTORY = fileURLToPath(new URL('../../examples/companion-api/dist/', import.meta.url));
const TRUSTING = fileURLToPath(new URL('trusting-api.mjs', import.meta.url));
const LISTENING = /^Listening on http:.*:(?<port>\d+)$/;

/**
 * @typedef {object} CompanionApi
 * @property {string} url
 * @property {string[]} output every line of standard output and standard error so far
 * @property {Record<string, unknown>[]} log its lines that are JSON
 * @property {(signal: NodeJS.Signals) => void} kill
 * @property {Promise<{ code: number | null, signal: NodeJS.Signals | null }>} ended
 */

/**
 * Resolves when it listens, or is over before that; then without a `url`.
 *
 * @param {Record<string, string>} environment beside what is needed to run at all
 * @param {{ topic: import('../../__test__/support/sns.mjs').SnsTopic, url: string }} [sns] on this machine, to be trusted
 * @returns {Promise<CompanionApi>}
 */
export async function startCompanionApi(environment, sns) {
  const { PATH, SystemRoot } = process.env;
  const trusted = sns && JSON.stringify({ authority: sns.topic.authority.pem, url: sns.url });
  const program = trusted === undefined ? ['main.js'] : [TRUSTING, trusted];
  const child = spawn(process.execPath, program, {
    cwd: DIRECTORY,
    env: { PATH, ...(SystemRoot && { SystemRoot }), PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = [];
  const log = [];
  let listens = () => {};
  const listening = new Promise((resolve) => {
    listens = resolve;
  });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      output.push(line);
      if (!line.startsWith('{"')) return;
      const entry = JSON.parse(line);
      log.push(entry);
      const { port } = LISTENING.exec(entry.message)?.groups ?? {};
      if (port !== undefined) listens(`http://127.0.0.1:${port}`);
    });
  }
  // Not at `exit`: what it wrote last may still be on its way.
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  const url = await Promise.race([listening, ended.then(() => undefined)]);
  return { url, output, log, kill: (signal) => child.kill(signal), ended };
}

/**
 * What the line says that a client writes when it is closed.
 *
 * @param {CompanionApi} api
 * @param {string} client
 * @returns {Record<string, number> | undefined}
 */
export function closingLine({ log }, client = 'default') {
  return log
    .filter(({ context, message }) => context === 'Segment' && message.startsWith('closed {'))
    .map(({ message }) => JSON.parse(message.slice('closed '.length)))
    .find((fields) => fields.client === client);
}

/**
 * Its metrics by name, those of all clients and reasons together.
 *
 * @param {CompanionApi} api
 * @returns {Promise<Map<string, number>>}
 */
export async function metricsOf({ url }) {
  const response = await fetch(`${url}/metrics`);
  const values = new Map();
  for (const line of (await response.text()).split('\n')) {
    const { name, value } = /^(?<name>\w+)(?:\{.*\})? (?<value>\S+)$/.exec(line)?.groups ?? {};
    if (name !== undefined) values.set(name, (values.get(name) ?? 0) + Number(value));
  }
  return values;
}
