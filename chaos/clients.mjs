// The libraries that producers track with, in one shape.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const WRITE_KEY = 'chaos-write-key';

/**
 * @typedef {{ directory: string, durability?: string, maxBytes?: number, encryptionKey?: string | string[] }} SpoolOptions
 *
 * @typedef {object} ClientOptions
 * @property {'companion' | 'analytics-node'} library
 * @property {string} url
 * @property {string | SpoolOptions} [spool] its directory, or more; without it events wait in memory
 * @property {Record<string, unknown>} [settings]
 *
 * @typedef {object} Client
 * @property {(event: any) => boolean} track
 * @property {() => any} stats undefined where a library has none
 * @property {(options: { timeout: number }) => Promise<any>} close
 * @property {(listener: (code: string) => void) => void} onError
 */

/** @returns {Client} */
export function createClient(/** @type {ClientOptions} */ { library, url, spool, settings }) {
  if (library === 'analytics-node') return createAnalyticsNode(url, settings);
  const { Analytics } = require('@companion/segment');
  const analytics = new Analytics({ writeKey: WRITE_KEY, host: url, spool, ...settings });
  return {
    track: (event) => analytics.track(event),
    stats: () => analytics.stats(),
    close: (options) => analytics.closeAndFlush(options),
    onError: (listener) => analytics.on('error', ({ reason }) => listener(String(reason?.code))),
  };
}

/** Its calls return nothing: one that returns is accepted. @returns {Client} */
function createAnalyticsNode(/** @type {string} */ url, settings = {}) {
  const { Analytics } = require('@segment/analytics-node');
  const analytics = new Analytics({ writeKey: WRITE_KEY, host: url, ...settings });
  return {
    track: (event) => {
      analytics.track(event);
      return true;
    },
    stats: () => undefined,
    close: (options) => analytics.closeAndFlush(options),
    onError: (listener) => analytics.on('error', ({ code }) => listener(String(code))),
  };
}

/** Throws unless `accepted = delivered + (sum of dropped) + spooled + pending`. */
export function assertConserved(/** @type {any} */ stats) {
  if (stats === undefined) return;
  const { accepted, delivered, dropped, spooled, pending } = stats;
  const given = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  if (accepted !== delivered + given + spooled + pending)
    throw new Error(
      `the counters do not add up: ${JSON.stringify({ accepted, delivered, dropped, spooled, pending })}`,
    );
}

/** Whether nothing waits any more, neither of this process nor of those before it. */
export function isEmpty(/** @type {any} */ { pending, spooled, orphans, spool }) {
  const isAlone = spool === undefined || spool === 'off';
  return pending === 0 && spooled === 0 && (isAlone || orphans === 0);
}
