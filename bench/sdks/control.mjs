// No SDK: the same loop builds the same events and throws them away.
export const label = 'control (no tracking)';
export const version = '';
export const sendsNothing = true;

export function load() {}

export function toMessage(/** @type {import('../events.mjs').TrackEvent} */ event) {
  return event;
}

/** @returns {import('./adapter.mjs').Client} */
export function create() {
  return { track: () => true, flush: async () => {}, close: async () => {}, problem: () => undefined };
}
