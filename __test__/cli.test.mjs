// oxlint-disable max-lines -- one command line, and the spools that all of its tests need
/** `companion-segment spool ...`: the real command line on spools that killed processes left. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { messageIdsOf, startSegment } from './support/clients.mjs';
import { endBy, runProgram } from './support/programs.mjs';

const require = createRequire(import.meta.url);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MANIFEST = require('@companion/segment/package.json');
const CLI = join(ROOT, MANIFEST.bin['companion-segment']);

const KEY = 'write-key-canary';
const OTHER_KEY = 'other-write-key-canary';
const ENCRYPTION_KEY = Buffer.alloc(32, 7).toString('base64');
const digestOf = (writeKey) => createHash('sha256').update(writeKey).digest('hex').slice(0, 16);
const [SOURCE, OTHER_SOURCE] = [KEY, OTHER_KEY].map(digestOf);
/** Nothing of these clients leaves by itself. */
const CLIENT = { host: 'http://127.0.0.1:9', flushAt: 2_500, flushInterval: 2_147_483_647 };

/** Lets a pipe pass for a terminal. */
const ON_TERMINAL = ['--import', 'data:text/javascript,process.stdout.isTTY=process.stderr.isTTY=true'];
const ESCAPE = '\u001B[';

function startCli(t, args, env = {}, nodeOptions = []) {
  const foreign = /^(?:SEGMENT_|NO_COLOR$|FORCE_COLOR$|NODE_OPTIONS$)/;
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn(process.execPath, [...nodeOptions, CLI, ...args], {
    env: { ...inherited, ...env },
    stdio,
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function endOf(child) {
  const streams = [child.stdout, child.stderr].map((stream) => text(stream));
  const [stdout, stderr, [code]] = await Promise.all([...streams, once(child, 'exit')]);
  return { code, stdout, stderr };
}

const cli = (t, args, env, nodeOptions) => endOf(startCli(t, args, env, nodeOptions));
const spool = (t, command, directory, args = [], env = {}) =>
  cli(t, ['spool', command, directory, ...args], env);
async function spoolJson(t, command, directory, args = [], env = {}) {
  const ended = await spool(t, command, directory, ['--json', ...args], env);
  return { ...ended, document: JSON.parse(ended.stdout) };
}

const drainEnv = (segment, more) => ({ SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: segment.url, ...more });
const linesOf = (stdout) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const waitingIn = async (t, directory) => (await spoolJson(t, 'list', directory)).document.totals.waiting;

function temporaryDirectory(t) {
  const directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), 'companion-segment-cli-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Tracks events that nobody sends, and dies of SIGKILL. Each process is an instance with a segment of its own. */
async function leaveBehind(t, directory, { prefix = 'a', count = 3, writeKey = KEY, encryptionKey } = {}) {
  const program = ({ Analytics }, { settings, messageIds }) => {
    const analytics = new Analytics(settings);
    const properties = { customer: 'customer-canary', filler: 'x'.repeat(200) };
    for (const messageId of messageIds) {
      if (!analytics.track({ userId: 'u1', event: 'Ordered', messageId, properties }))
        throw new Error('refused');
    }
    process.kill(process.pid, 'SIGKILL');
  };
  const messageIds = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  const settings = { ...CLIENT, writeKey, spool: { directory, encryptionKey } };
  const { signal, stderr } = await runProgram(t, program, { settings, messageIds });
  assert.deepEqual([signal, stderr], [endBy('SIGKILL').signal, '']);
  return messageIds;
}

/** A spool that one process has left three events in. */
async function leftSpool(t, options) {
  const directory = temporaryDirectory(t);
  const messageIds = await leaveBehind(t, directory, options);
  const [path] = segmentsIn(directory);
  return { directory, messageIds, path };
}

/** A process that lives and has tracked so many events. It stands still, or it would take over what others leave. */
async function holdOpen(t, directory, count) {
  const settings = JSON.stringify({ ...CLIENT, writeKey: KEY, spool: directory });
  const source = `
    const analytics = new (require('@companion/segment').Analytics)(${settings});
    for (let index = 0; index < ${count}; index += 1) analytics.track({ userId: 'u1', event: 'Held' });
    process.stdout.write('ready');
    setInterval(() => analytics, 1_000);
  `;
  const child = spawn(process.execPath, ['--eval', source], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(() => assert.fail('it has not lived'));
  await Promise.race([once(child.stdout, 'data'), ended]);
  child.kill('SIGSTOP');
}

function segmentsIn(directory) {
  const names = fs.readdirSync(directory, { recursive: true });
  return names.filter((name) => name.endsWith('.seg')).map((name) => join(directory, name));
}

function crc32c(...parts) {
  let crc = ~0;
  for (const byte of Buffer.concat(parts)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

const edit = (change) => (path) => {
  const bytes = fs.readFileSync(path);
  change(bytes);
  fs.writeFileSync(path, bytes);
};
const HEADER = 64;
const damageHeader = edit((bytes) => (bytes[20] ^= 1));
const damageRecord = edit((bytes) => (bytes[HEADER + 40] ^= 1));
const tear = (path) => fs.truncateSync(path, fs.readFileSync(path).length - 7);
const makeNewer = edit((bytes) => {
  bytes.writeUInt16LE(2, 8);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, HEADER - 4)), HEADER - 4);
});
/** As if the first event had been accepted then. */
const backdate = (acceptedAt) =>
  edit((bytes) => {
    const end = HEADER + 25 + bytes.readUInt32LE(HEADER);
    bytes.writeBigUInt64LE(BigInt(acceptedAt), HEADER + 16);
    const checksum = crc32c(bytes.subarray(HEADER, HEADER + 4), bytes.subarray(HEADER + 8, end));
    bytes.writeUInt32LE(checksum, HEADER + 4);
  });

function assertExplained({ code, stdout, stderr }, expected) {
  assert.deepEqual([code, stdout], [2, ''], stderr);
  assert.match(stderr, expected);
  assert.match(stderr, /^error: .*\n(?:usage: .*\n)?$/, 'no stack trace');
}

describe('spool list', { concurrency: 2 }, () => {
  test('shows instances and sources, and who has them', async (t) => {
    const directory = temporaryDirectory(t);
    await holdOpen(t, directory, 4);
    await leaveBehind(t, directory, { count: 1_200 });
    await leaveBehind(t, directory, { count: 2, writeKey: OTHER_KEY, encryptionKey: ENCRYPTION_KEY });
    const { code, document, stderr } = await spoolJson(t, 'list', directory);
    assert.deepEqual([code, stderr, document.directory], [0, '', directory]);
    const rows = document.instances.map(({ source, state, segments, events, encrypted }) =>
      [source, state, segments, events, encrypted].join(' '),
    );
    const expected = [
      `${SOURCE} held 1 4 false`,
      `${SOURCE} waiting 1 1200 false`,
      `${OTHER_SOURCE} waiting 1 2 true`,
    ];
    assert.deepEqual(rows.sort(), expected.sort());
    const other = document.instances.find(({ source }) => source === OTHER_SOURCE);
    assert.match(other.keyIds.join(), /^[0-9a-f]{16}$/);
    assert.ok(Math.abs(Date.now() - other.oldestAt) < 3_600_000);
    const bytes = document.instances.reduce((total, row) => total + row.bytes, 0);
    const totals = { sources: 2, segments: 3, bytes, waiting: 1_202, held: 4, deadLetters: 0, damaged: 0 };
    assert.deepEqual(document.totals, totals);

    const { stdout: table } = await spool(t, 'list', directory);
    assert.match(table, /^source +instance +state +segments +events +size +oldest +encrypted\n/);
    assert.match(table, new RegExp(`\n${SOURCE} .* waiting +1 +1,200 +[\\d.]+ kB .* no\n`));
    assert.match(table, new RegExp(`\n${OTHER_SOURCE} .* yes, key ${other.keyIds[0]}\n`));
    assert.match(table, /\n1,202 events waiting, 4 held by running processes, 0 dead letters; 3 segments/);

    const one = await spoolJson(t, 'list', directory, ['--source', OTHER_SOURCE.toUpperCase()]);
    assert.deepEqual(one.document.instances, [other]);
  });

  test('finds nothing in an empty directory, or in strange files', async (t) => {
    const directory = temporaryDirectory(t);
    const fill = () => {
      fs.writeFileSync(join(directory, 'notes.txt'), 'hello');
      fs.writeFileSync(join(directory, '0123456789abcdef'), 'a file, no source');
      fs.mkdirSync(join(directory, 'fedcba9876543210', 'lost+found'), { recursive: true });
      fs.writeFileSync(join(directory, 'fedcba9876543210', 'stray'), '');
    };
    for (const prepare of [() => {}, fill]) {
      prepare();
      const { code, document, stderr } = await spoolJson(t, 'list', directory);
      assert.deepEqual([code, stderr, document.instances, document.totals.segments], [0, '', [], 0]);
      const { stdout } = await cli(t, ['spool', 'list'], { SEGMENT_SPOOL_DIR: directory });
      assert.equal(stdout, `Nothing is in the spool ${directory}.\n`);
      assert.equal((await spool(t, 'verify', directory)).stdout, '0 segments, 0 events, 0 B: all sound\n');
      assert.equal((await spool(t, 'export', directory)).stdout, '');
    }
  });
});

describe('spool verify', { concurrency: 2 }, () => {
  const fileOf = (events, damaged, tornBytes, problem = null) => ({ events, damaged, tornBytes, problem });
  for (const [what, change, code, expected] of [
    ['sound', () => {}, 0],
    ['a torn end', tear, 0, fileOf(2, 0)],
    ['a header that was never finished', (path) => fs.truncateSync(path, 30), 0, fileOf(0, 0, 30)],
    ['a damaged record', damageRecord, 1, fileOf(2, 1, 0)],
    ['a damaged header', damageHeader, 1, fileOf(3, 0, 0, 'the header is damaged')],
    ['a newer version', makeNewer, 1, fileOf(0, 0, 0, 'written by a newer version')],
    [
      'garbage',
      (path) => fs.writeFileSync(path, 'x'.repeat(999)),
      1,
      fileOf(0, 1, 0, 'the header is damaged'),
    ],
  ]) {
    test(`finds ${what}`, async (t) => {
      const { directory, path } = await leftSpool(t);
      change(path);
      const { document, ...ended } = await spoolJson(t, 'verify', directory);
      assert.deepEqual([ended.code, ended.stderr, document.sound], [code, '', code === 0]);
      const human = await spool(t, 'verify', directory);
      assert.equal(human.code, code);
      assert.match(human.stdout, code === 0 ? /: all sound\n$/ : /: damage in 1 file\n$/);
      const files = document.files.map(({ events, damaged, tornBytes, problem }) =>
        // How much is left of a torn record does not matter.
        fileOf(events, damaged, expected.tornBytes === undefined ? undefined : tornBytes, problem),
      );
      assert.deepEqual(files, expected === undefined ? [] : [expected]);
      if (files.length > 0) assert.ok(human.stdout.startsWith(`${path}\n  `));
    });
  }
});

describe('spool export', { concurrency: 2 }, () => {
  test('writes every undelivered event and changes nothing', async (t) => {
    const directory = temporaryDirectory(t);
    await holdOpen(t, directory, 2);
    const own = await leaveBehind(t, directory, { count: 50 });
    const others = await leaveBehind(t, directory, { prefix: 'b', writeKey: OTHER_KEY });
    const before = await spoolJson(t, 'list', directory);
    const { code, stdout, stderr } = await spool(t, 'export', directory);
    assert.equal(code, 0);
    assert.match(stderr, /^55 events exported from 3 segments\n2 of them are held by running processes/);
    const told = linesOf(stdout).filter(({ event }) => event === 'Ordered');
    assert.deepEqual(messageIdsOf(told).sort(), [...own, ...others].sort());
    assert.equal(told[0].properties.customer, 'customer-canary');
    const some = await spool(t, 'export', directory, ['--source', OTHER_SOURCE]);
    assert.deepEqual(messageIdsOf(linesOf(some.stdout)), others);
    assert.deepEqual((await spoolJson(t, 'list', directory)).document, before.document);
  });

  test('decrypts with the keys of the environment, and says what it could not decrypt', async (t) => {
    const { directory, messageIds: plain } = await leftSpool(t);
    const sealed = await leaveBehind(t, directory, { prefix: 'b', encryptionKey: ENCRYPTION_KEY });
    const without = await spool(t, 'export', directory);
    assert.deepEqual([without.code, messageIdsOf(linesOf(without.stdout))], [1, plain]);
    assert.match(without.stderr, /3 events left out: encrypted with a key \([0-9a-f]{16}\)/);
    const keys = `${'00'.repeat(32)}, ${Buffer.from(ENCRYPTION_KEY, 'base64').toString('hex')}`;
    const { code, stdout } = await spool(t, 'export', directory, [], { SEGMENT_SPOOL_KEY: keys });
    assert.deepEqual([code, messageIdsOf(linesOf(stdout)).sort()], [0, [...plain, ...sealed]]);
  });

  for (const [what, change, left, said] of [
    ['damaged', damageRecord, 2, /1 record left out: damaged/],
    ['of a newer version', makeNewer, 0, /1 segment left out: written by a newer version/],
  ]) {
    test(`says what is ${what}`, async (t) => {
      const { directory, path } = await leftSpool(t);
      change(path);
      const { code, stdout, stderr } = await spool(t, 'export', directory);
      assert.deepEqual([code, linesOf(stdout).length], [1, left]);
      assert.match(stderr, said);
    });
  }

  test('ends quietly when its reader does', async (t) => {
    const { directory } = await leftSpool(t, { count: 5_000 });
    await leaveBehind(t, directory, { prefix: 'b', count: 5_000 });
    const child = startCli(t, ['spool', 'export', directory]);
    child.stdout.once('data', () => child.stdout.destroy());
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    assert.deepEqual([code, stderr], [0, '']);
  });
});

describe('spool drain', { concurrency: 2 }, () => {
  test('delivers what ended processes left, and nothing else', async (t) => {
    const directory = temporaryDirectory(t);
    const segment = await startSegment(t, { faults: [{ status: 503 }] });
    await holdOpen(t, directory, 4);
    const first = await leaveBehind(t, directory, { count: 3_000 });
    const second = await leaveBehind(t, directory, { prefix: 'b', count: 20 });
    await leaveBehind(t, directory, { prefix: 'c', writeKey: OTHER_KEY });
    const { code, document, stderr } = await spoolJson(t, 'drain', directory, [], drainEnv(segment));
    assert.equal(code, 0);
    for (const line of [
      new RegExp(`source ${SOURCE}:\n {2}3,020 events in 2 segments \\(.*\\) to deliver`),
      / {2}4 events in 1 segment \(.*\) held by running processes/,
      new RegExp(` {2}3 events in 1 segment .* of other write keys, left alone: ${OTHER_SOURCE}\n$`),
    ])
      assert.match(stderr, line);
    const { found, held, otherSources, left, ending, delivered, dropped, troubles } = document;
    assert.deepEqual([found.segments, found.events, held.events, otherSources.events], [2, 3_020, 4, 3]);
    assert.deepEqual([ending, delivered, dropped, troubles], ['done', 3_020, {}, []]);
    assert.deepEqual(left, { segments: 0, events: 0, bytes: 0, lockedSegments: 0 });
    assert.deepEqual(messageIdsOf(segment.events).sort(), [...first, ...second].sort());
    const { totals } = (await spoolJson(t, 'list', directory)).document;
    assert.deepEqual([totals.waiting, totals.held], [3, 4]);
    assert.equal(
      fs.readdirSync(join(directory, SOURCE)).length,
      1,
      'only the running process has a directory',
    );
  });

  test('has nothing to do where nothing waits', async (t) => {
    const segment = await startSegment(t);
    const { code, stdout, stderr } = await spool(t, 'drain', temporaryDirectory(t), [], drainEnv(segment));
    assert.deepEqual([code, stdout, segment.connectionCount], [0, 'Nothing to deliver.\n', 0]);
    assert.match(stderr, / {2}nothing to deliver\n$/);
  });

  test('delivers what is older than a client would keep it', async (t) => {
    const segment = await startSegment(t);
    const { directory, messageIds, path } = await leftSpool(t);
    backdate(Date.now() - 20 * 86_400_000)(path);
    const { code, stdout, stderr } = await spool(t, 'drain', directory, [], drainEnv(segment));
    assert.deepEqual([code, messageIdsOf(segment.events)], [0, messageIds]);
    assert.match(stderr, /the oldest from 20 d ago/);
    assert.match(stdout, /^Delivered 3 events in /);
  });

  test('keeps what Segment refuses as dead letters', async (t) => {
    const segment = await startSegment(t, { poison: ({ messageId }) => messageId === 'a-1' });
    const { directory } = await leftSpool(t);
    const { code, stdout } = await spool(t, 'drain', directory, [], drainEnv(segment));
    assert.equal(code, 1);
    assert.match(stdout, /^Delivered 2 events in .*\nDropped 1 event: rejected 1\. .*"spool export --dead"/);
    assert.match((await spool(t, 'list', directory)).stdout, / dead letters +1 +1 /);
    const dead = await spool(t, 'export', directory, ['--dead']);
    assert.deepEqual([dead.code, dead.stderr], [0, '1 dead letter exported from 1 segment\n']);
    const [{ reason, status, event, ...more }] = linesOf(dead.stdout);
    assert.deepEqual([reason, status, event.messageId], ['rejected', 400, 'a-1']);
    assert.deepEqual(Object.keys(more), ['attempts', 'droppedAtMs']);
    assert.equal((await spool(t, 'export', directory)).stdout, '', 'a dead letter is not undelivered');
  });

  test('stops when the write key is refused, and keeps everything', async (t) => {
    const segment = await startSegment(t, { writeKeys: ['another'] });
    const { directory } = await leftSpool(t);
    const ended = await spool(t, 'drain', directory, [], drainEnv(segment));
    assert.equal(ended.code, 1);
    assert.match(
      ended.stderr,
      /^error: ERR_UNAUTHORIZED: Segment refuses the write key \(401 Unauthorized\)\./m,
    );
    assert.match(
      ended.stdout,
      /^Stopped: .*\nDelivered 0 events .*\nLeft in the spool: 3 events in 1 segment/,
    );
    const { document } = await spoolJson(t, 'drain', directory, [], drainEnv(segment));
    const codes = document.troubles.map(({ code }) => code);
    assert.deepEqual([document.ending, document.left.events, codes], ['trouble', 3, ['ERR_UNAUTHORIZED']]);
  });

  test('stops when the spool can not be used', async (t) => {
    const segment = await startSegment(t);
    const { directory } = await leftSpool(t);
    const link = join(temporaryDirectory(t), 'link');
    fs.symlinkSync(directory, link);
    const { code, stderr } = await spool(t, 'drain', link, [], drainEnv(segment));
    assert.deepEqual([code, segment.eventCount], [1, 0]);
    assert.match(stderr, /^error: ERR_SPOOL: The spool can't be used: .*symbolic link/m);
  });

  test('leaves what it has no key for, and delivers it with the key', async (t) => {
    const segment = await startSegment(t);
    const { directory } = await leftSpool(t, { encryptionKey: ENCRYPTION_KEY });
    await leaveBehind(t, directory, { prefix: 'b' });
    const { code, stdout } = await spool(t, 'drain', directory, [], drainEnv(segment));
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^Delivered 3 events .*\nLeft in the spool: 3 events in 1 segment .*\n {2}1 segment encrypted/,
    );
    const env = drainEnv(segment, { SEGMENT_SPOOL_KEY: ENCRYPTION_KEY });
    assert.deepEqual([(await spool(t, 'drain', directory, [], env)).code, segment.eventCount], [0, 6]);
  });

  for (const [what, change, delivered, said] of [
    ['newer versions', makeNewer, 0, /Left in the spool: .*\n {2}1 segment written by a newer version/],
    ['damage', damageRecord, 2, /Dropped 1 event: spool_damaged 1\.\n/],
  ]) {
    test(`tells of ${what}`, async (t) => {
      const segment = await startSegment(t);
      const { directory, path } = await leftSpool(t);
      change(path);
      const { code, stdout } = await spool(t, 'drain', directory, [], drainEnv(segment));
      assert.deepEqual([code, segment.eventCount], [1, delivered]);
      assert.match(stdout, said);
    });
  }

  for (const signal of ['SIGINT', 'SIGTERM']) {
    test(`stops at ${signal} without losing anything`, async (t) => {
      const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
      const { directory, messageIds } = await leftSpool(t);
      const child = startCli(t, ['spool', 'drain', directory], drainEnv(segment));
      const ending = endOf(child);
      await segment.waitForRequests(1);
      child.kill(signal);
      const { code, stdout } = await ending;
      assert.equal(code, 1);
      assert.match(
        stdout,
        /^Stopped by a signal\.\nDelivered 0 events .*\nLeft in the spool: 3 events in 1 segment/,
      );
      segment.clearFaults();
      assert.equal((await spool(t, 'drain', directory, [], drainEnv(segment))).code, 0);
      assert.deepEqual(messageIdsOf(segment.events), messageIds);
    });
  }

  test('stops when its time is up, and says meanwhile how it fares', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 500, times: Infinity }] });
    const { directory } = await leftSpool(t);
    const args = ['--timeout', '1.5'];
    const { code, stdout, stderr } = await spool(t, 'drain', directory, args, drainEnv(segment));
    assert.equal(code, 1);
    assert.match(stdout, /^Stopped when the time was up\.\n.*\nLeft in the spool: 3 events/);
    assert.match(stderr, /^0 of 3 events \(\d+ attempts? failed\)$/m);
    const json = await spoolJson(t, 'drain', directory, args, drainEnv(segment));
    assert.deepEqual([json.document.ending, json.document.left.events], ['timeout', 3]);
    assert.doesNotMatch(json.stderr, /^0 of 3/m, 'no progress beside JSON');
  });

  for (const [what, env, expected] of [
    ['a write key', { SEGMENT_WRITE_KEY: '' }, /Set SEGMENT_WRITE_KEY/],
    ['more than blanks as a write key', { SEGMENT_WRITE_KEY: '  ' }, /Set SEGMENT_WRITE_KEY/],
    [
      'one word as a write key',
      { SEGMENT_WRITE_KEY: 'a b' },
      /be one word: .* It is set in SEGMENT_WRITE_KEY\./,
    ],
    ['a host', { SEGMENT_HOST: 'somewhere' }, /option host must be .* It is set in SEGMENT_HOST\./],
    ['a region', { SEGMENT_REGION: 'mars' }, /option region must be .* It is set in SEGMENT_REGION\./],
    ['a client that sends', { SEGMENT_DISABLE: 'true' }, /SEGMENT_DISABLE/],
    ['whole encryption keys', { SEGMENT_SPOOL_KEY: 'c2hvcnQ=' }, /SEGMENT_SPOOL_KEY must be 32 random bytes/],
  ]) {
    test(`needs ${what}`, async (t) => {
      const segment = await startSegment(t);
      const { directory } = await leftSpool(t);
      assertExplained(await spool(t, 'drain', directory, [], drainEnv(segment, env)), expected);
      assert.deepEqual([segment.connectionCount, await waitingIn(t, directory)], [0, 3]);
    });
  }
});

describe('on a terminal', { concurrency: 2 }, () => {
  test('there is a progress bar, which goes in the end', async (t) => {
    const segment = await startSegment(t);
    const { directory } = await leftSpool(t);
    const { code, stdout, stderr } = await cli(
      t,
      ['spool', 'drain', directory],
      drainEnv(segment),
      ON_TERMINAL,
    );
    assert.equal(code, 0);
    assert.ok(stderr.includes(`[${'#'.repeat(20)}] 100 %  3 of 3 events`), stderr);
    assert.ok(stderr.endsWith(`${ESCAPE}1G${ESCAPE}2K`), 'the line is empty');
    assert.match(stdout, /^Delivered 3 events/);
  });

  test('there are colours, unless NO_COLOR says no', async (t) => {
    const { directory } = await leftSpool(t);
    for (const args of [
      ['spool', 'list', directory],
      ['spool', 'verify', directory],
    ]) {
      const hasColours = async (...more) => (await cli(t, args, ...more)).stdout.includes(ESCAPE);
      assert.equal(await hasColours({}, ON_TERMINAL), true);
      assert.equal(await hasColours({ NO_COLOR: '1' }, ON_TERMINAL), false);
      assert.equal(await hasColours(), false);
    }
  });

  test('export warns that it is customer data', async (t) => {
    const { directory } = await leftSpool(t);
    const args = ['spool', 'export', directory];
    const { stderr } = await cli(t, args, { NO_COLOR: '1' }, ON_TERMINAL);
    assert.match(stderr, /^warning: this is customer data/);
    assert.doesNotMatch((await cli(t, args)).stderr, /warning/);
  });
});

describe('wrong use', { concurrency: 2 }, () => {
  for (const [args, expected] of [
    ['', /^error: Which command\?\nusage: companion-segment spool <command>/],
    ['spool', /^error: Which command\?\nusage: companion-segment spool <list\|/],
    ['spol', /Did you mean spool\?/],
    ['list', /Unknown command "list"\. Did you mean spool list\?/],
    ['spool exprt', /Did you mean spool export\?\nusage: companion-segment spool </],
    ['spool nonsense', /^error: Unknown command "nonsense"\.\nusage:/],
    ['spool list --jsno', /Unknown option --jsno\. Did you mean --json\?\nusage: .* spool list /],
    ['spool list -x', /Unknown option -x\.\n/],
    ['spool list --timeout 3', /--timeout is an option of spool drain\./],
    ['spool drain --dead', /--dead is an option of spool export\./],
    ['spool drain --timeout', /--timeout needs a value\./],
    ['spool drain --timeout 0', /--timeout takes a number of seconds above 0\./],
    ['spool drain --timeout 1e3', /--timeout takes a number/],
    ['spool list --json=yes', /--json takes no value\./],
    [`spool list --source ${KEY}`, /--source takes the 16 digits/],
    [`spool drain --write-key ${KEY}`, /arguments are visible to other users/],
    [`spool drain --spoolKey=${KEY}`, /arguments are visible to other users/],
    [`spool list one ${KEY}`, /more than one directory/],
    ['spool list', /No spool directory\. Give it as an argument or in SEGMENT_SPOOL_DIR/],
    ['spool drain', /No spool directory\./],
    ['spool list not-there', /There is no directory .*not-there\./],
    [`spool export ${CLI}`, /main\.js is not a directory\./],
  ]) {
    test(
      args
        .split(' ')
        .map((arg) => basename(arg))
        .join(' ') || 'nothing',
      async (t) => {
        const ended = await cli(t, args.split(' ').filter(Boolean));
        assertExplained(ended, expected);
        assert.ok(!ended.stderr.includes(KEY), 'what may be a key is not repeated');
      },
    );
  }

  test('the directory of a source or an instance is no spool', async (t) => {
    const { path } = await leftSpool(t);
    for (const part of [dirname(path), dirname(dirname(path))]) {
      for (const command of ['list', 'verify', 'export', 'drain'])
        assertExplained(await spool(t, command, part), /is a part of a spool/);
    }
  });

  const isRoot = process.getuid?.() === 0;
  test('a directory without permission is explained', (t) => {
    // In this process: the command itself may lie where nobody but root can read it.
    const { spoolDirectory } = require('../dist/cli/environment.js');
    const directory = temporaryDirectory(t);
    fs.chmodSync(directory, 0o000);
    if (isRoot) process.seteuid(65_534);
    try {
      assert.throws(
        () => spoolDirectory(directory),
        /can't be read: permission denied\. Run this as the user/,
      );
    } finally {
      if (isRoot) process.seteuid(0);
      fs.chmodSync(directory, 0o700);
    }
  });

  test('the spool of another user is not touched', async (t) => {
    // Nobody else can give a directory away.
    if (!isRoot) return;
    const segment = await startSegment(t);
    const { directory } = await leftSpool(t);
    fs.chownSync(join(directory, SOURCE), 65_534, 65_534);
    const { code, stdout, stderr } = await spool(t, 'drain', directory, [], drainEnv(segment));
    assert.deepEqual([code, stdout, segment.connectionCount], [2, '', 0]);
    assert.match(stderr, /belongs to another user \(65534\)/);
  });
});

describe('the program', { concurrency: 2 }, () => {
  test('is installed under its name and starts from a link', async (t) => {
    assert.match(fs.readFileSync(CLI, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    const link = join(temporaryDirectory(t), 'companion-segment');
    fs.symlinkSync(CLI, link);
    const child = spawn(process.execPath, [link, '--version'], { stdio: ['ignore', 'pipe', 'pipe'] });
    assert.deepEqual(await endOf(child), { code: 0, stdout: `${MANIFEST.version}\n`, stderr: '' });
  });

  for (const path of ['', 'spool', 'spool list', 'spool verify', 'spool drain', 'spool export']) {
    test(`has help for ${path || 'itself'}`, async (t) => {
      const words = path.split(' ').filter(Boolean);
      const { code, stdout, stderr } = await cli(t, [...words, '--help']);
      assert.deepEqual([code, stderr], [0, '']);
      assert.ok(stdout.startsWith(`Usage: companion-segment ${path}`));
      assert.match(
        stdout,
        words.length === 2 ? /\nExit codes:\n {2}0 {2}/ : /\nCommands:\n {2}spool list {4}/,
      );
      assert.equal((await cli(t, ['-h', ...words])).stdout, stdout);
    });
  }

  test('shows no key and, but for export, nothing of an event', async (t) => {
    const segment = await startSegment(t, { poison: () => true });
    const { directory, path } = await leftSpool(t, { encryptionKey: ENCRYPTION_KEY });
    damageRecord(path);
    await leaveBehind(t, directory, { prefix: 'b' });
    const env = drainEnv(segment, { SEGMENT_SPOOL_KEY: ENCRYPTION_KEY });
    let shown = '';
    for (const args of [
      ['list'],
      ['verify'],
      ['drain'],
      ['list', '--json'],
      ['verify', '--json'],
      ['drain', '--json'],
    ]) {
      const { stdout, stderr } = await cli(t, ['spool', ...args, directory], env);
      shown += stdout + stderr;
    }
    const { stdout: exported, stderr } = await spool(t, 'export', directory, ['--dead'], env);
    assert.ok(exported.includes('customer-canary') && !exported.includes(KEY));
    const authorization = Buffer.from(`${KEY}:`).toString('base64');
    for (const secret of [KEY, authorization, ENCRYPTION_KEY, 'customer-canary', 'Ordered'])
      assert.ok(!(shown + stderr).includes(secret), secret);
  });
});
