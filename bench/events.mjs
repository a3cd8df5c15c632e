// The event every SDK sends: an e-commerce "Order Completed", about 650 bytes of JSON on the wire. Values differ
// from event to event (ids, amounts, products, addresses), so that compression is neither flattered nor starved.

/**
 * @typedef {object} TrackEvent
 * @property {string} userId
 * @property {string} event
 * @property {Record<string, unknown>} properties
 * @property {Record<string, unknown>} context
 */

/**
 * Stands once in every serialized event, whatever the SDK's envelope, and then `":` or `=` and the number: the
 * collector counts by it.
 */
export const SEQUENCE_MARKER = 'sequence';

/**
 * Counts of events are multiples of this. `@segment/analytics-node` leaves a partial batch lying until its flush
 * interval when another batch is in flight; with whole batches (15, 20, 100 or 500 events) that never happens.
 */
export const WHOLE_BATCHES = 1500;

const CURRENCIES = ['EUR', 'USD', 'GBP', 'SEK'];
const LOCALES = ['de-DE', 'en-US', 'en-GB', 'sv-SE', 'fr-FR'];
const USER_AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0',
];
const PRODUCTS = [
  ['Trail Running Shoe', 'Shoes'],
  ['Merino Base Layer', 'Apparel'],
  ['Titanium Mug', 'Kitchen'],
  ['Down Jacket', 'Apparel'],
  ['Head Torch', 'Lights'],
  ['Two Person Tent', 'Shelter'],
];

// Unique ids are taken from pools that are far longer than the window of any compressor (about 50 events), so
// that an id looks fresh on the wire while making one costs the measured loop next to nothing.
const POOL = 4096;
const USER_IDS = Array.from({ length: POOL }, (_, i) => hex(4 * i, 4));
const ORDER_IDS = Array.from({ length: POOL }, (_, i) => `ord_${hex(-2 * i - 2, 2)}`);

/** A well-mixed 32-bit number that depends only on its input, so that every SDK sends the same events. */
function mix(/** @type {number} */ input) {
  let h = Math.imul(input ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hex(/** @type {number} */ from, /** @type {number} */ words) {
  return Array.from({ length: words }, (_, i) =>
    mix(from + i)
      .toString(16)
      .padStart(8, '0'),
  ).join('');
}

function cents(/** @type {number} */ amount) {
  return Math.round(amount * 100) / 100;
}

/** @returns {TrackEvent} a fresh object: some SDKs keep references to what they are given */
export function buildEvent(/** @type {number} */ sequence) {
  const a = mix(sequence);
  const b = mix(a);
  const [name, category] = PRODUCTS[a % PRODUCTS.length];
  const price = (a % 20000) / 100;
  const quantity = 1 + (b % 4);
  return {
    userId: USER_IDS[a % POOL],
    event: 'Order Completed',
    properties: {
      sequence,
      order_id: ORDER_IDS[b % POOL],
      total: cents(price * quantity + 4.9),
      shipping: 4.9,
      tax: (b % 5000) / 100,
      currency: CURRENCIES[b % CURRENCIES.length],
      coupon: null,
      products: [{ product_id: `p-${a % 997}`, sku: `SKU-${b % 9973}`, name, category, price, quantity }],
    },
    context: {
      ip: `203.0.${a & 255}.${b & 255}`,
      locale: LOCALES[a % LOCALES.length],
      userAgent: USER_AGENTS[b % USER_AGENTS.length],
    },
  };
}

/** The same event as it goes on the wire: what `JSON.stringify` is given when `track()` is compared with it. */
export function buildWireEvent(/** @type {number} */ sequence) {
  const { userId, event, properties, context } = buildEvent(sequence);
  const id = mix(sequence + 1)
    .toString(16)
    .padStart(8, '0');
  return {
    type: 'track',
    event,
    userId,
    properties,
    context: { ...context, library: { name: '@companion/segment', version: '0.1.0' } },
    integrations: {},
    timestamp: '2025-01-01T00:00:00.000Z',
    messageId: `node-next-1735689600000-${id}-7d3c-4b1e-9c55-${id}a1b2`,
  };
}
