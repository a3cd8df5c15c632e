// What the bench asks of an SDK, and which SDKs it knows. An adapter leaves every setting at the SDK's default,
// apart from the limits that would make the SDK drop events of the bench.

/**
 * @typedef {object} Limits
 * @property {number} [waitingEvents] how many events may wait at once in this run
 * @property {boolean} [outage] the server will answer 503 for a while: keep retrying, do not log each failure
 * @property {string} [spoolDirectory] where events are kept on disk, for an SDK that does; by default one of its own
 *
 * @typedef {object} Client
 * @property {(message: any) => boolean} track false: the SDK refused the event
 * @property {() => Promise<unknown>} flush sends what waits and resolves when the SDK believes it is delivered
 * @property {() => Promise<unknown>} close
 * @property {() => string | undefined} problem the first error the SDK reported
 * @property {() => import('@companion/segment').Stats} [stats] its counters, for an SDK that counts
 *
 * @typedef {object} Adapter
 * @property {string} label
 * @property {string} version
 * @property {string} [variantOf] the SDK of which this is another setting
 * @property {string[]} [onlyMetrics] measured in these metrics only
 * @property {boolean} [sendsNothing]
 * @property {() => unknown} load requires the SDK (measured by the cold start)
 * @property {(event: import('../events.mjs').TrackEvent) => any} toMessage the event as this SDK's call takes it
 * @property {(url: string, limits: Limits) => Client} create
 */

/** The subject of the bench: every ratio is taken against it. */
export const OURS = 'companion';

export const OURS_WITH_SPOOL = 'companion-spool';

export const DEFAULT_SDKS = [
  OURS,
  OURS_WITH_SPOOL,
  'analytics-node',
  'rudder-sdk-node',
  'posthog-node',
  'analytics-node-flushat-500',
];

/** The loop of a metric without any SDK. */
export const CONTROL = 'control';

/** @returns {Promise<Adapter>} */
export function loadAdapter(/** @type {string} */ name) {
  return import(`./${name}.mjs`);
}
