/** Who can read the spool, what is never in it, and encryption at rest. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, renameSync, symlinkSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, test } from 'node:test';

import { failuresOf, messageIdsOf, startSegment, trackMany } from './support/clients.mjs';
import { endBy } from './support/programs.mjs';
import {
  digestOf,
  isIn,
  makeSpool,
  recoverAll,
  runSpooling,
  segmentFiles,
  untilEmpty,
  untilStats,
  walk,
} from './support/spools.mjs';

const SECRET = 'planted-customer@example.test';
const WRITE_KEY = 'planted-write-key-e8b1';

/** Delivers `goes`, refuses `refused`, and never answers what has `stays`. */
const PICKY = {
  poison: ({ messageId }) => messageId === 'refused',
  faults: [
    {
      hang: true,
      times: Infinity,
      when: ({ messageIds }) => messageIds.includes('stays'),
    },
  ],
};

/** Whether this is a dead letter. */
const isLetter = ({ path }) => path.split(sep).includes('dead');

/** Leaves one of each kind of file: a segment, its acknowledgements, a dead letter, a lock. */
const leaveAll = async ({ make, wait, argument: { umask, secret, spool } }) => {
  const files = await import('node:fs');
  process.umask(umask);
  const analytics = make({ flushAt: 1, maxConcurrentRequests: 4 });
  for (const messageId of ['stays', 'refused', 'goes'])
    analytics.track({ userId: 'u1', event: 'e', messageId, properties: { secret } });
  await wait(() => {
    const { delivered, dropped } = analytics.stats();
    return delivered + dropped.rejected === 2;
  });
  // That is noted on disk a moment later: ranges of two numbers, with a checksum.
  await wait(() => {
    const notes = files.readdirSync(spool, { recursive: true }).filter((name) => name.endsWith('.ack'));
    const bytes = Buffer.concat(notes.map((name) => files.readFileSync(`${spool}/${name}`)));
    let noted = 0n;
    for (let at = 0; at < bytes.length; at += 20)
      noted += bytes.readBigUInt64LE(at + 8) - bytes.readBigUInt64LE(at) + 1n;
    return noted === 2n;
  });
  process.kill(process.pid, 'SIGKILL');
};

async function leaveAllIn(t, spool, settings, umask = 0o022) {
  const segment = await startSegment(t, PICKY);
  const argument = { umask, secret: SECRET };
  const { signal, stderr } = await runSpooling(t, spool, segment, leaveAll, { argument, settings });
  assert.deepEqual([signal, stderr], [endBy('SIGKILL').signal, '']);
  const items = walk(spool.directory);
  const kinds = items.map(({ path, name }) =>
    isLetter({ path }) ? 'dead' : name.replace(/^.*\.|^.*-.*$/, ''),
  );
  for (const kind of ['seg', 'ack', 'lock', 'dead']) assert.ok(kinds.includes(kind), `${kind} in ${kinds}`);
  return { items, segment };
}

describe('files are for nobody else', { concurrency: 2 }, () => {
  for (const umask of [0, 0o022, 0o077, 0o777]) {
    test(`files 0600 and directories 0700 with umask 0${umask.toString(8)}`, async (t) => {
      const spool = makeSpool(t);
      const { items } = await leaveAllIn(t, spool, {}, umask);
      const modes = [{ isDirectory: true, mode: lstatSync(spool.directory).mode & 0o777 }, ...items];
      for (const { isDirectory, mode, path } of modes) assert.equal(mode, isDirectory ? 0o700 : 0o600, path);
    });
  }

  test('the next process can use what one with umask 0777 left', async (t) => {
    const spool = makeSpool(t);
    await leaveAllIn(t, spool, {}, 0o777);
    const segment = await startSegment(t);
    await recoverAll(spool, segment, 1);
    assert.deepEqual(messageIdsOf(segment.events), ['stays']);
  });
});

describe('what is in the files', { concurrency: 2 }, () => {
  test('the search of these tests finds a text however it is written', () => {
    for (const text of [SECRET, WRITE_KEY, 'Basic']) {
      for (const prefix of ['', 'x', 'xy', 'xyz']) {
        for (const encoding of ['utf8', 'base64', 'hex', 'base64url', 'utf16le']) {
          const bytes = Buffer.from(`${prefix}${text}${prefix}!`);
          const written =
            encoding === 'utf16le'
              ? Buffer.from(bytes.toString(), encoding)
              : Buffer.from(bytes.toString(encoding));
          assert.ok(isIn(written, text), `${text} in ${encoding} behind ${prefix}`);
        }
      }
    }
    assert.ok(!isIn(Buffer.from('something else'), SECRET));
  });

  for (const [what, encryptionKey] of [
    ['plain', undefined],
    ['encrypted', randomBytes(32).toString('base64')],
  ]) {
    test(`neither write key, host nor authorization, in ${what} files or their names`, async (t) => {
      const spool = makeSpool(t);
      const { items, segment } = await leaveAllIn(t, spool, {
        writeKey: WRITE_KEY,
        spool: { directory: spool.directory, encryptionKey },
      });
      const needles = [WRITE_KEY, new URL(segment.url).host, '127.0.0.1', 'uthorization', 'Basic'];
      for (const { path, bytes } of items) {
        const name = Buffer.from(path.slice(spool.directory.length));
        for (const needle of needles) {
          assert.ok(!isIn(name, needle), `${needle} in the name ${path}`);
          assert.ok(bytes === undefined || !isIn(bytes, needle), `${needle} in ${path}`);
        }
      }
      assert.ok(
        items.some(({ name }) => name === digestOf(WRITE_KEY)),
        'a digest stands for it',
      );
    });
  }

  test('customer data is there without encryptionKey and in no file with one, dead letters included', async (t) => {
    for (const encryptionKey of [undefined, randomBytes(32).toString('hex')]) {
      const spool = makeSpool(t);
      const { items } = await leaveAllIn(t, spool, { spool: { directory: spool.directory, encryptionKey } });
      const isPlain = encryptionKey === undefined;
      const files = items.filter(({ name }) => name.endsWith('.seg'));
      for (const [messageId, { path, bytes }] of [
        ['stays', files.find((file) => !isLetter(file))],
        ['refused', files.find(isLetter)],
      ]) {
        for (const text of [SECRET, 'secret', messageId, 'messageId'])
          assert.equal(isIn(bytes, text), isPlain, `${text} in ${path}`);
      }
      const all = items.filter(({ bytes }) => bytes !== undefined);
      assert.equal(
        all.some(({ bytes }) => isIn(bytes, SECRET)),
        isPlain,
      );
    }
  });
});

describe('keys', { concurrency: 2 }, () => {
  const key = randomBytes(32);
  const other = randomBytes(32);

  /** Leaves three events under these keys. */
  async function leaveUnder(t, spool, encryptionKey) {
    const segment = await startSegment(t);
    await segment.pause();
    const analytics = spool.open(segment, { spool: { encryptionKey } });
    trackMany(analytics, 3);
    assert.equal((await analytics.closeAndFlush({ timeout: 0 })).spooled, 3);
    await segment.resume();
    return segment;
  }

  for (const [what, given] of [
    ['a Buffer', key],
    ['a Uint8Array', new Uint8Array(key)],
    ['base64', key.toString('base64')],
    ['base64url', key.toString('base64url')],
    ['hex', key.toString('hex')],
    ['hex in capitals', key.toString('hex').toUpperCase()],
    ['a function', () => key],
    ['a function that returns several', () => [key.toString('hex'), other]],
    ['a list', [key]],
  ]) {
    test(`may be given as ${what}`, async (t) => {
      const spool = makeSpool(t);
      await leaveUnder(t, spool, given);
      assert.ok(segmentFiles(spool.source).every(({ bytes }) => !isIn(bytes, 'Ordered')));
      const segment = await startSegment(t);
      await recoverAll(spool, segment, 3, { spool: { encryptionKey: key } });
      assert.equal(segment.eventCount, 3);
    });
  }

  test('rotation: the new key writes, and what the old one wrote is delivered', async (t) => {
    const spool = makeSpool(t);
    const segment = await leaveUnder(t, spool, key);
    await segment.pause();
    const rotated = spool.open(segment, { spool: { encryptionKey: [other, key] } });
    await untilStats(rotated, 'the old ones are recovered', ({ recovered }) => recovered === 3);
    trackMany(rotated, 2, 'new');
    assert.equal((await rotated.closeAndFlush({ timeout: 0 })).spooled, 5);
    await segment.resume();
    const withNew = spool.open(segment, { spool: { encryptionKey: other }, flushInterval: 1 });
    await untilStats(
      withNew,
      'the new ones are delivered',
      ({ delivered, locked }) => delivered === 2 && locked === 1,
    );
    await withNew.closeAndFlush();
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['new0', 'new1']);
    await recoverAll(spool, segment, 3, { spool: { encryptionKey: [randomBytes(32), other, key] } });
    assert.equal(segment.eventCount, 5);
    await untilEmpty(spool);
  });

  test('a function is called once', async (t) => {
    let calls = 0;
    const analytics = makeSpool(t).open(await startSegment(t), {
      spool: { encryptionKey: () => ((calls += 1), key) },
    });
    trackMany(analytics, 5);
    await analytics.closeAndFlush();
    assert.equal(calls, 1);
  });

  for (const [what, encryptionKey] of [
    ['no key', undefined],
    ['the wrong key', other],
  ]) {
    test(`with ${what}, files are kept and told of, and delivered once the right one is given`, async (t) => {
      const spool = makeSpool(t);
      const segment = await leaveUnder(t, spool, key);
      const before = segmentFiles(spool.source).map(({ path }) => path);
      const lines = [];
      const write = (level) => (message, fields) => lines.push({ level, message, fields });
      const logger = {
        error: write('error'),
        warn: write('warn'),
        info: write('info'),
        debug: write('debug'),
      };
      const blind = spool.open(segment, { logger, spool: { encryptionKey } });
      const failures = failuresOf(blind);
      const stats = await untilStats(blind, 'it has looked', ({ orphans }) => orphans === 0);
      assert.deepEqual([stats.locked, stats.recovered, stats.accepted], [1, 0, 0]);
      trackMany(blind, 2, 'own');
      assert.equal((await blind.closeAndFlush()).delivered, 2, 'what is its own is delivered');
      assert.ok(
        lines.some(({ level, message }) => level === 'warn' && /encrypted with a key.*kept/.test(message)),
      );
      for (const form of ['base64', 'hex', 'latin1']) {
        const shown = JSON.stringify([lines, stats]);
        assert.ok(!shown.includes(key.toString(form)) && !shown.includes(other.toString(form)));
      }
      assert.deepEqual(failures, []);
      assert.deepEqual(
        segmentFiles(spool.source).map(({ path }) => path),
        before,
      );
      await recoverAll(spool, segment, 3, { spool: { encryptionKey: [other, key] } });
      assert.deepEqual(messageIdsOf(segment.events).toSorted(), ['m0', 'm1', 'm2', 'own0', 'own1']);
      await untilEmpty(spool);
    });
  }

  test('what was written before there was a key is delivered too', async (t) => {
    const spool = makeSpool(t);
    const segment = await leaveUnder(t, spool, undefined);
    await recoverAll(spool, segment, 3, { spool: { encryptionKey: key } });
    assert.equal(segment.eventCount, 3);
  });
});

describe('symbolic links are not followed', { concurrency: 2 }, () => {
  test('as source directory: nothing is written there, and delivery goes on from memory', async (t) => {
    const segment = await startSegment(t);
    const spool = makeSpool(t);
    const elsewhere = join(spool.root, 'elsewhere');
    mkdirSync(elsewhere);
    mkdirSync(spool.directory);
    symlinkSync(elsewhere, spool.source);
    const analytics = spool.open(segment);
    trackMany(analytics, 3);
    assert.equal(analytics.stats().spool, 'degraded');
    assert.equal((await analytics.closeAndFlush()).delivered, 3);
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  test('as dead/: a refused event is written nowhere else', async (t) => {
    const segment = await startSegment(t, { poison: () => true });
    const spool = makeSpool(t);
    const elsewhere = join(spool.root, 'elsewhere');
    mkdirSync(elsewhere);
    const analytics = spool.open(segment);
    symlinkSync(elsewhere, join(spool.source, 'dead'));
    trackMany(analytics, 1);
    assert.equal((await analytics.closeAndFlush()).dropped.rejected, 1);
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  /** A sound segment of an ended process, somewhere else. */
  async function plant(t) {
    const spool = makeSpool(t);
    const segment = await startSegment(t);
    const analytics = spool.open(segment);
    trackMany(analytics, 1);
    await analytics.closeAndFlush({ timeout: 0 });
    return { spool, segment };
  }
  for (const [what, link] of [
    ['as the directory of an ended process', (home, moved) => symlinkSync(moved, home)],
    [
      'as a file of an ended process',
      (home, moved) => {
        mkdirSync(home);
        for (const name of readdirSync(moved)) symlinkSync(join(moved, name), join(home, name));
      },
    ],
  ]) {
    test(`${what}: what is behind it is neither sent nor removed`, async (t) => {
      const { spool, segment } = await plant(t);
      const [name] = readdirSync(spool.source);
      const moved = join(spool.root, 'elsewhere');
      renameSync(join(spool.source, name), moved);
      link(join(spool.source, name), moved);
      const analytics = spool.open(segment, { flushInterval: 1 });
      const stats = await untilStats(analytics, 'it has looked', ({ orphans }) => orphans === 0);
      assert.deepEqual([stats.recovered, stats.spool], [0, 'ready']);
      trackMany(analytics, 1, 'own');
      await analytics.closeAndFlush();
      assert.deepEqual(messageIdsOf(segment.events), ['own0']);
      assert.equal(segmentFiles(moved).length, 1);
    });
  }
});
