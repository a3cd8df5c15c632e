/** A Segment on loopback that prints what arrives. */
import { startFakeSegment } from '@companion/segment/testing';

const PORT = 8_080;
/** The longest that a timer can be set to. */
const timeoutMs = 2 ** 31 - 1;

const segment = await startFakeSegment({ port: PORT });
console.log(`A Segment listens on ${segment.url}`);
for (let seen = 0; ; seen += 1) {
  const events = await segment.waitForEvents(seen + 1, { timeoutMs });
  const { type, event, userId, anonymousId, properties, traits, context } = events[seen];
  console.log(type, { event, userId, anonymousId, properties, traits, ip: context.ip, page: context.page });
}
