import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { MINIMAL, fateOf, onSegment, sent } from '../stage.mjs';

/** What becomes of one property. */
async function written(library, t, value) {
  const { properties } = await sent(library, t, 'track', { ...MINIMAL.track, properties: { value } });
  return properties.value;
}

const circular = () => {
  const value = {};
  value.self = value;
  return value;
};
const throwing = () => ({
  toJSON() {
    throw new Error('toJSON');
  },
});

/** The value, and how JSON has it. */
const VALUES = [
  ['a Date becomes ISO text', new Date(0), '1970-01-01T00:00:00.000Z'],
  ['NaN becomes null', Number.NaN, null],
  ['Infinity becomes null', Infinity, null],
  ['a Map becomes {}', new Map([[1, 2]]), {}],
  ['a Buffer becomes { type, data }', Buffer.from('a'), { type: 'Buffer', data: [97] }],
  ['a function is left out', () => {}, undefined],
  ['a symbol is left out', Symbol('s'), undefined],
  ['undefined is left out', undefined, undefined],
  ['undefined in an array becomes null', [undefined], [null]],
  ['toJSON() is asked', { toJSON: () => 'mine' }, 'mine'],
  ['text of any script arrives as it is', 'ä\u0000\u{1F600}"\\', 'ä\u0000\u{1F600}"\\'],
];

/** The caller's objects, changed after the call and before the events leave. */
async function changedLater(library, t, type, member) {
  const { segment, analytics } = await onSegment(library, t, { flushAt: 2 });
  const given = { value: 'first' };
  analytics[type]({ ...MINIMAL[type], messageId: 'm1', [member]: given });
  given.value = 'second';
  analytics[type](MINIMAL[type]);
  const events = await segment.waitForEvents(2);
  return events.find(({ messageId }) => messageId === 'm1')[member].value;
}

export const cases = [
  ...VALUES.map(([name, value, expected]) => ({
    name,
    run: async (library, t) => assert.deepEqual(await written(library, t, value), expected),
  })),
  ...[
    ['a BigInt', () => 5n],
    ['an object that contains itself', circular],
    ['a toJSON() that throws', throwing],
  ].map(([name, make]) => ({
    name,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const params = { ...MINIMAL.track, properties: { value: make() } };
      assert.equal((await fateOf(analytics, 'track', params)).reason.code, 'ERR_NOT_SERIALIZABLE');
    },
    differs: {
      kind: DEFECT,
      theirs: 'lost, and reported as delivered',
      ours: '`false` and `ERR_NOT_SERIALIZABLE`',
      why: 'no JSON can hold it, and the error is swallowed',
      advice: 'send plain data; the message names the path',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        const params = { ...MINIMAL.track, properties: { value: make() } };
        assert.equal((await fateOf(analytics, 'track', params)).reason, undefined);
        assert.equal(segment.requestCount, 0);
      },
    },
  })),
  ...[
    ['track', 'properties'],
    ['identify', 'traits'],
    ['group', 'traits'],
  ].map(([type, member]) => ({
    name: `${member} of ${type}(), changed after the call`,
    run: async (library, t) => assert.equal(await changedLater(library, t, type, member), 'first'),
    differs: {
      kind: DELIBERATE,
      theirs: 'the change is sent',
      ours: 'what was passed is sent',
      why: 'an event is what it was at the call',
      advice: 'pass what is to be sent',
      run: async (library, t) => assert.equal(await changedLater(library, t, type, member), 'second'),
    },
  })),
  ...['page', 'screen'].map((type) => ({
    name: `properties of ${type}() are copied`,
    run: async (library, t) => assert.equal(await changedLater(library, t, type, 'properties'), 'first'),
  })),
  {
    name: "the caller's context",
    async run(library, t) {
      const context = { ip: '::1' };
      await sent(library, t, 'track', { ...MINIMAL.track, context });
      assert.deepEqual(context, { ip: '::1' });
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'gets a `library`',
      ours: 'is never changed',
      why: "it is the caller's object",
      async run(library, t) {
        const context = { ip: '::1' };
        await sent(library, t, 'track', { ...MINIMAL.track, context });
        assert.deepEqual(Object.keys(context), ['ip', 'library']);
      },
    },
  },
  {
    name: 'a frozen context',
    async run(library, t) {
      const context = Object.freeze({ ip: '::1' });
      const event = await sent(library, t, 'track', { ...MINIMAL.track, context });
      assert.equal(event.context.library.name, library.name);
    },
    differs: {
      kind: DEFECT,
      theirs: 'sent without `library`',
      ours: 'sent with `library`',
      why: 'they change the object they are given',
      async run(library, t) {
        const context = Object.freeze({ ip: '::1' });
        const event = await sent(library, t, 'track', { ...MINIMAL.track, context });
        assert.deepEqual(event.context, { ip: '::1' });
      },
    },
  },
  {
    name: 'context: { library: null }',
    async run(library, t) {
      const event = await sent(library, t, 'track', { ...MINIMAL.track, context: { library: null } });
      assert.equal(event.context.library.name, library.name);
    },
    differs: {
      kind: DEFECT,
      theirs: 'lost, and reported as delivered',
      ours: 'sent',
      why: 'they write into the `null`',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        const params = { ...MINIMAL.track, context: { library: null } };
        const { reason } = await fateOf(analytics, 'track', params);
        assert.deepEqual([reason, segment.requestCount], [undefined, 0]);
      },
    },
  },
];
