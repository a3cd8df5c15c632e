/** The write key, and anything that would give it away, is nowhere but in the requests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { Analytics } from '@companion/segment';
import { RecordingAnalytics } from '@companion/segment/testing';

import { METHODS, MINIMAL, NEVER_MS, startSegment } from './support/clients.mjs';
import { runProgram } from './support/programs.mjs';

const KEY = 'planted-write-key-e8b1';
/** As it is, as the user name of Basic, and without the padding. */
const FORMS = [KEY, `${KEY}:`].flatMap((text) => {
  const encoded = Buffer.from(text).toString('base64');
  return [text, encoded, encoded.replace(/=+$/, ''), Buffer.from(text).toString('hex')];
});
const EVENTS = [
  ...METHODS,
  'error',
  'http_request',
  'http_response',
  'drained',
  'call_after_close',
  'register',
  'deregister',
  'initialize',
];

function assertNoKey(text, where) {
  for (const form of FORMS) assert.ok(!text.includes(form), `${where}: ${text}`);
}

/** Everything that a value shows of itself. */
function shown(value) {
  const texts = [
    inspect(value, {
      depth: null,
      showHidden: true,
      getters: true,
      maxStringLength: null,
      maxArrayLength: null,
    }),
    String(value),
  ];
  try {
    texts.push(JSON.stringify(value) ?? '');
  } catch {
    // A cycle: inspect has shown it.
  }
  if (value instanceof Error) texts.push(value.message, value.stack ?? '', inspect(value.cause));
  return texts.join('\n');
}

/** A client of which everything is kept that anybody could see. */
function watched(t, segment, settings) {
  const seen = [];
  const keep = (...args) => seen.push(...args.map(shown));
  class Watched extends Analytics {
    emit(event, ...args) {
      keep(...args);
      return super.emit(event, ...args);
    }
  }
  const logger = { error: keep, warn: keep, info: keep, debug: keep };
  const analytics = new Watched({
    writeKey: KEY,
    host: segment.url,
    flushInterval: NEVER_MS,
    logger,
    logLevel: 'trace',
    ...settings,
  });
  for (const event of EVENTS) analytics.on(event, keep);
  t.after(() => analytics.closeAndFlush({ timeout: 0 }));
  return { analytics, seen, keep };
}

const ALWAYS = (fault) => [{ ...fault, times: Infinity }];
const SITUATIONS = [
  ['success', {}, []],
  ['success, uncompressed', { gzip: false }, []],
  ['400', {}, ALWAYS({ status: 400 })],
  ['401', {}, ALWAYS({ status: 401 })],
  ['403', {}, ALWAYS({ status: 403 })],
  ['404', {}, ALWAYS({ status: 404 })],
  ['415, then plain', {}, [{ status: 415 }]],
  ['429', { maxRetries: 0 }, ALWAYS({ status: 429 })],
  ['500, with a retry', { maxRetries: 1 }, ALWAYS({ status: 500 })],
  ['redirects', { maxRetries: 0 }, ALWAYS({ redirect: { location: 'https://a.example/' } })],
  ['a timeout', { maxRetries: 0, httpRequestTimeout: 500 }, ALWAYS({ hang: true })],
  ['a reset', { maxRetries: 0 }, ALWAYS({ reset: 'after-body' })],
  ['a reset before the body', { maxRetries: 0 }, ALWAYS({ reset: 'before-body' })],
  [
    'a body that is no HTTP to speak of',
    { maxRetries: 0 },
    ALWAYS({ headers: { 'content-length': '5' }, body: 'a long body that is cut' }),
  ],
  ['plugins and redact', { redact: ['properties.none'] }, ALWAYS({ status: 401 })],
];

describe('the write key does not show', { concurrency: true }, () => {
  for (const [what, settings, faults] of SITUATIONS) {
    test(`with ${what}`, async (t) => {
      const segment = await startSegment(t, { faults, writeKeys: [KEY] });
      const { analytics, seen, keep } = watched(t, segment, settings);
      const plugin = {
        name: 'p',
        type: 'before',
        isLoaded: () => true,
        load: async (...args) => keep(...args),
        track: keep,
      };
      if (what.startsWith('plugins')) await analytics.register(plugin);
      for (const method of METHODS) analytics[method](MINIMAL[method], keep);
      analytics.track({ ...MINIMAL.track, properties: { n: 1n } }, keep);
      analytics.track({ ...MINIMAL.track, properties: { n: 'x'.repeat(40_000) } }, keep);
      assert.throws(
        () => analytics.track({}),
        (error) => keep(error) > 0,
      );
      const promises = METHODS.map((method) => analytics.deliver[method](MINIMAL[method]).then(keep, keep));
      keep(analytics, analytics.stats(), await analytics.flush());
      await Promise.all(promises);
      keep(await analytics.closeAndFlush());
      analytics.track(MINIMAL.track, keep);
      keep(analytics, analytics.stats());
      assert.ok(segment.requests.length > 0);
      assert.ok(seen.length > 30, `only ${seen.length} things were seen`);
      assertNoKey(seen.join('\n'), what);
      assertNoKey(shown(segment.requests) + shown(segment.events), 'the fake Segment');
    });
  }

  test('with a close that hands events back', async (t) => {
    const segment = await startSegment(t, { faults: ALWAYS({ hang: true }) });
    const { analytics, seen, keep } = watched(t, segment, { flushAt: 1 });
    analytics.track(MINIMAL.track, keep);
    await segment.waitForRequests(1);
    const report = await analytics.closeAndFlush({ timeout: 0 });
    keep(report, analytics);
    assert.equal(report.unflushed.length, 1);
    assertNoKey(seen.join('\n'), 'the close');
  });

  test('with nobody there', async (t) => {
    const segment = await startSegment(t);
    await segment.pause();
    const { analytics, seen, keep } = watched(t, segment, { maxRetries: 0 });
    analytics.track(MINIMAL.track, keep);
    keep(await analytics.flush());
    assert.ok(seen.join('').includes('ERR_NETWORK'));
    assertNoKey(seen.join('\n'), 'a refused connection');
  });
});

describe('errors of options do not quote the write key', () => {
  for (const [what, settings] of [
    ['an unknown option', { other: KEY }],
    ['a bad number', { flushAt: KEY }],
    ['a bad bound', { flushAt: -1 }],
    ['a malformed host', { host: KEY }],
    ['a host with credentials', { host: `https://${KEY}:x@a.example` }],
    ['an insecure host', { host: `http://${KEY}.example` }],
    ['a foreign path', { path: `https://${KEY}.example` }],
    ['a bad proxy', { proxy: `${KEY}://x` }],
    ['a bad certificate', { ca: KEY }],
    ['a broken certificate', { ca: `-----BEGIN CERTIFICATE-----\n${KEY}\n-----END CERTIFICATE-----` }],
    ['a bad region', { region: KEY }],
    ['a bad switch', { gzip: KEY }],
    ['a bad client', { httpClient: KEY }],
    ['a bad logger', { logger: KEY }],
    ['a bad redact', { redact: KEY }],
    ['a key in an array', { writeKey: [KEY] }],
    ['a key in an object', { writeKey: { toString: () => KEY } }],
  ]) {
    test(what, () => {
      assert.throws(
        () => new Analytics({ writeKey: KEY, ...settings }),
        (error) => {
          assert.equal(error.code, 'ERR_OPTION_INVALID');
          assertNoKey(shown(error), what);
          return true;
        },
      );
      const env = { SEGMENT_WRITE_KEY: KEY };
      assert.throws(
        () => Analytics.fromEnvironment(settings, env),
        (error) => {
          assertNoKey(shown(error), what);
          return true;
        },
      );
    });
  }
});

test('credentials of a proxy do not show either', async (t) => {
  const segment = await startSegment(t);
  const proxy = `http://user:${KEY}@127.0.0.1:9`;
  const { analytics, seen, keep } = watched(t, segment, { proxy, maxRetries: 0, writeKey: 'other' });
  analytics.track(MINIMAL.track, keep);
  keep(await analytics.flush(), analytics);
  assertNoKey(seen.join('\n'), 'a proxy');
});

test('the recording double shows it no more than the client', async () => {
  const analytics = new RecordingAnalytics({ writeKey: KEY });
  for (const method of METHODS) analytics[method](MINIMAL[method]);
  await analytics.flush();
  assertNoKey(shown(analytics) + shown(analytics.events), 'the double');
});

for (const [what, end] of [
  [
    'an uncaught error',
    () => {
      throw new Error('boom');
    },
  ],
  [
    'an unhandled rejection',
    () => {
      void Promise.reject(new Error('boom'));
    },
  ],
  ['an uncaught error of ours', (analytics) => analytics.track({})],
]) {
  test(`a process that dies of ${what} prints no key`, async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 401 }] });
    const program = `async ({ Analytics }, { host, key }) => {
      const analytics = new Analytics({ writeKey: key, host, exitTimeout: 100 });
      globalThis.analytics = analytics;
      analytics.track({ userId: 'u1', event: 'e' });
      (${end})(analytics);
    }`;
    const argument = { host: segment.url, key: KEY };
    const { code, stdout, stderr } = await runProgram(t, program, argument, {
      nodeOptions: ['--enable-source-maps'],
    });
    assert.equal(code, 1);
    // The program itself is quoted by Node, and holds the key as its argument.
    const lines = stderr.split('\n').filter((line) => !line.includes(JSON.stringify(argument)));
    assertNoKey(lines.join('\n') + stdout, what);
  });
}
