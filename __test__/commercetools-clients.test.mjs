/** Clients of the customer pipeline: one for each key, and what their three methods promise. */
import assert from 'node:assert/strict';
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import {
  createSegmentClient,
  getEnvironmentConfig,
  getSegmentClientFromEnvironment,
} from '@companion/segment/commercetools';

import { NEVER_MS, startSegment } from './support/clients.mjs';
import {
  KEY,
  KEY_FORMS,
  PAYLOAD,
  createClient,
  startClientPair,
  startWithEnvironment,
  useEnvironment,
} from './support/pipeline.mjs';

const BLANK = 'Write key cannot be empty or whitespace only';
const MISSING = 'Missing SEGMENT_WRITE_KEY';
/** Each event alone, one after the other: its request's fault is its own. */
const ONE_BY_ONE = { flushAt: 1, maxConcurrentRequests: 1, maxRetries: 0, gzip: false };
/** Nothing leaves before it is asked to. */
const PATIENT = { flushAt: 2_500, flushInterval: NEVER_MS, gzip: false };

function assertHidden(value, what) {
  const shown = inspect(value, { depth: null, showHidden: true });
  for (const form of KEY_FORMS) assert.ok(!shown.includes(form), `${what} shows the write key`);
}

describe('createSegmentClient', () => {
  test('gives the same client for the same key and options, however they are written', async (t) => {
    const segment = await startSegment(t);
    const client = createClient(t, segment, { maxRetries: 2, redact: ['traits.ssn'] });
    const again = (options) => createClient(t, segment, options);
    assert.equal(again({ maxRetries: 2, redact: ['traits.ssn'] }), client);
    assert.equal(again({ redact: ['traits.ssn'], maxRetries: 2, region: undefined, logger: null }), client);
    const others = [
      {},
      { maxRetries: 2 },
      { maxRetries: 3 },
      { maxRetries: 3, redact: ['traits.ssn'] },
      { maxRetries: 2, redact: ['traits.name'] },
    ];
    assert.equal(new Set([client, ...others.map(again)]).size, 6);
    const settings = { host: segment.url, maxRetries: 2, redact: ['traits.ssn'] };
    const other = createSegmentClient('another-key', settings);
    assert.notEqual(other, client);
    await other.closeAndFlush();
  });

  test('shares a logger or httpClient only with itself', async (t) => {
    const segment = await startSegment(t);
    const loggerOf = () => ({ error() {}, warn() {}, info() {} });
    class HttpClient {
      makeRequest() {}
    }
    for (const [name, make] of [
      ['logger', loggerOf],
      ['httpClient', () => new HttpClient()],
      ['redact', () => (event) => event],
    ]) {
      const value = make();
      const client = createClient(t, segment, { [name]: value });
      assert.equal(createClient(t, segment, { [name]: value }), client, name);
      assert.notEqual(createClient(t, segment, { [name]: make() }), client, name);
    }
  });

  test('gives a new client once the old one is closed, which refuses', async (t) => {
    const { segment, client } = await startClientPair(t);
    await client.closeAndFlush();
    const next = createClient(t, segment);
    assert.notEqual(next, client);
    await assert.rejects(client.identify(PAYLOAD), { code: 'ERR_CLOSED', message: /^The client was closed/ });
    await next.identify(PAYLOAD);
    await next.flush();
    assert.equal(segment.eventCount, 1);
  });

  for (const key of ['', ' ', '\t\n', undefined, null, 5, {}, 1n, Symbol('key')]) {
    test(`refuses ${inspect(key)} as a key`, () => {
      const error = { name: 'AnalyticsError', code: 'ERR_WRITE_KEY_MISSING', message: BLANK };
      assert.throws(() => createSegmentClient(key), error);
    });
  }

  for (const options of [
    { callTimeout: Number.NaN },
    { callTimeout: 0 },
    { callTimeout: -1 },
    { callTimeout: Infinity },
    { callTimeout: 2 ** 31 },
    { callTimeout: '1000' },
    { maxRetries: 1n },
    { maxRetries: -1 },
    { host: 'no URL' },
    { logger: {} },
    { unknown: true },
  ]) {
    test(`refuses ${inspect(options)} without showing the key`, () => {
      assert.throws(
        () => createSegmentClient(KEY, options),
        (error) => {
          assert.equal(error.code, 'ERR_OPTION_INVALID');
          assert.equal(error.field, Object.keys(options)[0]);
          assertHidden(error, 'the error');
          return true;
        },
      );
    });
  }

  test('takes the key from its first parameter only', () => {
    assert.throws(() => createSegmentClient(KEY, { writeKey: 'another-key' }), {
      code: 'ERR_OPTION_INVALID',
      message: 'Unknown option writeKey. It is an argument of its own. The README lists all options.',
    });
  });

  test('shows its key nowhere', async (t) => {
    const { client } = await startClientPair(t, {}, { faults: [{ status: 401 }] });
    assertHidden(client, 'the client');
    await client.identify(PAYLOAD);
    await assert.rejects(client.flush(), (error) => {
      assert.equal(error.code, 'ERR_UNAUTHORIZED');
      assertHidden(error, 'the error');
      return true;
    });
  });
});

describe('getSegmentClientFromEnvironment', () => {
  test('gives the same client until the environment changes', async (t) => {
    const segment = await startWithEnvironment(t);
    const client = getSegmentClientFromEnvironment();
    assert.equal(getSegmentClientFromEnvironment(), client);
    const environment = { SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: segment.url };
    assert.equal(getSegmentClientFromEnvironment({ ...environment, UNRELATED: '1' }), client);
    for (const change of [
      { SEGMENT_WRITE_KEY: 'another-key' },
      { SEGMENT_HOST: 'http://localhost:1' },
      { SEGMENT_REGION: 'eu' },
      { SEGMENT_DISABLE: 'true' },
    ]) {
      const other = getSegmentClientFromEnvironment({ ...environment, ...change });
      assert.notEqual(other, client);
      await other.closeAndFlush();
    }
    await client.closeAndFlush();
    assert.notEqual(getSegmentClientFromEnvironment(), client);
  });

  for (const [environment, message] of [
    [{}, MISSING],
    [{ SEGMENT_WRITE_KEY: '' }, BLANK],
    [{ SEGMENT_WRITE_KEY: '  ' }, BLANK],
  ]) {
    test(`with ${inspect(environment)} says: ${message}`, (t) => {
      useEnvironment(t, environment);
      const error = { name: 'AnalyticsError', code: 'ERR_WRITE_KEY_MISSING', message };
      assert.throws(() => getSegmentClientFromEnvironment(), error);
    });
  }

  test('refuses settings of the environment without showing the key', (t) => {
    for (const [setting, field] of [
      [{ SEGMENT_REGION: 'moon' }, 'region'],
      [{ SEGMENT_HOST: 'no URL' }, 'host'],
      [{ SEGMENT_DISABLE: 'perhaps' }, 'SEGMENT_DISABLE'],
    ]) {
      useEnvironment(t, {});
      assert.throws(
        () => getSegmentClientFromEnvironment({ SEGMENT_WRITE_KEY: KEY, ...setting }),
        (error) => {
          assert.deepEqual([error.code, error.field], ['ERR_OPTION_INVALID', field]);
          assertHidden(error, 'the error');
          return true;
        },
      );
    }
  });

  test('needs no key where nothing is sent', async () => {
    const client = getSegmentClientFromEnvironment({ SEGMENT_DISABLE: '1' });
    await client.identify(PAYLOAD);
    await client.flush();
    await client.closeAndFlush();
  });
});

describe('getEnvironmentConfig', () => {
  const ENVIRONMENT = { SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: 'https://h.example', SEGMENT_REGION: 'eu' };

  test('says what the environment says', (t) => {
    useEnvironment(t, {});
    assert.deepEqual({ ...getEnvironmentConfig() }, {});
    assert.equal(getEnvironmentConfig().SEGMENT_WRITE_KEY, undefined);
    const config = getEnvironmentConfig(ENVIRONMENT);
    assert.equal(config.SEGMENT_WRITE_KEY, KEY);
    assert.deepEqual({ ...config }, { SEGMENT_HOST: 'https://h.example', SEGMENT_REGION: 'eu' });
  });

  test('is read from the environment of the process', (t) => {
    useEnvironment(t, { SEGMENT_WRITE_KEY: KEY, SEGMENT_REGION: 'eu' });
    const config = getEnvironmentConfig();
    assert.deepEqual([config.SEGMENT_WRITE_KEY, config.SEGMENT_REGION], [KEY, 'eu']);
  });

  test('does not show the key when it is logged, copied or inspected', () => {
    const config = getEnvironmentConfig(ENVIRONMENT);
    let printed = '';
    const stream = new Writable({
      write(chunk, _encoding, done) {
        printed += chunk;
        done();
      },
    });
    const console = new Console({ stdout: stream });
    console.log(config, [config], JSON.stringify({ config }));
    console.table(config);
    console.dir(config, { showHidden: true, depth: null });
    assert.match(printed, /h\.example/);
    assert.ok(!printed.includes(KEY));
    assertHidden(config, 'the configuration');
    assertHidden([{ ...config }, Object.assign({}, config), structuredClone(config)], 'a copy');
    assert.ok(!Object.keys(config).includes('SEGMENT_WRITE_KEY'));
  });
});

describe('a SegmentClient', () => {
  test('resolves identify() on acceptance, before anything is sent', async (t) => {
    const { segment, client } = await startClientPair(t, PATIENT);
    assert.equal(await client.identify(PAYLOAD), undefined);
    assert.equal(segment.requestCount, 0);
    assert.equal(await client.flush(), undefined);
    const [{ type, userId, traits }] = segment.events;
    assert.deepEqual({ type, userId, traits }, { type: 'identify', ...PAYLOAD });
  });

  for (const [what, params, code] of [
    ['without an id', { traits: {} }, 'ERR_VALIDATION'],
    ['that can not be written', { userId: 'u', traits: { n: 1n } }, 'ERR_NOT_SERIALIZABLE'],
    ['that is too large', { userId: 'u', traits: { n: 'n'.repeat(40_000) } }, 'ERR_EVENT_TOO_LARGE'],
    ['that is nothing', undefined, undefined],
  ]) {
    test(`rejects identify() of a call ${what}, and has nothing to tell of it afterwards`, async (t) => {
      const { segment, client } = await startClientPair(t, PATIENT);
      await assert.rejects(client.identify(params), (error) => {
        assert.ok(error instanceof Error);
        if (code !== undefined) assert.equal(error.code, code);
        return true;
      });
      await client.flush();
      assert.equal(segment.requestCount, 0);
    });
  }

  test('rejects flush() with the first failure, once, and delivers the others', async (t) => {
    const faults = [{ status: 400 }, { status: 403 }];
    const { segment, client } = await startClientPair(t, ONE_BY_ONE, { faults });
    for (const userId of ['refused', 'forbidden', 'fine']) await client.identify({ userId, traits: {} });
    await assert.rejects(client.flush(), { code: 'ERR_REJECTED', message: /^400 Bad Request/ });
    assert.deepEqual(
      segment.events.map(({ userId }) => userId),
      ['fine'],
    );
    await client.flush();
  });

  test('tells every flush() that waited for an event of its failure', async (t) => {
    const { client } = await startClientPair(t, PATIENT, { faults: [{ status: 400 }] });
    await client.identify(PAYLOAD);
    const told = await Promise.allSettled([client.flush(), client.flush()]);
    assert.deepEqual(
      told.map(({ reason }) => reason?.code),
      ['ERR_REJECTED', 'ERR_REJECTED'],
    );
    await client.flush();
  });

  test('tells of what failed before anybody asked', async (t) => {
    const faults = [{ status: 400 }, { status: 403 }];
    const { segment, client } = await startClientPair(t, ONE_BY_ONE, { faults });
    for (const userId of ['refused', 'forbidden', 'fine']) await client.identify({ userId, traits: {} });
    await segment.waitForEvents(1);
    await assert.rejects(client.flush(), { code: 'ERR_REJECTED' });
    await client.flush();
  });

  test('rejects flush() when Segment hangs, and goes on', async (t) => {
    const { segment, client } = await startClientPair(t, { callTimeout: 50 }, { faults: [{ hang: true }] });
    await client.identify(PAYLOAD);
    const timeout = { code: 'ERR_TIMEOUT', message: /^Network timeout: no answer within 50 ms/ };
    await assert.rejects(client.flush(), timeout);
    await segment.waitForRequests(1);
    await segment.pause();
    await segment.resume();
    await segment.waitForEvents(1);
    assert.equal(segment.duplicates().size, 0);
  });

  test('delivers on closeAndFlush() and accepts nothing more', async (t) => {
    const { segment, client } = await startClientPair(t, PATIENT);
    await client.identify(PAYLOAD);
    assert.equal(await client.closeAndFlush(), undefined);
    assert.equal(segment.eventCount, 1);
    await assert.rejects(client.identify(PAYLOAD), { code: 'ERR_CLOSED' });
    await client.closeAndFlush();
    assert.equal(segment.eventCount, 1);
  });

  test('takes the longest callTimeout at its word', async (t) => {
    const { segment, client } = await startClientPair(
      t,
      { callTimeout: NEVER_MS },
      { faults: [{ delayMs: 50 }] },
    );
    await client.identify(PAYLOAD);
    await client.closeAndFlush();
    assert.equal(segment.eventCount, 1);
  });

  test('rejects closeAndFlush() with the first failure', async (t) => {
    const { client } = await startClientPair(t, PATIENT, { faults: [{ status: 400 }] });
    await client.identify(PAYLOAD);
    await assert.rejects(client.closeAndFlush(), { code: 'ERR_REJECTED' });
  });
});
