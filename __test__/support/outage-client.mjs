/** Tracks a million events at a server that is down, in a process of its own so that its memory is its own. */
import { Analytics } from '@companion/segment';

const [url, overflow] = process.argv.slice(2);
const EVENTS = 1_000_000;
const QUEUE_BYTES = 64 * 1024 * 1024;

/** Tracks so many events; returns how many were taken and the most memory that was in use. */
async function trackAll(client, count) {
  let taken = 0;
  let peak = 0;
  for (let number = 0; number < count; number += 1) {
    const properties = {
      number,
      page: '/products/monopoly',
      referrer: 'https://shop.example/',
      total: 19.99,
    };
    if (client.track({ userId: `user-${number % 1_000}`, event: 'Product Viewed', properties })) taken += 1;
    if (number % 5_000 === 0) {
      await new Promise(setImmediate);
      peak = Math.max(peak, process.memoryUsage.rss());
    }
  }
  return { taken, peak };
}

// What tracking itself needs, V8's young generation above all, with nothing that waits.
const idle = new Analytics({ writeKey: 'outage', host: url, disable: true });
const { peak: base } = await trackAll(idle, 200_000);
await idle.closeAndFlush();

const analytics = new Analytics({ writeKey: 'outage', host: url, maxQueueBytes: QUEUE_BYTES, overflow });
const { taken, peak } = await trackAll(analytics, EVENTS);
process.send({ base, peak, taken, limit: QUEUE_BYTES, stats: analytics.stats() });

process.once('message', () => void report());

async function report() {
  const last = await analytics.closeAndFlush({ timeout: 120_000 });
  process.send({ report: last, stats: analytics.stats() }, () => process.disconnect());
}
