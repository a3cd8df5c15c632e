import { createRequire } from 'node:module';
import { installedVersion } from './installed-version.mjs';

const require = createRequire(import.meta.url);
const DEFAULT_QUEUE_EVENTS = 10_000;
// Its default of 3 drops a batch after about 9 s of 503.
const RETRIES_IN_OUTAGE = 100;

export const label = 'posthog-node';
export const version = installedVersion('posthog-node');

/** @returns {any} */
export function load() {
  return require('posthog-node');
}

/** PostHog has no `context` beside the properties: it goes inside, so that the same values are sent. */
export function toMessage(/** @type {import('../events.mjs').TrackEvent} */ event) {
  return {
    distinctId: event.userId,
    event: event.event,
    properties: { ...event.properties, context: event.context },
  };
}

/**
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} limits
 * @returns {import('./adapter.mjs').Client}
 */
export function create(url, { waitingEvents = 0, outage = false }) {
  const { PostHog } = load();
  const client = new PostHog('bench', {
    host: url,
    ...(waitingEvents > DEFAULT_QUEUE_EVENTS && { maxQueueSize: waitingEvents }),
    ...(outage && { fetchRetryCount: RETRIES_IN_OUTAGE }),
  });
  /** @type {string | undefined} */
  let firstError;
  client.on('error', (/** @type {any} */ error) => {
    firstError ??= String(error?.message ?? error);
  });
  return {
    track: (message) => {
      client.capture(message);
      return true;
    },
    flush: () => client.flush(),
    close: () => client.shutdown(1000),
    problem: () => firstError,
  };
}
