// What producers track and the collector checks: the whole event follows from its id, which is the number of the
// producer and the number of the call.
import { Random } from './random.mjs';

const ID = /^(\d{1,9}):(\d{1,9})$/;

/** Whatever text has to survive: quotes, escapes, control characters, two and three bytes of UTF-8. No surrogates. */
const TEXT =
  'plain "quoted" back\\slash \n\t\u0001 Grüße, Ελλάδα, 漢字, 日本語 </script> {"a":[1,2]} %00 \u2028 '.repeat(
    8,
  );
const SPREAD = 0x9e3779b1;

/**
 * @param {number} producer
 * @param {number} sequence
 */
export function eventOf(producer, sequence) {
  const random = new Random(Math.imul(producer, SPREAD) ^ sequence);
  const start = random.between(0, 99);
  return {
    userId: `user-${producer}`,
    event: `Chaos ${sequence % 7}`,
    properties: {
      id: `${producer}:${sequence}`,
      total: random.between(0, 1_000_000) / 100,
      text: TEXT.slice(start, start + random.between(0, 250)),
      items: [random.between(0, 9), random.chance(0.5), null],
      nested: { sku: `sku-${random.between(0, 999)}` },
    },
  };
}

/**
 * Whose event it is and whether it is what was tracked; undefined when it does not even say whose.
 *
 * @param {any} received an event as it was sent
 * @returns {{ producer: number, sequence: number, intact: boolean } | undefined}
 */
export function examine(received) {
  const match = ID.exec(String(received?.properties?.id));
  if (match === null) return undefined;
  const [producer, sequence] = [Number(match[1]), Number(match[2])];
  const { userId, event, properties } = eventOf(producer, sequence);
  const intact =
    received.type === 'track' &&
    received.userId === userId &&
    received.event === event &&
    JSON.stringify(received.properties) === JSON.stringify(properties);
  return { producer, sequence, intact };
}
