import assert from 'node:assert/strict';
import { test } from 'node:test';

import { counted, failuresOf, startPair } from './support/clients.mjs';

test('events that plugins hold on to are bounded by maxQueueBytes, too', async (t) => {
  const { segment, analytics } = await startPair(t, { maxQueueBytes: 65_536 });
  let letGo;
  const held = new Promise((resolve) => (letGo = resolve));
  const slow = {
    name: 'slow',
    type: 'before',
    isLoaded: () => true,
    load: async () => {},
    track: (context) => held.then(() => context),
  };
  await analytics.register(slow);
  const failures = failuresOf(analytics);
  const properties = { filling: 'x'.repeat(1_000) };
  const taken = Array.from({ length: 100 }, () =>
    analytics.track({ userId: 'u1', event: 'Ordered', properties }),
  );
  const accepted = taken.filter(Boolean).length;
  assert.ok(accepted > 40 && accepted < 66, `${accepted} accepted`);
  assert.equal(failures.length, 100 - accepted);
  assert.equal(failures[0].reason.code, 'ERR_QUEUE_FULL');
  assert.deepEqual(counted(analytics.stats().refused), { queue_full: 100 - accepted });

  letGo();
  const report = await analytics.flush();
  assert.ok(report.delivered > 0);
  assert.equal(segment.eventCount, report.delivered);
  assert.equal(analytics.track({ userId: 'u1', event: 'Ordered', properties }), true, 'there is room again');
});
