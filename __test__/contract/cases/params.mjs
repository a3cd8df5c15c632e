import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { METHODS, MINIMAL, fateOf, fates, onSegment, sent } from '../stage.mjs';

/** Everything each method takes, and what of it is sent. */
const WHOLE = {
  identify: [{ traits: { plan: 'pro' } }],
  track: [{ event: 'Ordered', properties: { total: 5 } }],
  page: [
    { category: 'Docs', name: 'Home', properties: { a: 1 } },
    { properties: { a: 1, category: 'Docs' } },
  ],
  screen: [{ category: 'Docs', name: 'Home', properties: { a: 1 } }],
  group: [{ groupId: 'g1', traits: { plan: 'pro' } }],
};
const common = () => ({
  messageId: 'm1',
  timestamp: new Date(0),
  integrations: { Mail: false },
  context: { ip: '::1' },
});

/** An event without what is every event's. */
function essence({ _metadata, context: { library: _library, ...context }, ...event }) {
  return { ...event, context };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DEFAULT_ID = /^node-next-\d+-[0-9a-f-]{36}$/;

export const cases = [
  ...Object.entries(WHOLE).map(([method, [params, written = {}]]) => ({
    name: `all that ${method}() takes is sent`,
    async run(library, t) {
      const ids = { userId: 'u1', anonymousId: 'a1' };
      const event = await sent(library, t, method, { ...ids, ...params, ...common() });
      const timestamp = '1970-01-01T00:00:00.000Z';
      assert.deepEqual(essence(event), {
        type: method,
        ...ids,
        ...params,
        ...written,
        ...common(),
        timestamp,
      });
    },
  })),
  {
    name: 'all that alias() takes is sent',
    async run(library, t) {
      const ids = { userId: 'u1', previousId: 'p1' };
      const event = await sent(library, t, 'alias', { ...ids, ...common() });
      const timestamp = '1970-01-01T00:00:00.000Z';
      assert.deepEqual(essence(event), { type: 'alias', ...ids, ...common(), timestamp });
    },
  },
  {
    name: 'alias() drops an anonymousId',
    async run(library, t) {
      const event = await sent(library, t, 'alias', { ...MINIMAL.alias, anonymousId: 'a1' });
      assert.ok(!('anonymousId' in event));
    },
  },
  {
    name: 'an anonymousId alone is enough, and a userId is not made',
    async run(library, t) {
      const event = await sent(library, t, 'track', { anonymousId: 'a1', event: 'e' });
      assert.equal(event.anonymousId, 'a1');
      assert.ok(!('userId' in event));
    },
  },
  {
    name: 'a userId alone is enough, and an anonymousId is not made',
    async run(library, t) {
      const event = await sent(library, t, 'track', MINIMAL.track);
      assert.ok(!('anonymousId' in event));
    },
  },
  {
    name: 'members that are not known are dropped',
    async run(library, t) {
      const event = await sent(library, t, 'track', { ...MINIMAL.track, channel: 'server', type: 'page' });
      assert.equal(event.type, 'track');
      assert.ok(!('channel' in event));
    },
  },
  {
    name: 'members that are undefined are not sent',
    async run(library, t) {
      const params = { ...MINIMAL.track, anonymousId: undefined, context: undefined, messageId: undefined };
      const event = await sent(library, t, 'track', params);
      assert.ok(!('anonymousId' in event));
      assert.equal(typeof event.messageId, 'string');
      assert.deepEqual(Object.keys(event.context), ['library']);
    },
  },
  {
    name: 'properties and traits are {} by default',
    async run(library, t) {
      for (const method of ['track', 'page', 'screen']) {
        assert.deepEqual((await sent(library, t, method, MINIMAL[method])).properties, {});
      }
      for (const method of ['identify', 'group']) {
        assert.deepEqual((await sent(library, t, method, MINIMAL[method])).traits, {});
      }
    },
  },
  {
    name: 'properties: null and traits: null become {}',
    async run(library, t) {
      const track = await sent(library, t, 'track', { ...MINIMAL.track, properties: null });
      const identify = await sent(library, t, 'identify', { ...MINIMAL.identify, traits: null });
      assert.deepEqual([track.properties, identify.traits], [{}, {}]);
    },
  },
  {
    name: 'integrations are {} by default and sent as given',
    async run(library, t) {
      const integrations = { All: false, Mail: { list: 5 }, Other: true };
      const given = await sent(library, t, 'track', { ...MINIMAL.track, integrations });
      const none = await sent(library, t, 'track', MINIMAL.track);
      assert.deepEqual([given.integrations, none.integrations], [integrations, {}]);
    },
  },
  {
    name: 'page() writes the category twice',
    async run(library, t) {
      const { category, properties } = await sent(library, t, 'page', { userId: 'u1', category: 'Docs' });
      assert.deepEqual([category, properties], ['Docs', { category: 'Docs' }]);
    },
  },
  {
    name: 'screen() writes the category once',
    async run(library, t) {
      const { category, properties } = await sent(library, t, 'screen', { userId: 'u1', category: 'Docs' });
      assert.deepEqual([category, properties], ['Docs', {}]);
    },
  },
  {
    name: 'category: null and name: null are not sent',
    async run(library, t) {
      const event = await sent(library, t, 'page', { userId: 'u1', category: null, name: null });
      assert.ok(!('category' in event) && !('name' in event) && !('category' in event.properties));
    },
  },
  {
    name: 'the timestamp is the moment of the call by default',
    async run(library, t) {
      const before = new Date().toISOString();
      const { timestamp } = await sent(library, t, 'track', MINIMAL.track);
      assert.ok(before <= timestamp && timestamp <= new Date().toISOString());
    },
  },
  {
    name: 'a timestamp as toISOString() writes it is sent as it is',
    async run(library, t) {
      const timestamp = '2020-01-31T04:05:06.007Z';
      assert.equal((await sent(library, t, 'track', { ...MINIMAL.track, timestamp })).timestamp, timestamp);
    },
  },
  ...[
    ['a timestamp in another form of ISO 8601', '2020-01-02T04:05:06,123456+01', '2020-01-02T03:05:06.123Z'],
    ['a timestamp in milliseconds', 1_600_000_000_123, '2020-09-13T12:26:40.123Z'],
    [
      'a timestamp that writes itself, such as Temporal',
      { toJSON: () => '2020-01-02' },
      '2020-01-02T00:00:00.000Z',
    ],
  ].map(([name, given, understood]) => ({
    name,
    async run(library, t) {
      const { timestamp } = await sent(library, t, 'track', { ...MINIMAL.track, timestamp: given });
      assert.equal(timestamp, understood);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'sent as it is',
      ours: 'sent as ISO 8601 with milliseconds, in UTC',
      why: 'it arrives as what was meant, whatever reads it',
      advice: 'text without an offset is local time, as for `new Date()`; a date alone is UTC',
      async run(library, t) {
        const { timestamp } = await sent(library, t, 'track', { ...MINIMAL.track, timestamp: given });
        assert.equal(timestamp, given.toJSON?.() ?? given);
      },
    },
  })),
  ...[
    [
      'a timestamp of text that is not ISO 8601',
      '01/02/2020',
      /is not ISO 8601/,
      'send a Date; text of databases needs a T, or an offset',
    ],
    ['a timestamp in seconds', 1_600_000_000, /is a number of seconds/, 'times 1000'],
  ].map(([name, given, text, advice]) => ({
    name,
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const { reason } = await fateOf(analytics, 'track', { ...MINIMAL.track, timestamp: given });
      assert.deepEqual([reason.code, reason.field], ['ERR_VALIDATION', '.timestamp']);
      assert.match(reason.message, text);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'sent as it is',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'everybody reads another moment out of it',
      advice,
      async run(library, t) {
        const { timestamp } = await sent(library, t, 'track', { ...MINIMAL.track, timestamp: given });
        assert.equal(timestamp, given);
      },
    },
  })),
  {
    name: 'a timestamp that is no date',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const { reason } = await fateOf(analytics, 'track', { ...MINIMAL.track, timestamp: 'nope' });
      assert.deepEqual([reason.code, reason.field], ['ERR_VALIDATION', '.timestamp']);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'sent',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'Segment throws such an event away',
      advice: 'send a date',
      async run(library, t) {
        const { timestamp } = await sent(library, t, 'track', { ...MINIMAL.track, timestamp: 'nope' });
        assert.equal(timestamp, 'nope');
      },
    },
  },
  {
    name: 'a messageId is sent as given',
    async run(library, t) {
      assert.equal((await sent(library, t, 'page', { userId: 'u1', messageId: 'm1' })).messageId, 'm1');
    },
  },
  {
    name: 'every event has a messageId of its own',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: METHODS.length });
      for (const method of METHODS) analytics[method]({ ...MINIMAL[method], messageId: '' });
      const events = await segment.waitForEvents(METHODS.length);
      const messageIds = new Set(events.map(({ messageId }) => messageId));
      assert.deepEqual([messageIds.size, messageIds.has('')], [METHODS.length, false]);
    },
  },
  {
    name: 'what a messageId looks like',
    run: async (library, t) => assert.match((await sent(library, t, 'track', MINIMAL.track)).messageId, UUID),
    differs: {
      kind: DELIBERATE,
      theirs: '`node-next-<time>-<id>`, of `Math.random()`',
      ours: 'a random UUID',
      why: 'ids of theirs share 15 of their 16 bytes with the next one',
      run: async (library, t) =>
        assert.match((await sent(library, t, 'track', MINIMAL.track)).messageId, DEFAULT_ID),
    },
  },
  {
    name: 'a messageId of more than 100 characters',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const { reason } = await fateOf(analytics, 'track', { ...MINIMAL.track, messageId: 'm'.repeat(101) });
      assert.deepEqual([reason.code, reason.field], ['ERR_VALIDATION', '.messageId']);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'sent',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'Segment throws such an event away',
      advice: 'hash long ids',
      async run(library, t) {
        const { segment, analytics } = await onSegment(library, t);
        await fateOf(analytics, 'track', { ...MINIMAL.track, messageId: 'm'.repeat(101) });
        assert.equal(segment.rejectedCount, 1);
      },
    },
  },
  {
    name: 'a context that is text',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const { reason } = await fateOf(analytics, 'track', { ...MINIMAL.track, context: 'text' });
      assert.equal(reason.field, '.context');
    },
    differs: {
      kind: DEFECT,
      theirs: 'is replaced by the `library` alone',
      ours: '`false` and `ERR_VALIDATION`',
      why: 'the text is lost in silence',
      advice: 'send an object',
      async run(library, t) {
        const { context } = await sent(library, t, 'track', { ...MINIMAL.track, context: 'text' });
        assert.deepEqual(Object.keys(context), ['library']);
      },
    },
  },
  {
    name: 'the context of the call is sent, and the library in it is always ours',
    async run(library, t) {
      const context = { ip: '::1', page: { path: '/' }, library: { name: 'mine', version: '0' } };
      const event = await sent(library, t, 'track', { ...MINIMAL.track, context });
      const { library: used, ...rest } = event.context;
      assert.deepEqual(rest, { ip: '::1', page: { path: '/' } });
      assert.match(used.version, /^\d+\.\d+\.\d+/);
      assert.equal(used.name, library.name);
    },
  },
  {
    name: '_metadata has nodeVersion and jsRuntime',
    async run(library, t) {
      const { _metadata } = await sent(library, t, 'track', MINIMAL.track);
      assert.deepEqual(_metadata, { nodeVersion: process.version, jsRuntime: 'node' });
    },
  },
  {
    name: 'events have no channel and no sentAt',
    async run(library, t) {
      const event = await sent(library, t, 'track', MINIMAL.track);
      const members = ['_metadata', 'context', 'event', 'integrations', 'messageId', 'properties'];
      assert.deepEqual(Object.keys(event).toSorted(), [...members, 'timestamp', 'type', 'userId']);
    },
  },
  {
    name: 'several events of one batch keep apart',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: METHODS.length });
      const ends = fates(analytics, METHODS.length);
      for (const method of METHODS) analytics[method](MINIMAL[method]);
      const types = (await ends).map(({ context }) => context.event.type);
      assert.deepEqual(types.toSorted(), METHODS.toSorted());
      assert.equal(segment.requestCount, 1);
    },
  },
];
