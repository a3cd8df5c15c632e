import { createRequire } from 'node:module';
import { installedVersion } from './installed-version.mjs';

const require = createRequire(import.meta.url);
const DEFAULT_QUEUE_EVENTS = 20_000;
// Its default of 3 gives a batch up after about 1.5 s.
const RETRIES_IN_OUTAGE = 100;

export const label = '@rudderstack/rudder-sdk-node';
export const version = installedVersion('@rudderstack/rudder-sdk-node');

/** @returns {any} */
export function load() {
  return require('@rudderstack/rudder-sdk-node');
}

export function toMessage(/** @type {import('../events.mjs').TrackEvent} */ event) {
  return event;
}

/**
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} limits
 * @returns {import('./adapter.mjs').Client}
 */
export function create(url, { waitingEvents = 0, outage = false }) {
  const Analytics = load();
  /** @type {string | undefined} */
  let firstError;
  const client = new Analytics('bench', {
    dataPlaneUrl: url,
    ...(waitingEvents > DEFAULT_QUEUE_EVENTS && { maxInternalQueueSize: waitingEvents }),
    ...(outage && { retryCount: RETRIES_IN_OUTAGE, logLevel: 'none' }),
    // Without a handler a failed background flush is an unhandled rejection, which ends the process.
    errorHandler: (/** @type {any} */ error) => {
      firstError ??= String(error?.message ?? error);
    },
  });
  return {
    track: (message) => {
      client.track(message);
      return true;
    },
    flush: async () => {
      // One call sends one batch of 20.
      do await client.flush();
      while (client.queue.length > 0);
    },
    close: async () => {},
    problem: () => firstError,
  };
}
