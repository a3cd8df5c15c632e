/** Every option: what it may be, and what is said of what it may not be. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Analytics, AnalyticsError } from '@companion/segment';

import { KEY } from './support/clients.mjs';

const HOST = 'http://127.0.0.1:9';
const make = (settings) => new Analytics({ writeKey: KEY, host: HOST, ...settings });

function assertTaken(settings) {
  const analytics = make(settings);
  assert.equal(analytics.stats().accepted, 0);
  return analytics.closeAndFlush();
}

function assertRefused(settings, { code = 'ERR_OPTION_INVALID', field, limit, message }) {
  assert.throws(
    () => make(settings),
    (error) => {
      assert.ok(error instanceof AnalyticsError && error instanceof Error);
      const text = message ?? `The option ${field} must be ${limit}.`;
      assert.deepEqual([error.code, error.field, error.limit, error.message], [code, field, limit, text]);
      return true;
    },
  );
}

const FINITE = 'a finite number';
const NUMBERS = {
  maxRetries: {
    limit: 'a whole number of retries from 0 to 1000000',
    good: [0, 10, 1_000_000],
    bad: [-1, 1.5, 1_000_001],
  },
  flushAt: { limit: 'a whole number of events from 0 to 2500', good: [0, 1, 2_500], bad: [-1, 2.5, 2_501] },
  maxConcurrentRequests: {
    limit: 'a whole number of requests from 1 to 64',
    good: [1, 64],
    bad: [0, 65, 1.5],
  },
  maxQueueBytes: {
    limit: 'a whole number of bytes from 65536 to 68719476736',
    good: [65_536, 2 ** 36],
    bad: [65_535, 65_536.5, 2 ** 36 + 1],
  },
  flushInterval: {
    limit: 'a number of milliseconds from 0 to 2147483647',
    good: [0, 0.5, 2 ** 31 - 1],
    bad: [-1, 2 ** 31],
  },
  exitTimeout: {
    limit: 'a number of milliseconds from 0 to 2147483647',
    good: [0, 2 ** 31 - 1],
    bad: [-1, 2 ** 31],
  },
  httpRequestTimeout: {
    limit: 'a number of milliseconds from 1 to 2147483647',
    good: [1, 1.5, 2 ** 31 - 1],
    bad: [0, 0.5, -1, 2 ** 31],
  },
  maxEventAge: {
    limit: 'a number of milliseconds from 1 to 2147483647',
    good: [1, 2 ** 31 - 1],
    bad: [0, -1, 2 ** 31],
  },
  maxTotalBackoffDuration: {
    limit: 'a number of seconds from 0 to 2147483647',
    good: [0, 0.5, 43_200],
    bad: [-1, 2 ** 31],
  },
  maxRateLimitDuration: {
    limit: 'a number of seconds from 0 to 2147483647',
    good: [0, 0.5, 43_200],
    bad: [-1, 2 ** 31],
  },
};

describe('numbers', () => {
  for (const [field, { limit, good, bad }] of Object.entries(NUMBERS)) {
    for (const value of good) test(`${field}: ${value} is taken`, () => assertTaken({ [field]: value }));

    for (const value of [...bad, -5, 1e300, -1e300, Number.MAX_SAFE_INTEGER]) {
      test(`${field}: ${value} is refused with its bounds`, () => {
        assertRefused({ [field]: value }, { field, limit });
      });
    }

    for (const value of [Number.NaN, Infinity, -Infinity, '5', '', true, {}, [5], 5n, new Date(5), () => 5]) {
      test(`${field}: ${typeof value} ${String(value)} is no finite number`, () => {
        assertRefused({ [field]: value }, { field, limit: FINITE });
      });
    }
  }

  test('maxEventsInBatch stands for flushAt, with its bounds', async () => {
    assertRefused({ maxEventsInBatch: 'x' }, { field: 'maxEventsInBatch', limit: FINITE });
    assert.throws(() => make({ maxEventsInBatch: -1 }), { code: 'ERR_OPTION_INVALID' });
    await assertTaken({ maxEventsInBatch: 20 });
  });
});

describe('other kinds', () => {
  for (const field of ['disable', 'gzip', 'allowInsecureHost']) {
    for (const value of ['true', '', 0, 1, {}, []]) {
      test(`${field}: ${JSON.stringify(value)} is no switch`, () => {
        assertRefused({ [field]: value }, { field, limit: 'true or false' });
      });
    }
    test(`${field} is a switch`, async () => {
      await assertTaken({ [field]: true });
      await assertTaken({ [field]: false });
    });
  }

  for (const field of ['host', 'path', 'proxy']) {
    for (const value of [5, true, {}, [], new URL(HOST)]) {
      test(`${field}: ${typeof value} ${JSON.stringify(value)} is no text`, () => {
        assertRefused({ [field]: value }, { field, limit: 'a string' });
      });
    }
  }

  for (const [field, choices] of [
    ['region', ['us', 'eu']],
    ['overflow', ['drop-newest', 'drop-oldest']],
    ['logLevel', ['error', 'warn', 'info', 'debug', 'trace']],
  ]) {
    const limit = choices.map((choice) => `'${choice}'`).join(' or ');
    for (const value of ['', 'other', choices[0].toUpperCase(), 5, true, {}, [choices[0]]]) {
      test(`${field}: ${JSON.stringify(value)} is no choice`, () =>
        assertRefused({ [field]: value }, { field, limit }));
    }
    for (const value of choices) test(`${field}: ${value} is taken`, () => assertTaken({ [field]: value }));
  }

  for (const value of [5, 'fetch', {}, { makeRequest: 5 }, [], true]) {
    test(`httpClient: ${JSON.stringify(value)} sends nothing`, () => {
      const limit = 'a function like fetch or an object with makeRequest';
      assertRefused({ httpClient: value }, { field: 'httpClient', limit });
    });
  }

  for (const value of [
    5,
    'console',
    {},
    { error() {} },
    { error() {}, warn: 5 },
    { error() {}, warn() {} },
    true,
    [],
  ]) {
    test(`logger: ${typeof value} ${Object.keys(value)} writes nothing`, () => {
      const limit =
        'a pino, winston or Nest logger, or an object with error, warn, info and debug like console';
      assertRefused({ logger: value }, { field: 'logger', limit });
    });
  }

  for (const value of [5, 'properties.ssn', {}, [5], [''], ['a', null], true]) {
    test(`redact: ${JSON.stringify(value)} names nothing`, () => {
      const limit = "a function or an array of paths such as 'properties.ssn'";
      assertRefused({ redact: value }, { field: 'redact', limit });
    });
  }

  for (const value of ['SIGTERM', ['SIGKILL'], ['SIGTERM', 'sigint'], [5], [null], {}, true]) {
    test(`flushOnSignal: ${JSON.stringify(value)} is no list of signals`, () => {
      const limit = "an array of 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGBREAK'";
      assertRefused({ flushOnSignal: value }, { field: 'flushOnSignal', limit });
    });
  }

  for (const value of ['', 'nope', 'ftp://proxy.example', 'socks5://proxy.example', 'proxy.example:3128']) {
    test(`proxy: '${value}' is no HTTP proxy`, () => {
      const limit = "an http or https URL such as http://proxy.internal:3128, or 'environment'";
      assertRefused({ proxy: value }, { field: 'proxy', limit });
    });
  }

  for (const value of [5, {}, [5], [Buffer.alloc(1), 5], true]) {
    test(`ca: ${JSON.stringify(value)} is no PEM`, () => {
      assertRefused({ ca: value }, { field: 'ca', limit: 'PEM text, a Buffer, or an array of them' });
    });
  }

  for (const value of ['', 'nope', Buffer.from('nope'), []]) {
    test(`ca: '${value}' holds no certificate`, () => {
      assertRefused(
        { ca: value },
        { field: 'ca', limit: 'one or more PEM certificates (BEGIN CERTIFICATE)' },
      );
    });
  }

  test('ca: a broken certificate is refused', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nbm9wZQ==\n-----END CERTIFICATE-----\n';
    assertRefused({ ca: [broken] }, { field: 'ca', limit: 'one or more valid PEM certificates' });
  });
});

describe('unknown options', () => {
  const text = (name, hint) => `Unknown option ${name}.${hint} The README lists all options.`;
  for (const [name, hint] of [
    ['flushat', ' Did you mean flushAt?'],
    ['writekey', ' Did you mean writeKey?'],
    ['HTTPClient', ' Did you mean httpClient?'],
    ['retries', ''],
    ['constructor', ''],
    ['toString', ''],
  ]) {
    test(`${name} is refused${hint && ' with a hint'}`, () => {
      assertRefused({ [name]: 1 }, { field: name, limit: undefined, message: text(name, hint) });
    });
  }

  test('__proto__ is refused like any other', () => {
    const settings = Object.assign(JSON.parse('{"__proto__":{"disable":true}}'), {
      writeKey: KEY,
      host: HOST,
    });
    const expected = { code: 'ERR_OPTION_INVALID', field: '__proto__', message: text('__proto__', '') };
    assert.throws(() => new Analytics(settings), expected);
  });

  test('one that is undefined or null is not there', () => assertTaken({ retries: undefined, other: null }));
});

test('null and undefined mean: not given, for every option', async () => {
  const known = Object.keys(NUMBERS).concat([
    'path',
    'proxy',
    'disable',
    'gzip',
    'allowInsecureHost',
    'region',
  ]);
  const names = known.concat([
    'overflow',
    'logLevel',
    'maxEventsInBatch',
    'httpClient',
    'logger',
    'redact',
    'flushOnSignal',
    'ca',
  ]);
  for (const nothing of [null, undefined]) {
    await assertTaken(Object.fromEntries(names.map((name) => [name, nothing])));
  }
});

describe('write key', () => {
  const missing = { code: 'ERR_WRITE_KEY_MISSING', field: 'writeKey', limit: undefined };
  for (const writeKey of [undefined, null, '']) {
    test(`${JSON.stringify(writeKey)} is missing, in the words of analytics-node`, () => {
      assertRefused({ writeKey }, { ...missing, message: 'writeKey writeKey is missing.' });
    });
  }

  for (const writeKey of [' ', '\t\n', '\u00a0\u2003']) {
    test(`${JSON.stringify(writeKey)} is blank`, () => {
      assertRefused({ writeKey }, { ...missing, message: 'Write key cannot be empty or whitespace only' });
    });
  }

  for (const writeKey of [5, 0, true, false, {}, [KEY], new String(KEY)]) {
    test(`${typeof writeKey} ${JSON.stringify(writeKey)} is no text`, () => {
      assertRefused({ writeKey }, { field: 'writeKey', limit: 'a string' });
    });
  }

  for (const settings of [undefined, null, KEY, 5]) {
    test(`settings that are ${settings} have none`, () => {
      const message = 'writeKey writeKey is missing.';
      assert.throws(() => new Analytics(settings), {
        code: 'ERR_WRITE_KEY_MISSING',
        field: 'writeKey',
        message,
      });
    });
  }

  test('it is looked at before anything else', () => {
    const message = 'writeKey writeKey is missing.';
    assertRefused({ writeKey: undefined, flushAt: -1, other: 1 }, { ...missing, message });
  });
});
