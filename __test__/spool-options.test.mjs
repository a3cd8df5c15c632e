/** The option `spool`: what it may be, what is said of what it may not be, and who gets to see it. */
import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { Analytics } from '@companion/segment';

import { KEY, startClient, startSegment, trackMany } from './support/clients.mjs';
import { digestOf, makeSpool, segmentFiles, walk } from './support/spools.mjs';

const SHAPE = 'a directory, or { directory, durability, maxBytes, encryptionKey }';
const NOWHERE = join(tmpdir(), `companion-segment-nowhere-${process.pid}`);

describe('what the option takes', () => {
  for (const [what, settingOf] of [
    ['a directory', (directory) => directory],
    ['an object', (directory) => ({ directory })],
    [
      'an object with everything',
      (directory) => ({ directory, durability: 'power', maxBytes: 2 ** 20, encryptionKey: Buffer.alloc(32) }),
    ],
    [
      'members that are undefined',
      (directory) => ({ directory, durability: undefined, maxBytes: undefined }),
    ],
  ]) {
    test(`${what}; the directory is made where it is missing`, async (t) => {
      const segment = await startSegment(t);
      const spool = makeSpool(t);
      const deep = join(spool.directory, 'made', 'for', 'it');
      const analytics = startClient(t, segment, { spool: settingOf(deep) });
      trackMany(analytics, 1);
      assert.equal(analytics.stats().spool, 'ready');
      assert.equal(segmentFiles(join(deep, digestOf(KEY))).length, 1);
      await analytics.closeAndFlush();
    });
  }

  test('null and undefined: no spool', async (t) => {
    const segment = await startSegment(t);
    for (const spool of [null, undefined]) {
      assert.equal(startClient(t, segment, { spool }).stats().spool, 'off');
    }
  });

  test('SEGMENT_SPOOL_DIR for fromEnvironment; code beats environment, an empty one is none', async (t) => {
    const segment = await startSegment(t);
    const [environment, code] = [makeSpool(t), makeSpool(t)];
    const env = {
      SEGMENT_WRITE_KEY: KEY,
      SEGMENT_HOST: segment.url,
      SEGMENT_SPOOL_DIR: environment.directory,
    };
    const made = [
      Analytics.fromEnvironment({}, env),
      Analytics.fromEnvironment({ spool: { directory: code.directory } }, env),
      Analytics.fromEnvironment({}, { ...env, SEGMENT_SPOOL_DIR: '' }),
    ];
    assert.deepEqual(
      [environment, code].map(({ source }) => walk(source).length),
      [2, 2],
    );
    assert.deepEqual(
      made.map((analytics) => analytics.stats().spool),
      ['ready', 'ready', 'off'],
    );
    for (const analytics of made) await analytics.closeAndFlush();
  });

  const secret = Buffer.from('planted-encryption-key-31-bytes');
  const long = Buffer.concat([secret, secret]).subarray(0, 33);
  const KEYS =
    '32 random bytes: a Uint8Array, base64 or hex text, an array of them, or a function that returns them';
  const BYTES = 'a whole number of bytes from 1048576 to 1099511627776';
  const WRONG = [
    ['directory', 'the path of a local directory', ['', ' ', 5, null, undefined, 'a\0b']],
    ['durability', "'process' or 'power'", ['disk', '', 'POWER', 5, true]],
    ['maxBytes', 'a finite number', ['1048576', Number.NaN, Infinity, {}, true]],
    ['maxBytes', BYTES, [2 ** 20 - 1, 2 ** 40 + 1, 2 ** 20 + 0.5, 0, -1]],
    ['encryptionKey', KEYS, [secret, secret.toString('base64'), secret.toString('hex'), secret.toString()]],
    ['encryptionKey', KEYS, [long, long.toString('base64'), '', 5, {}, new Uint16Array(16)]],
    ['encryptionKey', KEYS, [[Buffer.alloc(32), secret], [secret.toString('hex')], () => secret, () => '']],
    // Whoever gives this wants encryption: nothing may be written as plain text.
    ['encryptionKey', KEYS, [[], () => [], () => undefined, () => null, [undefined]]],
    ['dir', 'one of directory, durability, maxBytes, encryptionKey', ['x']],
  ];
  const whole = WRONG[0][2].slice(0, 2).map((text) => ['directory', WRONG[0][1], text]);
  const kinds = [5, true, ['x'], () => 'x'].map((value) => ['', SHAPE, value]);
  const members = WRONG.flatMap(([member, limit, values]) =>
    values.map((value) => [member, limit, { directory: NOWHERE, [member]: value }]),
  );
  for (const [member, limit, spool] of [...whole, ...kinds, ...members]) {
    const shown = inspect(member === '' ? spool : (spool[member] ?? spool), { breakLength: Infinity });
    const field = member === '' ? 'spool' : `spool.${member}`;
    test(`not ${shown} as ${field}: the error says what it may be, and shows no key`, (t) => {
      t.after(() => rmSync(NOWHERE, { recursive: true, force: true }));
      assert.throws(
        () => new Analytics({ writeKey: KEY, host: 'http://127.0.0.1:9', spool }),
        (error) => {
          assert.deepEqual([error.code, error.field, error.limit], ['ERR_OPTION_INVALID', field, limit]);
          assert.equal(error.message, `The option ${field} must be ${limit}.`);
          for (const form of ['utf8', 'base64', 'hex'])
            assert.ok(!inspect(error).includes(secret.toString(form)));
          return true;
        },
      );
      assert.ok(!existsSync(NOWHERE), 'nothing was made');
    });
  }

  test('`initialize` listeners see the spool without its key', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const shown = [];
    class Watched extends Analytics {
      emit(event, ...args) {
        if (event === 'initialize') shown.push(...args);
        return super.emit(event, ...args);
      }
    }
    const settings = { directory: spool.directory, maxBytes: 2 ** 21 };
    const both = [{ ...settings, encryptionKey: Buffer.alloc(32, 7) }, spool.directory];
    for (const setting of both) {
      await new Watched({ writeKey: KEY, host: segment.url, spool: setting }).closeAndFlush();
    }
    assert.deepEqual(
      shown.map(({ spool: seen }) => seen),
      [settings, { directory: spool.directory }],
    );
  });
});
