import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { METHODS, MINIMAL, clientOf, fateOf, onSegment, thrownBy, turns } from '../stage.mjs';

const IDENTITY = '.userId/anonymousId/previousId/groupId';

/** What is called with what, and the field and problem that are said. */
const THROWN = [
  ['track() without an id', 'track', { event: 'e' }, IDENTITY, 'is nil'],
  ['identify() without an id', 'identify', {}, IDENTITY, 'is nil'],
  ['page() without an id', 'page', {}, IDENTITY, 'is nil'],
  ['screen() without an id', 'screen', {}, IDENTITY, 'is nil'],
  ['group() without any id', 'group', {}, IDENTITY, 'is nil'],
  ['alias() without any id', 'alias', { userId: null, previousId: null }, IDENTITY, 'is nil'],
  ['an id of null', 'track', { userId: null, anonymousId: null, event: 'e' }, IDENTITY, 'is nil'],
  ['a userId that is a number', 'track', { userId: 5, event: 'e' }, IDENTITY, 'is not a string'],
  ['an anonymousId that is a number', 'track', { anonymousId: 5, event: 'e' }, IDENTITY, 'is not a string'],
  ['a groupId that is a number', 'group', { groupId: 5 }, IDENTITY, 'is not a string'],
  ['a previousId that is a number', 'alias', { userId: null, previousId: 5 }, IDENTITY, 'is not a string'],
  [
    'a messageId that is a number',
    'track',
    { ...MINIMAL.track, messageId: 5 },
    '.messageId',
    'is not a string',
  ],
  ['no event', 'track', { userId: 'u1' }, '.event', 'is not a string'],
  ['an event that is a number', 'track', { userId: 'u1', event: 5 }, '.event', 'is not a string'],
  [
    'properties that are an array',
    'track',
    { ...MINIMAL.track, properties: [] },
    '.properties',
    'is not an object',
  ],
  [
    'properties that are text',
    'track',
    { ...MINIMAL.track, properties: 'a' },
    '.properties',
    'is not an object',
  ],
  [
    'traits of identify() that are text',
    'identify',
    { userId: 'u1', traits: 'a' },
    '.traits',
    'is not an object',
  ],
  [
    'traits of group() that are an array',
    'group',
    { ...MINIMAL.group, traits: [] },
    '.traits',
    'is not an object',
  ],
  ['the id is looked at before the event', 'track', { event: 5, properties: 'a' }, IDENTITY, 'is nil'],
  [
    'the messageId is looked at before the event',
    'track',
    { userId: 'u1', messageId: 5, event: 5 },
    '.messageId',
    'is not a string',
  ],
  [
    'the event is looked at before properties',
    'track',
    { userId: 'u1', properties: 'a' },
    '.event',
    'is not a string',
  ],
];

/** What is wrong and taken all the same. */
const TAKEN = [
  ['an empty userId', 'track', { userId: '', event: 'e' }],
  ['an empty event', 'track', { userId: 'u1', event: '' }],
  ['an anonymousId that is a number beside a userId', 'track', { userId: 'u1', anonymousId: 5, event: 'e' }],
  ['alias() without a userId', 'alias', { previousId: 'p1' }],
  ['alias() without a previousId', 'alias', { userId: 'u1' }],
  ['group() without a user', 'group', { groupId: 'g1' }],
  ['properties of page() that are text', 'page', { userId: 'u1', properties: 'ab' }],
];

const disabled = (library, t) => clientOf(library, t, { disable: true });

export const cases = [
  ...THROWN.map(([name, method, params, field, problem]) => ({
    name: `${name}: ${field} ${problem}`,
    run(library, t) {
      const thrown = thrownBy(() => disabled(library, t)[method](params));
      assert.deepEqual(thrown, { message: `${field} ${problem}`, field });
    },
  })),
  ...TAKEN.map(([name, method, params]) => ({
    name: `taken: ${name}`,
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      assert.equal((await fateOf(analytics, method, params)).reason, undefined);
      assert.equal(segment.requests[0].eventCount, 1);
    },
  })),
  {
    name: 'a call that throws calls no callback and sends nothing',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const told = [];
      analytics.on('error', (failure) => told.push(failure));
      assert.ok(thrownBy(() => analytics.track({ userId: 'u1' }, (...args) => told.push(args))));
      await turns(5);
      await analytics.flush();
      assert.deepEqual([told, segment.requestCount], [[], 0]);
    },
  },
  {
    name: 'a call without parameters',
    run(library, t) {
      const analytics = disabled(library, t);
      for (const method of METHODS) assert.throws(() => analytics[method](), { code: 'ERR_VALIDATION' });
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'a `TypeError` of the language',
      ours: '`ERR_VALIDATION`',
      why: 'the text says what to pass',
      run(library, t) {
        const analytics = disabled(library, t);
        for (const method of METHODS) assert.throws(() => analytics[method](), TypeError);
      },
    },
  },
  {
    name: 'the name and code of what is thrown',
    run: (library, t) =>
      assert.throws(() => disabled(library, t).track({}), {
        name: 'ValidationError',
        code: 'ERR_VALIDATION',
      }),
    differs: {
      kind: DELIBERATE,
      theirs: '`Error` without a code',
      ours: '`ValidationError`, `ERR_VALIDATION`',
      why: 'codes are stable, texts may change',
      run(library, t) {
        const analytics = disabled(library, t);
        assert.throws(
          () => analytics.track({}),
          ({ name, code }) => name === 'Error' && code === undefined,
        );
      },
    },
  },
];
