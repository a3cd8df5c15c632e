import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { METHODS, MINIMAL, clientOf, fateOf, nextFate, onSegment, sent, thrownBy, turns } from '../stage.mjs';

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
  ['properties of page() that are text', 'page', { userId: 'u1', properties: 'ab' }],
  ['an empty userId beside an anonymousId', 'track', { userId: '', anonymousId: 'a1', event: 'e' }],
  ['an empty name of page()', 'page', { userId: 'u1', name: '' }],
  ['a callback that is false', 'track', MINIMAL.track, false],
];

/** What theirs reports as delivered, though Segment throws it away; and the field that ours names. */
const THROWN_AWAY = [
  ['a userId of blanks, and no other id', '.userId/anonymousId', 'track', { userId: ' ', event: 'e' }],
  ['an empty event', '.event', 'track', { userId: 'u1', event: '' }],
  ['a blank groupId of group(), or none', '.groupId', 'group', { userId: 'u1', groupId: '' }],
  ['group() without a user', '.userId/anonymousId', 'group', { groupId: 'g1' }],
  ['alias() without a userId', '.userId', 'alias', { previousId: 'p1' }],
  ['alias() without a previousId', '.previousId', 'alias', { userId: 'u1' }],
];

/** Ids beside one that is text: nobody looks at them. */
const NO_TEXTS = [
  ['an anonymousId', 'anonymousId', 'track', { userId: 'u1', anonymousId: 5, event: 'e' }],
  ['a groupId', 'groupId', 'group', { userId: 'u1', groupId: 7 }],
  ['a previousId', 'previousId', 'alias', { userId: 'u1', previousId: 7 }],
];

const disabled = (library, t) => clientOf(library, t, { disable: true });

export const cases = [
  ...THROWN.map(([name, method, params, field, problem]) => ({
    name: `${name}: ${field} ${problem}`,
    run(library, t) {
      const thrown = thrownBy(() => disabled(library, t)[method](params));
      // Ours says more after it, such as which of the ids it is.
      const begin = { ...thrown, message: thrown.message.slice(0, `${field} ${problem}`.length) };
      assert.deepEqual(begin, { message: `${field} ${problem}`, field });
    },
  })),
  ...TAKEN.map(([name, method, params, callback]) => ({
    name: `taken: ${name}`,
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const fate = nextFate(analytics);
      analytics[method](params, callback);
      assert.equal((await fate).reason, undefined);
      assert.equal(segment.requests[0].eventCount, 1);
    },
  })),
  ...THROWN_AWAY.map(([name, field, method, params]) => ({
    name,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const { reason } = await fateOf(analytics, method, params);
      assert.deepEqual([reason.code, reason.field], ['ERR_VALIDATION', field]);
    },
    differs: {
      kind: DEFECT,
      theirs: 'sent, and reported as delivered',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'Segment throws such an event away',
      advice: 'look for `call_refused`, and mend the call',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        assert.equal((await fateOf(analytics, method, params)).reason, undefined);
        assert.deepEqual([segment.eventCount, segment.rejectedCount], [0, 1]);
      },
    },
  })),
  ...NO_TEXTS.map(([name, member, method, params]) => ({
    name: `${name} that is a number, beside a userId`,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const { reason } = await fateOf(analytics, method, params);
      assert.equal(reason.message, `.${member} is not a string: it is a number`);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'sent as a number',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'ids are text; a userId that is a number throws in both',
      advice: '`String(id)`',
      run: async (library, t) =>
        assert.equal(typeof (await sent(library, t, method, params))[member], 'number'),
    },
  })),
  {
    name: 'the text for a userId that is a number',
    run: (library, t) =>
      assert.equal(
        thrownBy(() => disabled(library, t).identify({ userId: 5 })).message,
        `${IDENTITY} is not a string: userId is a number`,
      ),
    differs: {
      kind: DELIBERATE,
      theirs: `\`${IDENTITY} is not a string\``,
      ours: 'the same, and `: userId is a number`',
      why: 'it says what to look for',
      run: (library, t) =>
        assert.equal(
          thrownBy(() => disabled(library, t).identify({ userId: 5 })).message,
          `${IDENTITY} is not a string`,
        ),
    },
  },
  {
    name: 'a callback that is no function',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const fate = nextFate(analytics);
      analytics.track(MINIMAL.track, 'callback');
      assert.deepEqual([(await fate).reason.code, (await fate).reason.field], ['ERR_VALIDATION', 'callback']);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'sent; nobody is told of the mistake',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'whoever passes it waits for a call that never comes',
      advice: 'a function, or nothing; not `list.forEach(analytics.track)`',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        analytics.track(MINIMAL.track, 'callback');
        await segment.waitForEvents(1);
      },
    },
  },
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
