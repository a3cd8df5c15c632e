/** `deliver.*(...).persisted`: when an event is safe on disk, and when it is not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MINIMAL, startPair, startSegment } from './support/clients.mjs';
import { makeSpool, runSpooling, segmentFiles } from './support/spools.mjs';

const HANGS = { faults: [{ hang: true, times: Infinity }] };

describe('deliver.*().persisted', { concurrency: 2 }, () => {
  for (const durability of ['process', 'power']) {
    test(`resolves with durability ${durability} while the server is down, and the file has the event`, async (t) => {
      const segment = await startSegment(t, HANGS);
      const spool = makeSpool(t);
      const analytics = spool.open(segment, { flushInterval: 1, spool: { durability } });
      const deliveries = Array.from({ length: 50 }, (_, number) =>
        analytics.deliver.track({ ...MINIMAL.track, messageId: `on-disk-${number}` }),
      );
      const fates = Promise.allSettled(deliveries);
      assert.deepEqual(await Promise.all(deliveries.map(({ persisted }) => persisted)), Array(50).fill());
      const bytes = Buffer.concat(segmentFiles(spool.source).map((file) => file.bytes)).toString('latin1');
      for (let number = 0; number < 50; number += 1) assert.ok(bytes.includes(`"on-disk-${number}"`));
      await analytics.closeAndFlush({ timeout: 0 });
      for (const { reason } of await fates) assert.match(reason.message, /spool keeps it/);
    });
  }

  test('resolves for an event that is delivered before anybody asks', async (t) => {
    const segment = await startSegment(t);
    for (const durability of ['process', 'power']) {
      const analytics = makeSpool(t).open(segment, { flushAt: 1, spool: { durability } });
      const delivery = analytics.deliver.track(MINIMAL.track);
      await delivery;
      await delivery.persisted;
    }
  });

  test('resolves for an event that goes through plugins, and rejects for one that they cancel', async (t) => {
    const segment = await startSegment(t);
    const analytics = makeSpool(t).open(segment);
    const track = async (context) => {
      if (context.event.event === 'Cancelled') context.cancel(new Error('no'));
      return context;
    };
    await analytics.register({
      name: 'x',
      type: 'before',
      isLoaded: () => true,
      load: async () => {},
      track,
    });
    const [kept, cancelled] = ['Ordered', 'Cancelled'].map((event) =>
      analytics.deliver.track({ userId: 'u1', event }),
    );
    await kept.persisted;
    await assert.rejects(cancelled, /no/);
    await assert.rejects(cancelled.persisted, /no/);
    await analytics.closeAndFlush();
    assert.equal((await kept).attempts, 1);
  });

  test('rejects with ERR_SPOOL without a spool, while the event is delivered', async (t) => {
    const { segment, analytics } = await startPair(t);
    const delivery = analytics.deliver.track(MINIMAL.track);
    await assert.rejects(delivery.persisted, { code: 'ERR_SPOOL', message: /in memory only/ });
    await analytics.flush();
    assert.equal((await delivery).attempts, 1);
    assert.equal(segment.eventCount, 1);
  });

  test('rejects with the reason of a refused event', async (t) => {
    const analytics = makeSpool(t).open(await startSegment(t));
    for (const [params, code] of [
      [{ ...MINIMAL.track, properties: { filler: 'x'.repeat(40_000) } }, 'ERR_EVENT_TOO_LARGE'],
      [{ ...MINIMAL.track, properties: { n: 1n } }, 'ERR_NOT_SERIALIZABLE'],
      [{}, 'ERR_VALIDATION'],
    ]) {
      const delivery = analytics.deliver.track(params);
      await assert.rejects(delivery, { code });
      await assert.rejects(delivery.persisted, { code });
    }
    await analytics.closeAndFlush();
    const late = analytics.deliver.track(MINIMAL.track);
    await assert.rejects(late, { code: 'ERR_CLOSED' });
    await assert.rejects(late.persisted, { code: 'ERR_CLOSED' });
  });

  test('never makes a rejection that nobody handles', async (t) => {
    const segment = await startSegment(t);
    const program = async ({ analytics, make }) => {
      const ignore = () => {};
      make({ spool: undefined, flushInterval: 1 }).deliver.track({ userId: 'u1', event: 'e' }).catch(ignore);
      analytics.deliver.track({ userId: 'u1', event: 'e', properties: { n: 1n } }).catch(ignore);
      analytics.deliver.track({}).catch(ignore);
      const last = analytics.deliver.track({ userId: 'u1', event: 'e' });
      last.catch(ignore);
      await analytics.closeAndFlush({ timeout: 0 });
      analytics.deliver.track({ userId: 'u1', event: 'e' }).catch(ignore);
    };
    const { code, stderr } = await runSpooling(t, makeSpool(t), segment, program);
    assert.deepEqual([code, stderr], [0, '']);
  });
});
