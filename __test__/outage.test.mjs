import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startFakeSegment } from '@companion/segment/testing';

const EVENTS = 1_000_000;
const client = fileURLToPath(new URL('support/outage-client.mjs', import.meta.url));

for (const overflow of ['drop-newest', 'drop-oldest']) {
  test(`a million events at a server that is down: memory is bounded, counts are exact (${overflow})`, async (t) => {
    const segment = await startFakeSegment();
    await segment.pause();
    const child = fork(client, [segment.url, overflow]);
    t.after(() => {
      child.kill('SIGKILL');
      return segment.close();
    });
    const exited = once(child, 'exit');
    const [during] = await once(child, 'message');

    t.diagnostic(`base ${during.base}, peak ${during.peak}, limit ${during.limit}`);
    assert.ok(
      during.peak <= during.limit * 1.2 + during.base,
      `peak ${during.peak} of ${during.limit} over ${during.base}`,
    );
    const { accepted, dropped, refused, pending } = during.stats;
    assert.equal(during.taken, accepted);
    assert.equal(accepted + refused.queue_full, EVENTS);
    assert.equal(pending + dropped.queue_full, accepted);
    if (overflow === 'drop-newest') assert.equal(dropped.queue_full, 0);
    else assert.equal(refused.queue_full, 0);
    assert.ok(pending > 50_000 && pending < EVENTS);

    await segment.resume();
    child.send('the server is back');
    const [{ report, stats }] = await once(child, 'message');
    assert.equal(report.delivered, pending);
    assert.equal(stats.dropped.queue_full, dropped.queue_full);
    assert.equal(segment.duplicates().size, 0);
    const numbers = new Set(segment.events.map(({ properties }) => properties.number));
    assert.equal(numbers.size, pending);
    assert.equal(numbers.has(EVENTS - 1), overflow === 'drop-oldest', 'which end gave way');
    assert.deepEqual(await exited, [0, null]);
  });
}
