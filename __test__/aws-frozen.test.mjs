/** Between two invocations Lambda stops the process: what happens to its connections meanwhile costs no event. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { messageIdsOf } from './support/clients.mjs';
import {
  HAPPENINGS,
  accountOf,
  identifying,
  invokeAroundFreeze,
  startScene,
  tracking,
} from './support/frozen.mjs';
import { created, idsOf, snsEvent } from './support/lambda.mjs';

const IDS = idsOf(1, 4);
const IDENTIFIED = { identified: 2, ignored: 0, invalid: 0, failed: 0 };
const KINDS = {
  createHandler: {
    make: identifying,
    events: [snsEvent(created(1), created(2)), snsEvent(created(3), created(4))],
    result: IDENTIFIED,
  },
  withSegment: {
    make: tracking,
    events: [IDS.slice(0, 2), IDS.slice(2)],
    result: { tracked: 2 },
  },
};
/** No test gets as far as this by itself. */
const PATIENT = { httpRequestTimeout: 60_000 };
const NEVER_IDLE = 1e9;

async function start(t, options, faulty) {
  const scene = await startScene(options, faulty);
  t.after(scene.close);
  return scene;
}

const retryCountsOf = (segment) => segment.requests.map(({ retryCount }) => retryCount);

for (const [kind, { make, events, result }] of Object.entries(KINDS)) {
  describe(`a function with ${kind}() that stands still between two invocations`, () => {
    for (const [what, happen] of Object.entries(HAPPENINGS)) {
      test(`delivers at once though its connections ${what}`, async (t) => {
        const scene = await start(t, { make, maxIdle: 0, settings: PATIENT });
        const answers = await invokeAroundFreeze(scene, events, happen);
        assert.deepEqual(answers, [{ result }, { result }]);
        assert.deepEqual(messageIdsOf(scene.segment.events), IDS);
        // There was one attempt for each invocation: no X-Retry-Count says that there was another.
        assert.deepEqual(retryCountsOf(scene.segment), [undefined, undefined]);
        const account = { events: 4, requests: 2, attempts: 2, connections: 2, lost: 0 };
        assert.deepEqual(accountOf(scene, IDS), account);
        assert.equal(scene.relay.swallowedBytes, 0);
      });
    }

    test('has to wait for a time limit if it keeps connections that swallow what they are sent', async (t) => {
      const settings = { httpRequestTimeout: 300 };
      const scene = await start(t, { make, maxIdle: NEVER_IDLE, settings });
      const answers = await invokeAroundFreeze(scene, events, (relay) => relay.swallow());
      assert.deepEqual(answers, [{ result }, { result }]);
      assert.deepEqual(messageIdsOf(scene.segment.events), IDS);
      assert.deepEqual(retryCountsOf(scene.segment), [undefined, 1]);
      const account = { events: 4, requests: 2, attempts: 3, connections: 2, lost: 0 };
      assert.deepEqual(accountOf(scene, IDS), account);
      assert.ok(scene.relay.swallowedBytes > 0);
    });

    test('uses its connection again if nothing happened to it', async (t) => {
      const scene = await start(t, { make, maxIdle: NEVER_IDLE, settings: PATIENT });
      const answers = await invokeAroundFreeze(scene, events, () => {});
      assert.deepEqual(answers, [{ result }, { result }]);
      const account = { events: 4, requests: 2, attempts: 2, connections: 1, lost: 0 };
      assert.deepEqual(accountOf(scene, IDS), account);
    });
  });

  describe(`a function with ${kind}() that stands still in the middle of an invocation`, () => {
    /** Freezes it when Segment has the events, and the answer is under way. */
    async function freezeMidway({ segment, relay, lambda }) {
      relay.hold();
      const answer = lambda.invoke(events[0]);
      await segment.waitForEvents(2);
      await lambda.freeze();
      // Not the promise itself: that would wait for a process that stands still.
      return { answer };
    }

    test('finds the answer when it goes on', async (t) => {
      const scene = await start(t, { make, maxIdle: 0, settings: PATIENT });
      const { segment, relay, lambda } = scene;
      const { answer } = await freezeMidway(scene);
      relay.release();
      lambda.thaw();
      assert.deepEqual(await answer, { result });
      assert.deepEqual(messageIdsOf(segment.events), IDS.slice(0, 2));
      assert.deepEqual(retryCountsOf(segment), [undefined]);
      assert.deepEqual(await lambda.invoke(events[1]), { result });
      assert.equal(accountOf(scene, IDS).lost, 0);
    });

    test('sends the same messageIds again when the answer is lost', async (t) => {
      const scene = await start(t, { make, maxIdle: 0, settings: PATIENT });
      const { segment, relay, lambda } = scene;
      const { answer } = await freezeMidway(scene);
      await relay.cut();
      relay.release();
      lambda.thaw();
      assert.deepEqual(await answer, { result });
      assert.deepEqual(messageIdsOf(segment.events), [...IDS.slice(0, 2), ...IDS.slice(0, 2)]);
      assert.deepEqual(retryCountsOf(segment), [undefined, 1]);
      assert.equal(accountOf(scene, IDS.slice(0, 2)).lost, 0);
    });
  });
}

describe('a function whose time ran out, and that then stood still,', () => {
  for (const [what, happen] of Object.entries(HAPPENINGS)) {
    test(`has what was left delivered by the next invocation though its connections ${what}`, async (t) => {
      const faults = [{ hang: true, times: Infinity }];
      const settings = { httpRequestTimeout: 500 };
      const scene = await start(t, { make: tracking, maxIdle: 0, settings }, { faults });
      const { segment, relay, lambda } = scene;
      assert.deepEqual(await lambda.invoke(IDS.slice(0, 2), 600), { result: { tracked: 2 } });
      assert.equal(segment.eventCount, 0);
      await lambda.freeze();
      await happen(relay);
      segment.clearFaults();
      lambda.thaw();
      assert.deepEqual(await lambda.invoke(IDS.slice(2)), { result: { tracked: 2 } });
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), IDS);
      assert.equal(segment.duplicates().size, 0);
    });
  }

  test('has failed what Segment did not confirm: the repeated event delivers it', async (t) => {
    const faults = [{ hang: true, times: Infinity }];
    const settings = { httpRequestTimeout: 500 };
    const scene = await start(t, { make: identifying, maxIdle: 0, settings }, { faults });
    const { segment, relay, lambda } = scene;
    const [event] = KINDS.createHandler.events;
    const { error } = await lambda.invoke(event, 600);
    assert.equal(error.code, 'ERR_TIMEOUT');
    await lambda.freeze();
    await relay.cut();
    segment.clearFaults();
    lambda.thaw();
    assert.deepEqual(await lambda.invoke(event), { result: IDENTIFIED });
    assert.deepEqual(new Set(messageIdsOf(segment.events)), new Set(IDS.slice(0, 2)));
  });
});
