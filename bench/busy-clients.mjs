// oxlint-disable unicorn/require-post-message-target-origin -- a thread, not a window
// The neighbours: clients in a worker thread that always have full batches to send. They share the engine's one
// thread with the measured client, and nothing of its event loop.
import { parentPort, workerData } from 'node:worker_threads';
import { buildEvent } from './events.mjs';
import { nextTurn, sleep } from './metrics/metric.mjs';
import { load } from './sdks/companion.mjs';

// As many as fit into a request of 500 KB.
const FULL_BATCH_EVENTS = 700;
const WAITING_BATCHES = 4;
// On a machine that is busy with other things the engine may be faster than this thread.
const PATIENCE_MS = 3000;
const CHUNK = 250;
const POOL = 4096;
const CLOSE_TIMEOUT_MS = 5000;

const { url, clients: count, requests, settings } = workerData;
const { Analytics } = load();
const clients = Array.from(
  { length: count },
  () => new Analytics({ writeKey: 'neighbour', host: url, ...settings }),
);
// The same objects again and again: what matters is what the engine has to do, and this thread wants little of a core.
const events = Array.from({ length: POOL }, (_, i) => buildEvent(i));
// Enough for all requests that may be in flight at once, and some that wait.
const enough = (requests + WAITING_BATCHES) * FULL_BATCH_EVENTS;

const stop = new AbortController();
parentPort?.once('message', () => stop.abort());

let next = 0;
/** @returns {boolean} whether there was nothing to add */
function fill(client) {
  const room = Math.min(CHUNK, enough - client.stats().pending);
  for (let i = 0; i < room; i++) if (!client.track(events[next++ % POOL])) return false;
  return room < CHUNK;
}

const delivered = () => clients.reduce((sum, client) => sum + client.stats().delivered, 0);
/** @type {{ delivered: number, at: number } | undefined} since when all clients have been busy */
let since;
const start = performance.now();
while (!stop.signal.aborted) {
  const areFull = clients.map(fill).every(Boolean);
  if ((areFull || performance.now() - start > PATIENCE_MS) && since === undefined) {
    since = { delivered: delivered(), at: performance.now() };
    parentPort?.postMessage('busy');
  }
  await (areFull ? sleep(1) : nextTurn());
}
const seconds = (performance.now() - (since?.at ?? 0)) / 1000;
parentPort?.postMessage({ eventsPerSecond: (delivered() - (since?.delivered ?? 0)) / seconds });
// What they still have must not be in the way of the next round.
await Promise.all(clients.map((client) => client.closeAndFlush({ timeout: CLOSE_TIMEOUT_MS })));
