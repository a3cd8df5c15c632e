import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import {
  KEY,
  MINIMAL,
  clientOf,
  deferred,
  fateOf,
  fates,
  onCollector,
  onSegment,
  plugin,
  recordingFetch,
  startSegment,
  thrownBy,
  trackAll,
} from '../stage.mjs';

const MISSING = { message: 'writeKey writeKey is missing.', field: 'writeKey' };
const refused = (library, settings, field) =>
  assert.throws(() => new library.Analytics({ writeKey: KEY, ...settings }), {
    code: 'ERR_OPTION_INVALID',
    field,
  });
const taken = (library, t, settings) => assert.ok(clientOf(library, t, settings));

/** The URL that a client with these settings asks for. */
async function urlOf(library, t, settings) {
  const segment = await startSegment(t);
  const { calls, fetchFn } = recordingFetch(`${segment.url}/v1/batch`);
  const analytics = clientOf(library, t, { httpClient: fetchFn, ...settings });
  assert.equal((await fateOf(analytics)).reason, undefined);
  return calls[0][0];
}

const NO_KEY = { clientId: 'c', keyId: 'k', clientKey: 'no PEM' };

/** The key that the server is told. */
async function keyOf(library, t, writeKey) {
  const { collector, analytics } = await onCollector(library, t, { writeKey });
  analytics.track(MINIMAL.track);
  const [{ json }] = await collector.take(1);
  return json.writeKey;
}

export const cases = [
  {
    name: 'only writeKey is required',
    run: (library, t) => taken(library, t, { flushAt: undefined, flushInterval: undefined }),
  },
  ...['', undefined, null].map((writeKey) => ({
    name: `writeKey: ${JSON.stringify(writeKey)} throws ${MISSING.message}`,
    run: (library) =>
      assert.deepEqual(
        thrownBy(() => new library.Analytics({ writeKey })),
        MISSING,
      ),
  })),
  {
    name: 'no settings at all',
    run: (library) =>
      assert.deepEqual(
        thrownBy(() => new library.Analytics()),
        MISSING,
      ),
    differs: {
      kind: DELIBERATE,
      theirs: 'a `TypeError` of the language',
      ours: '`ERR_WRITE_KEY_MISSING`',
      why: 'the text says what is missing',
      run: (library) => assert.throws(() => new library.Analytics(), TypeError),
    },
  },
  {
    name: 'a writeKey of spaces',
    run: (library) =>
      assert.throws(() => new library.Analytics({ writeKey: ' ' }), { code: 'ERR_WRITE_KEY_MISSING' }),
    differs: {
      kind: DELIBERATE,
      theirs: 'taken',
      ours: 'throws `ERR_WRITE_KEY_MISSING`',
      why: 'Segment would answer 401 to every batch',
      advice: 'set the key',
      run: (library, t) => taken(library, t, { writeKey: ' ' }),
    },
  },
  {
    name: 'a writeKey with a line break or blanks around it',
    run: async (library, t) => assert.equal(await keyOf(library, t, ` ${KEY}\n`), KEY),
    differs: {
      kind: DEFECT,
      theirs: 'sent with them, and refused',
      ours: 'they are taken off',
      why: 'keys that come out of a file end with a line break',
      run: async (library, t) => assert.equal(await keyOf(library, t, ` ${KEY}\n`), ` ${KEY}\n`),
    },
  },
  {
    name: 'a writeKey with a blank inside',
    run: (library) => refused(library, { writeKey: 'a b' }, 'writeKey'),
    differs: {
      kind: DELIBERATE,
      theirs: 'taken',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: 'Segment would answer 401 to every batch',
      advice: 'copy the key again',
      run: (library, t) => taken(library, t, { writeKey: 'a b' }),
    },
  },
  {
    name: 'an oauthSettings.clientKey that is no key',
    run: (library) => refused(library, { oauthSettings: NO_KEY }, 'oauthSettings.clientKey'),
    differs: {
      kind: DELIBERATE,
      theirs: 'taken; every event fails later',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: 'it can only be a mistake',
      advice: 'an RSA private key as PEM',
      run: (library, t) => taken(library, t, { oauthSettings: NO_KEY }),
    },
  },
  {
    name: 'a setting that is not known',
    run: (library) => refused(library, { flushTime: 1 }, 'flushTime'),
    differs: {
      kind: DELIBERATE,
      theirs: 'ignored',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: 'a slip of the keyboard must not change what is sent',
      advice: 'delete it',
      run: (library, t) => taken(library, t, { flushTime: 1 }),
    },
  },
  {
    name: 'undefined means: not given',
    async run(library, t) {
      const settings = { path: undefined, flushAt: undefined, maxEventsInBatch: 1, disable: undefined };
      const { segment, analytics } = await onSegment(library, t, settings);
      await fateOf(analytics);
      assert.equal(segment.requests[0].path, '/v1/batch');
    },
  },
  {
    name: 'host is https://api.segment.io and path /v1/batch by default',
    run: async (library, t) => assert.equal(await urlOf(library, t), 'https://api.segment.io/v1/batch'),
  },
  {
    name: 'host may end in a slash',
    run: async (library, t) =>
      assert.equal(await urlOf(library, t, { host: 'https://h.example/' }), 'https://h.example/v1/batch'),
  },
  {
    name: 'path takes the place of a path in host',
    run: async (library, t) =>
      assert.equal(
        await urlOf(library, t, { host: 'https://h.example/in/front', path: '/my/batch' }),
        'https://h.example/my/batch',
      ),
  },
  {
    name: 'a host that is no URL',
    run: (library) => refused(library, { host: 'nowhere' }, 'host'),
    differs: {
      kind: DELIBERATE,
      theirs: 'throws `TypeError` (`ERR_INVALID_URL`)',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: 'one kind of error for all settings',
      run: (library) =>
        assert.throws(() => new library.Analytics({ writeKey: KEY, host: 'nowhere' }), {
          code: 'ERR_INVALID_URL',
        }),
    },
  },
  {
    name: 'a host with plain http that is not this machine',
    run: (library) => refused(library, { host: 'http://h.example' }, 'host'),
    differs: {
      kind: DELIBERATE,
      theirs: 'taken',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: 'customer data could be read on the way',
      advice: 'https, or `allowInsecureHost: true`',
      run: (library, t) => taken(library, t, { host: 'http://h.example' }),
    },
  },
  {
    name: 'flushAt is the number of events in a request',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 3 });
      trackAll(analytics, 6);
      await segment.waitForEvents(6);
      assert.deepEqual(
        segment.requests.map(({ eventCount }) => eventCount),
        [3, 3],
      );
    },
  },
  {
    name: 'flushAt is 15 by default',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: undefined });
      trackAll(analytics, 15);
      const [{ eventCount }] = await segment.waitForRequests(1);
      assert.equal(eventCount, 15);
    },
  },
  {
    name: 'the events of a request without flushAt',
    async run(library, t) {
      const counts = await requestsOfBacklog(library, t);
      assert.ok(Math.max(...counts) > 15, counts.join(', '));
    },
    differs: {
      kind: DELIBERATE,
      theirs: '15',
      ours: '15 start a send; it takes all that wait, up to 2,500',
      why: 'batches grow with the backlog',
      advice: '`flushAt: 15` for their size',
      run: async (library, t) =>
        assert.deepEqual(await requestsOfBacklog(library, t), [15, 15, 15, 15, 15, 15]),
    },
  },
  {
    name: 'flushAt: 0 means 1',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 0 });
      trackAll(analytics, 2);
      await segment.waitForEvents(2);
      assert.equal(segment.requestCount, 2);
    },
  },
  {
    name: 'maxEventsInBatch is the old name of flushAt',
    async run(library, t) {
      const settings = { flushAt: undefined, maxEventsInBatch: 2 };
      const { segment, analytics } = await onSegment(library, t, settings);
      trackAll(analytics, 4);
      await segment.waitForEvents(4);
      assert.equal(segment.requestCount, 2);
    },
  },
  {
    name: 'flushAt wins over maxEventsInBatch',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 2, maxEventsInBatch: 4 });
      trackAll(analytics, 4);
      await segment.waitForEvents(4);
      assert.equal(segment.requestCount, 2);
    },
  },
  ...[
    ['flushAt: -1', { flushAt: -1 }],
    ['flushAt: NaN', { flushAt: Number.NaN }],
    ['flushAt: 2.5', { flushAt: 2.5 }],
    ['flushAt: 3000', { flushAt: 3_000 }],
    ['flushInterval: -1', { flushInterval: -1 }],
    ['httpRequestTimeout: 0', { httpRequestTimeout: 0 }],
    ['maxRetries: NaN', { maxRetries: Number.NaN }],
  ].map(([name, settings]) => ({
    name,
    run: (library) => refused(library, settings, Object.keys(settings)[0]),
    differs: {
      kind: DELIBERATE,
      theirs: 'taken as it is',
      ours: 'throws `ERR_OPTION_INVALID`',
      why: name.startsWith('flushAt: 3')
        ? 'Segment rejects more than 2,500 events'
        : 'it can only be a mistake',
      advice: 'see the bounds above',
      run: (library, t) => taken(library, t, settings),
    },
  })),
  {
    name: 'flushInterval is the milliseconds after which a batch leaves by itself',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { flushAt: 100, flushInterval: 20 });
      trackAll(analytics, 2);
      const [{ eventCount }] = await segment.waitForRequests(1);
      assert.equal(eventCount, 2);
    },
  },
  {
    name: 'maxRetries: 0 means one attempt',
    async run(library, t) {
      const faults = [{ status: 500, times: Infinity }];
      const { segment, analytics } = await onSegment(library, t, { maxRetries: 0 }, { faults });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
      assert.equal(segment.requestCount, 1);
    },
  },
  {
    name: 'maxRetries: 1 means two attempts',
    async run(library, t) {
      const faults = [{ status: 500, times: Infinity }];
      const { segment, analytics } = await onSegment(library, t, { maxRetries: 1 }, { faults });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
      assert.equal(segment.requestCount, 2);
    },
  },
  {
    name: 'maxTotalBackoffDuration is the seconds of failing after which a batch is dropped',
    async run(library, t) {
      const settings = { maxRetries: 1_000, maxTotalBackoffDuration: 1 };
      const faults = [{ status: 500, times: Infinity }];
      const { segment, analytics } = await onSegment(library, t, settings, { faults });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
      assert.ok(segment.requestCount >= 2);
    },
  },
  {
    name: 'maxRateLimitDuration is the seconds of rate limits after which a batch is dropped',
    async run(library, t) {
      const settings = { maxRetries: 1_000, maxRateLimitDuration: 1 };
      // In time: a second request would come after the pause.
      const faults = [{ retryAfter: 6, times: Infinity }];
      const { segment, analytics } = await onSegment(library, t, settings, { faults });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
      assert.equal(segment.requestCount, 1);
    },
  },
  {
    name: 'httpRequestTimeout ends an attempt without an answer, which counts as one',
    async run(library, t) {
      const settings = { httpRequestTimeout: 50, maxRetries: 0 };
      const { analytics } = await onSegment(library, t, settings, { faults: [{ hang: true }] });
      assert.ok((await fateOf(analytics)).reason instanceof Error);
    },
  },
  {
    name: 'the default of httpRequestTimeout',
    run: async (library, t) => assert.equal(await timeoutOf(library, t), 15_000),
    differs: {
      kind: DELIBERATE,
      theirs: '10,000 ms',
      ours: '15,000 ms',
      why: 'it covers connecting and the whole answer',
      run: async (library, t) => assert.equal(await timeoutOf(library, t), 10_000),
    },
  },
  {
    name: 'httpRequestTimeout and an answer whose body does not end',
    async run(library, t) {
      const { analytics } = await onSlowBody(library, t);
      assert.equal((await fateOf(analytics)).reason.code, 'ERR_TIMEOUT');
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'the headers are enough',
      ours: 'the attempt is tried again, in the end `ERR_TIMEOUT`',
      why: 'a connection that hangs is not kept',
      async run(library, t) {
        const { analytics } = await onSlowBody(library, t);
        assert.equal((await fateOf(analytics)).reason, undefined);
      },
    },
  },
  {
    name: 'disable sends nothing and shows no request',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t, { disable: true });
      const requests = [];
      analytics.on('http_request', (request) => requests.push(request));
      await fateOf(analytics);
      await analytics.flush();
      assert.deepEqual([segment.requestCount, requests.length], [0, 0]);
    },
  },
  {
    name: 'disable reports every event as delivered',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { disable: true });
      const ends = fates(analytics, 3);
      trackAll(analytics, 3);
      assert.deepEqual(
        (await ends).map(({ reason }) => reason),
        [undefined, undefined, undefined],
      );
    },
  },
  {
    name: 'disable still validates',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { disable: true });
      assert.equal(thrownBy(() => analytics.track({ userId: 'u1' })).message, '.event is not a string');
    },
  },
  {
    name: 'disable still runs plugins',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { disable: true });
      const seen = deferred();
      await analytics.register(plugin('p', 'before', ({ event }) => seen.resolve(event.event)));
      analytics.track(MINIMAL.track);
      assert.equal(await seen.promise, MINIMAL.track.event);
    },
  },
];

/** How many events each request holds when 90 are tracked in a row. */
async function requestsOfBacklog(library, t) {
  const { segment, analytics } = await onSegment(library, t, { flushAt: undefined });
  trackAll(analytics, 90);
  await analytics.flush();
  return segment.requests.map(({ eventCount }) => eventCount);
}

/** What an `httpClient` is told to allow for one attempt. */
async function timeoutOf(library, t, settings) {
  const segment = await startSegment(t);
  const timeouts = [];
  const makeRequest = ({ httpRequestTimeout, method, headers, body }) => {
    timeouts.push(httpRequestTimeout);
    return fetch(`${segment.url}/v1/batch`, { method, headers, body });
  };
  await fateOf(clientOf(library, t, { httpClient: { makeRequest }, ...settings }));
  return timeouts[0];
}

async function onSlowBody(library, t) {
  // Promised are 1,000 bytes; what comes is less.
  const answers = [{ headers: { 'content-length': '1000' }, body: '{' }];
  return onCollector(library, t, { httpRequestTimeout: 300, maxRetries: 0 }, answers);
}
