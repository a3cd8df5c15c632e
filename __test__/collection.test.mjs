/** A client that nobody holds is collected, once it has nothing to tell anybody. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

/** Runs `use(analytics, track)` on a client, lets go of it, and tells whether it was collected. */
function isCollected(t, segment, use) {
  const program = `async ({ Analytics }, { host }) => {
    const reference = await (async () => {
      const analytics = new Analytics({ writeKey: 'k', host, flushAt: 1 });
      const track = (callback) => analytics.track({ userId: 'u1', event: 'e' }, callback);
      await (${use})(analytics, track);
      return new WeakRef(analytics);
    })();
    for (let turn = 0; turn < 200 && reference.deref() !== undefined; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      globalThis.gc();
    }
    console.log(JSON.stringify(reference.deref() === undefined));
  }`;
  const running = runProgram(t, program, { host: segment.url }, { nodeOptions: ['--expose-gc'] });
  return running.then(({ stdout, stderr }) => {
    assert.equal(stderr, '');
    return lastLine(stdout);
  });
}

describe('collection', { concurrency: 2 }, () => {
  for (const [what, use] of [
    ['that did nothing', () => {}],
    ['that has listeners', (analytics) => void analytics.on('track', () => {}).on('error', () => {})],
    [
      'that has delivered',
      async (analytics, track) => {
        track();
        await analytics.flush();
      },
    ],
    ['whose callbacks have been called', (_analytics, track) => new Promise((resolve) => track(resolve))],
    [
      'whose listeners have been told',
      async (analytics, track) => {
        const drained = new Promise((resolve) => analytics.once('drained', resolve));
        analytics.on('track', () => {});
        track();
        await drained;
      },
    ],
    [
      'whose listeners were removed while it was busy',
      async (analytics, track) => {
        const listener = () => {};
        analytics.on('track', listener);
        track();
        analytics.off('track', listener);
        await analytics.flush();
      },
    ],
    [
      'that is closed',
      async (analytics, track) => {
        track(() => {});
        await analytics.closeAndFlush();
      },
    ],
    ['whose events are still under way, with nobody to tell', (_analytics, track) => void track()],
  ]) {
    test(`a client ${what} is collected`, async (t) => {
      const segment = await startSegment(t);
      assert.equal(await isCollected(t, segment, use), true);
    });
  }

  test('a client with a callback open is not, until it has been called', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
    assert.equal(await isCollected(t, segment, (_analytics, track) => void track(() => {})), false);
  });

  test('what a collected client had accepted is delivered', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 500 }] });
    assert.equal(await isCollected(t, segment, (_analytics, track) => void track()), true);
    assert.equal(segment.eventCount, 1);
  });
});
