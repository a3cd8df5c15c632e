/** Imports in ES modules. Compiled, never run. */
import DefaultAnalytics, { Analytics, Context, FetchHTTPClient } from '@companion/segment';
import * as everything from '@companion/segment';
import { RecordingAnalytics, startFakeSegment, type FakeSegment } from '@companion/segment/testing';
// @ts-expect-error the binding is not for everybody
import type * as Binding from '@companion/segment/index.js';
// @ts-expect-error the parts are not for everybody
import type * as Part from '@companion/segment/dist/analytics.js';
import manifest from '@companion/segment/package.json' with { type: 'json' };

const client: Analytics = new DefaultAnalytics({ writeKey: 'key' });
const same: typeof Analytics = everything.Analytics;
const byDefault: typeof Analytics = everything.default;
const double: Analytics = new RecordingAnalytics({ flushAt: 1 });
const version: string = manifest.version;

class Mine extends Analytics {
  purchases(): number {
    return this.stats().accepted;
  }
}
const mine: Mine = new Mine({ writeKey: 'key' });

async function fake(): Promise<string> {
  const segment: FakeSegment = await startFakeSegment({
    faults: [{ status: 503, times: 2 }, { retryAfter: 1 }],
  });
  const events = await segment.waitForEvents(1, { timeoutMs: 1 });
  await segment[Symbol.asyncDispose]();
  return events.map(({ type, messageId }) => `${type} ${messageId}`).join();
}

export {
  client,
  same,
  byDefault,
  double,
  version,
  mine,
  fake,
  Context,
  FetchHTTPClient,
  type Binding,
  type Part,
};
