/** Tracks a million events at a server that is down, in a process of its own so that its memory is its own. */
import { Analytics } from '@companion/segment';

const [url, overflow] = process.argv.slice(2);
const EVENTS = 1_000_000;
const QUEUE_BYTES = 64 * 1024 * 1024;

const analytics = new Analytics({ writeKey: 'outage', host: url, maxQueueBytes: QUEUE_BYTES, overflow });
globalThis.gc();
const base = process.memoryUsage.rss();
let peak = base;
let taken = 0;
for (let number = 0; number < EVENTS; number += 1) {
  const properties = { number, page: '/products/monopoly', referrer: 'https://shop.example/', total: 19.99 };
  if (analytics.track({ userId: `user-${number % 1_000}`, event: 'Product Viewed', properties })) taken += 1;
  if (number % 5_000 === 0) {
    await new Promise(setImmediate);
    peak = Math.max(peak, process.memoryUsage.rss());
  }
}
process.send({ base, peak, taken, limit: QUEUE_BYTES, stats: analytics.stats() });

process.once('message', async () => {
  const report = await analytics.closeAndFlush({ timeout: 120_000 });
  process.send({ report, stats: analytics.stats() }, () => process.disconnect());
});
