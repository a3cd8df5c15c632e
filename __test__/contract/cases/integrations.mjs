import assert from 'node:assert/strict';

import { MINIMAL, fateOf, onSegment, plugin } from '../stage.mjs';

/** Whether a destination and Segment get an event with these integrations. */
async function reached(library, t, integrations, more) {
  const { segment, analytics } = await onSegment(library, t);
  let isCalled = false;
  await analytics.register(plugin('Mail', 'destination', () => void (isCalled = true), more));
  const { reason } = await fateOf(analytics, 'track', { ...MINIMAL.track, integrations });
  assert.equal(reason, undefined);
  return { destination: isCalled, segment: segment.eventCount === 1 };
}

const BOTH = { destination: true, segment: true };
const ONLY_SEGMENT = { destination: false, segment: true };
const ONLY_DESTINATION = { destination: true, segment: false };

const ROWS = [
  ['nothing', undefined, BOTH],
  ['{ Mail: false }', { Mail: false }, ONLY_SEGMENT],
  ['{ Mail: true }', { Mail: true }, BOTH],
  ['{ All: false }', { All: false }, ONLY_SEGMENT],
  ['{ All: false, Mail: true }', { All: false, Mail: true }, BOTH],
  ['{ All: false, Mail: {} }', { All: false, Mail: { list: 5 } }, BOTH],
  ["{ 'Segment.io': false }, reported as delivered", { 'Segment.io': false }, ONLY_DESTINATION],
  ["{ All: false, 'Segment.io': true }", { All: false, 'Segment.io': true }, ONLY_SEGMENT],
];

export const cases = [
  ...ROWS.map(([name, integrations, expected]) => ({
    name,
    run: async (library, t) => assert.deepEqual(await reached(library, t, integrations), expected),
  })),
  {
    name: 'alternativeNames of a destination count too',
    async run(library, t) {
      const more = { alternativeNames: ['Post'] };
      assert.deepEqual(await reached(library, t, { Post: false }, more), ONLY_SEGMENT);
    },
  },
  {
    name: 'the name counts before alternativeNames',
    async run(library, t) {
      const more = { alternativeNames: ['Post'] };
      assert.deepEqual(await reached(library, t, { Post: false, Mail: true }, more), BOTH);
    },
  },
  {
    name: 'plugins of other types are never left out',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const seen = [];
      const types = ['before', 'enrichment', 'after'];
      await analytics.register(...types.map((type) => plugin('Mail', type, () => void seen.push(type))));
      await fateOf(analytics, 'track', { ...MINIMAL.track, integrations: { All: false, Mail: false } });
      assert.deepEqual(seen, types);
    },
  },
  {
    name: 'an enrichment may switch a destination off',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const seen = [];
      await analytics.register(
        plugin('e', 'enrichment', (context) => void context.updateEvent('integrations.Mail', false)),
        plugin('Mail', 'destination', () => void seen.push('Mail')),
      );
      await fateOf(analytics);
      assert.deepEqual([seen, segment.events[0].integrations], [[], { Mail: false }]);
    },
  },
];
