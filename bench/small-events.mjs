// Events of other sizes than the "Order Completed" of events.mjs. Every one is a new object with new strings: an
// application tracks what it has just put together, and what has been serialized before is cheaper to serialize again.
import { SEQUENCE_MARKER } from './events.mjs';

const CATEGORIES = ['Shoes', 'Apparel', 'Kitchen', 'Lights', 'Shelter'];
const CURRENCIES = ['EUR', 'USD', 'GBP', 'SEK'];

/** @returns {Record<string, any>} what `track()` takes, about 200 bytes of JSON */
export function buildView(/** @type {number} */ sequence) {
  return {
    userId: `user-${sequence % 50_021}`,
    event: 'Product Viewed',
    properties: {
      [SEQUENCE_MARKER]: sequence,
      product_id: `p-${(sequence * 31) % 99_991}`,
      brand: 'Outdoor',
      category: CATEGORIES[sequence % CATEGORIES.length],
      price: 4.9 + (sequence % 1000),
      currency: CURRENCIES[sequence % CURRENCIES.length],
      url: `/products/${(sequence * 31) % 99_991}`,
    },
  };
}

/** @returns {Record<string, any>} what `track()` takes, about 330 bytes of JSON */
export function buildPurchase(/** @type {number} */ sequence) {
  return {
    userId: `user-${sequence % 50_021}`,
    event: 'Product Purchased',
    properties: {
      [SEQUENCE_MARKER]: sequence,
      order_id: `order-${(sequence * 17) % 999_983}`,
      product_id: `p-${(sequence * 31) % 99_991}`,
      name: `Article ${sequence % 9973} of the catalogue`,
      brand: 'Outdoor',
      category: CATEGORIES[sequence % CATEGORIES.length],
      price: 4.9 + (sequence % 1000),
      quantity: 1 + (sequence % 4),
      currency: CURRENCIES[sequence % CURRENCIES.length],
      coupon: null,
      gift: sequence % 7 === 0,
      url: `/products/${(sequence * 31) % 99_991}?from=search&page=${sequence % 40}`,
    },
  };
}
