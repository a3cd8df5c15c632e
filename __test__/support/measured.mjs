/** Clients as metrics see them. */
import { MINIMAL, startPair, trackMany } from './clients.mjs';

/** A client with two events delivered, one dropped, two pending, and one call refused. */
export async function startMeasured(t) {
  const isBad = ({ messageIds }) => messageIds.includes('bad');
  const faults = [{ status: 400, when: isBad, times: Infinity }];
  const { analytics } = await startPair(t, {}, { faults });
  analytics.track({ ...MINIMAL.track, messageId: 'bad' });
  trackMany(analytics, 2);
  await analytics.flush();
  analytics.track({ ...MINIMAL.track, properties: { tooBig: 1n } });
  trackMany(analytics, 2, 'pending');
  return analytics;
}

/** A source with the counters of a client, but for some, that counts how often it is asked. */
export function sourceLike(analytics, changes = {}) {
  const source = {
    readings: 0,
    stats() {
      source.readings += 1;
      return { ...analytics.stats(), ...changes };
    },
  };
  return source;
}

export const BROKEN = {
  stats() {
    throw new Error('The client cannot be read.');
  },
};
