import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';

import { WHOLE_BATCHES } from '../events.mjs';
import { monotonicMs } from '../ipc-calls.mjs';
import { buildNotification, identifyByHand } from '../notifications.mjs';
import { deliverAll, nextTurn } from './metric.mjs';

const require = createRequire(import.meta.url);
const CHUNK = 250;
const NOTIFICATIONS = { companion: 100 * WHOLE_BATCHES, 'analytics-node': 20 * WHOLE_BATCHES };
/** Enough that no compressor sees one twice in its window, few enough to be made before the run. */
const DIFFERENT = 1500;

export const title = 'Raw Commercetools notifications to accepted identify calls';
export const note =
  'Raw `CustomerCreated` notifications of about 2 KB are read, transformed and accepted: here by ' +
  '`NotificationReceiver.accept()`, with analytics-node by `JSON.parse`, the same traits by hand and `identify()`. ' +
  'Notifications/s is until the collector has received the last identify call; each notification is built before the ' +
  'clock runs. JavaScript thread is the time its event loop was busy.';
export const onlySdks = ['companion', 'analytics-node'];
export const columns = [
  { key: 'perSecond', title: 'notifications/s', digits: 0, headline: true },
  { key: 'acceptMicros', title: 'µs until accepted', digits: 2 },
  { key: 'threadMicros', title: 'JavaScript thread µs', digits: 2 },
  { key: 'cpuMicros', title: 'CPU µs', digits: 2 },
];

export function sizeFor(sdk, quick) {
  const notifications = NOTIFICATIONS[sdk];
  return { notifications: quick ? notifications / 10 : notifications };
}

export function describeSize({ notifications }) {
  return `${notifications} notifications`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const { notifications } = size;
  const { client, accept } = subject(adapter, url);
  // The number is cut in where it differs, which costs the same on both sides and is not measured.
  const [head, ...tail] = buildNotification(DIFFERENT).split(String(DIFFERENT));
  const raw = (/** @type {number} */ sequence) =>
    flat(tail.reduce((text, part) => text + sequence + part, head));

  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const start = monotonicMs();
  let acceptMs = 0;
  let buildMs = 0;
  for (let sequence = 0; sequence < notifications;) {
    const buildStart = performance.now();
    const texts = Array.from({ length: CHUNK }, (_, offset) => raw(sequence + offset));
    const acceptStart = performance.now();
    for (const text of texts) accept(text);
    buildMs += acceptStart - buildStart;
    acceptMs += performance.now() - acceptStart;
    sequence += CHUNK;
    await nextTurn();
  }
  const seen = await deliverAll(bench, client, notifications);
  const cpu = process.cpuUsage(cpuBefore);
  const loop = performance.eventLoopUtilization(loopBefore);
  await client.close();
  const buildMicros = (buildMs * 1000) / notifications;
  return {
    perSecond: (notifications / (seen.completedAt - start - buildMs)) * 1000,
    acceptMicros: (acceptMs * 1000) / notifications,
    threadMicros: (loop.active * 1000) / notifications - buildMicros,
    cpuMicros: (cpu.user + cpu.system) / notifications - buildMicros,
  };
}

/** As text comes from a socket: what is put together of parts is only joined when it is first read. */
function flat(text) {
  return Buffer.from(text).toString();
}

function subject(adapter, url) {
  const { Analytics } = adapter.load();
  const analytics = new Analytics({ writeKey: 'bench', host: url });
  /** @type {string | undefined} */
  let problem;
  analytics.on('error', ({ reason, code }) => {
    problem ??= String(reason ?? code);
  });
  const client = {
    flush: () => analytics.flush(),
    close: () => analytics.closeAndFlush({ timeout: 1000 }),
    problem: () => problem,
  };
  if (adapter.label !== '@companion/segment') {
    return { client, accept: (/** @type {string} */ raw) => analytics.identify(identifyByHand(raw)) };
  }
  const { NotificationReceiver } = require('@companion/segment/commercetools');
  const receiver = new NotificationReceiver({ client: analytics });
  const accept = (/** @type {string} */ raw) => {
    const { outcome } = receiver.accept(raw);
    if (outcome !== 'accepted') throw new Error(`a notification was ${outcome}`);
  };
  return { client, accept };
}
