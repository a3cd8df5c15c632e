import assert from 'node:assert/strict';

import { DEFECT } from '../libraries.mjs';
import { MINIMAL, fateOf, fates, onSegment, trackAll } from '../stage.mjs';

const tracked = (text) => ({ ...MINIMAL.track, properties: { text } });

async function fateOfText(library, t, text) {
  const { analytics } = await onSegment(library, t);
  return fateOf(analytics, 'track', tracked(text));
}

/** 20 events of 30 KB, all in one batch as far as `flushAt` goes. */
async function requestsOfLargeBatch(library, t) {
  const { segment, analytics } = await onSegment(library, t, { flushAt: 20 });
  const ends = fates(analytics, 20);
  trackAll(analytics, 20, tracked('x'.repeat(30_000)));
  await analytics.flush();
  await ends;
  return segment.requests;
}

export const cases = [
  {
    name: 'an event of 30 KB is sent',
    run: async (library, t) =>
      assert.equal((await fateOfText(library, t, 'x'.repeat(30_000))).reason, undefined),
  },
  {
    name: 'an event of 33 KiB of spaces is refused',
    run: async (library, t) =>
      assert.ok((await fateOfText(library, t, ' '.repeat(33 * 1024))).reason instanceof Error),
  },
  {
    name: 'an event of 1 MiB',
    run: async (library, t) =>
      assert.equal((await fateOfText(library, t, 'x'.repeat(1_048_576))).reason.code, 'ERR_EVENT_TOO_LARGE'),
    differs: {
      kind: DEFECT,
      theirs: 'sent, and Segment refuses the whole batch',
      ours: '`false` and `ERR_EVENT_TOO_LARGE`; 32 KiB of UTF-8 is the limit',
      why: 'they count percent signs and the letter i',
      advice: 'send less, or a reference',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        const { reason } = await fateOf(analytics, 'track', tracked('x'.repeat(1_048_576)));
        assert.equal(reason.message, '[400] Bad Request');
        assert.ok(segment.requests[0].bytesRaw > 1_048_576);
      },
    },
  },
  {
    name: 'a batch of 600 KB',
    async run(library, t) {
      const requests = await requestsOfLargeBatch(library, t);
      assert.ok(requests.every(({ bytesRaw, status }) => bytesRaw <= 500_000 && status === 200));
    },
    differs: {
      kind: DEFECT,
      theirs: 'sent, and refused as a whole',
      ours: 'split at 500,000 bytes',
      why: 'they count percent signs and the letter i',
      async run(library, t) {
        const requests = await requestsOfLargeBatch(library, t);
        assert.deepEqual(
          requests.map(({ status }) => status),
          [400],
        );
      },
    },
  },
];
