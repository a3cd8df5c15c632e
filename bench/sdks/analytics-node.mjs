import { createRequire } from 'node:module';
import { installedVersion } from './installed-version.mjs';

const require = createRequire(import.meta.url);

export const label = '@segment/analytics-node';
export const version = installedVersion('@segment/analytics-node');

/** @returns {any} */
export function load() {
  return require('@segment/analytics-node');
}

export function toMessage(/** @type {import('../events.mjs').TrackEvent} */ event) {
  return event;
}

/**
 * Its queue has no limit and its ten retries outlast every outage of the bench: nothing to raise.
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} _limits
 * @param {Record<string, unknown>} [settings]
 * @returns {import('./adapter.mjs').Client}
 */
export function create(url, _limits, settings = {}) {
  const { Analytics } = load();
  const client = new Analytics({ writeKey: 'bench', host: url, ...settings });
  /** @type {string | undefined} */
  let firstError;
  client.on('error', (/** @type {any} */ error) => {
    firstError ??= String(error?.reason ?? error?.code);
  });
  return {
    track: (message) => {
      client.track(message);
      return true;
    },
    flush: () => client.flush(),
    close: () => client.closeAndFlush({ timeout: 1000 }),
    problem: () => firstError,
  };
}
