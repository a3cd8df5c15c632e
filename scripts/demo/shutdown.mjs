/** SIGTERM while requests pour in and Segment is slow, as at a deployment. */
import { setTimeout as pause } from 'node:timers/promises';

import { openLoop } from './open-loop.mjs';

/**
 * @typedef {object} Shutdown
 * @property {number} answeredBefore requests of this load that were answered when the signal was sent
 * @property {number | null} code
 * @property {NodeJS.Signals | null} signal
 * @property {number} tookMs from the signal to the end of the process
 */

/**
 * @typedef {object} Load
 * @property {number} perSecond
 * @property {number} forMs
 * @property {number} patienceMs how long the application may take to end before it is killed
 * @property {() => Promise<void>} [beforeSignal]
 */

/**
 * @param {import('./companion-api.mjs').CompanionApi} api
 * @param {import('./visitors.mjs').Visitors} visitors
 * @param {{ memberId: string, token: string }[]} sessions
 * @param {Load} load
 * @returns {Promise<Shutdown>}
 */
export async function shutDownUnderLoad(api, visitors, sessions, load) {
  const { perSecond, forMs, patienceMs, beforeSignal } = load;
  const answeredAtStart = visitors.answered;
  const requests = openLoop(perSecond, (number) => visitors.book(sessions[number % sessions.length]));
  await pause(forMs);
  await beforeSignal?.();
  const answeredBefore = visitors.answered - answeredAtStart;
  const asked = performance.now();
  api.kill('SIGTERM');
  const patience = setTimeout(() => api.kill('SIGKILL'), patienceMs);
  const { code, signal } = await api.ended;
  clearTimeout(patience);
  const tookMs = performance.now() - asked;
  await requests.stop();
  return { answeredBefore, code, signal, tookMs };
}
