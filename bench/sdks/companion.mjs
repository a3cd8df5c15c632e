import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
// Twice the serialized size of the bench's event.
const QUEUE_BYTES_PER_EVENT = 1500;
const DEFAULT_QUEUE_BYTES = 64 * 1024 * 1024;

export const label = '@companion/segment';
export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** @returns {any} through the package's own `exports`, as an application gets it */
export function load() {
  try {
    return require('@companion/segment');
  } catch (cause) {
    throw new Error(`the package does not load (built? npm run setup): ${cause}`, { cause });
  }
}

export function toMessage(/** @type {import('../events.mjs').TrackEvent} */ event) {
  return event;
}

/**
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} limits
 * @param {Record<string, unknown>} [settings]
 * @returns {import('./adapter.mjs').Client}
 */
export function create(url, { waitingEvents = 0 }, settings = {}) {
  const { Analytics } = load();
  const neededBytes = waitingEvents * QUEUE_BYTES_PER_EVENT;
  const client = new Analytics({
    writeKey: 'bench',
    host: url,
    ...(neededBytes > DEFAULT_QUEUE_BYTES && { maxQueueBytes: neededBytes }),
    ...settings,
  });
  /** @type {string | undefined} */
  let firstError;
  client.on('error', (/** @type {any} */ error) => {
    firstError ??= String(error?.message ?? error?.reason ?? error?.code ?? error);
  });
  return {
    track: (message) => client.track(message),
    flush: () => client.flush(),
    close: () => client.closeAndFlush({ timeout: 5000 }),
    problem: () => firstError,
    stats: () => client.stats(),
  };
}
