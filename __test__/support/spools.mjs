/** Spool directories that are gone with their test, the clients on them, and what lies on the disk. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { Analytics } from '@companion/segment';

import { KEY, NEVER_MS, assertConserved } from './clients.mjs';
import { runProgram } from './programs.mjs';

/** Longer than any machine needs. */
const DEADLINE_MS = 60_000;
const LOOK_AGAIN_MS = 5;

/** The name of a source's directory inside the spool. */
export const digestOf = (writeKey) => createHash('sha256').update(writeKey).digest('hex').slice(0, 16);

/** Waits until something is so, and gives it back. */
export async function until(what, look) {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(performance.now() < deadline, `never: ${what}`);
    await pause(LOOK_AGAIN_MS);
  }
}

/** Waits until the counters of a client are so. Each look is a sample of the conservation identity. */
export const untilStats = (analytics, what, isSo) =>
  until(what, () => {
    const stats = analytics.stats();
    assertConserved(stats);
    return isSo(stats) && stats;
  });

/** Some systems remove no directory with a file in it that somebody has open, as an ended client may have for a while. */
function removeFolder(folder) {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    if (process.platform !== 'win32' || error.code !== 'ENOTEMPTY') throw error;
  }
}

/**
 * A directory and what a test does in it. The spool is `directory`; `root`, around it, is the test's own. Clients are
 * closed and the directories removed with the test.
 */
export function makeSpool(t) {
  const root = mkdtempSync(join(tmpdir(), 'companion-segment-'));
  const directory = join(root, 'spool');
  const clients = [];
  const undo = [];
  t.after(async () => {
    await Promise.all(clients.map((client) => client.closeAndFlush({ timeout: 0 })));
    for (const step of undo.toReversed()) step();
    removeFolder(root);
  });
  return {
    root,
    directory,
    source: join(directory, digestOf(KEY)),
    /** Runs before the directory is removed. */
    atEnd: (step) => void undo.push(step),
    /** A client on the directory that sends nothing before it is asked to. */
    open(segment, { spool, ...settings } = {}) {
      const defaults = { writeKey: KEY, host: segment.url, flushAt: 2_500, flushInterval: NEVER_MS };
      const client = new Analytics({ ...defaults, ...settings, spool: { directory, ...spool } });
      clients.push(client);
      return client;
    },
  };
}

/** A client that takes over what is in the directory, and delivers all `count` of it. */
export async function recoverAll(spool, segment, count, settings) {
  const analytics = spool.open(segment, { flushInterval: 1, ...settings });
  const isOver = ({ recovered, pending, spooled, orphans }) =>
    orphans === 0 && recovered >= count && pending + spooled === 0;
  const stats = await untilStats(analytics, `${count} events are recovered and settled`, isOver);
  assert.equal(stats.recovered, count);
  return { analytics, stats, report: await analytics.closeAndFlush() };
}

/**
 * Runs a program that gets a first client on the spool, `track(messageId)`, `make(settings)`, `wait(isSo)` and `argument`.
 * It is text: it sees nothing of its surroundings.
 */
export function runSpooling(t, spool, segment, program, { settings, argument } = {}) {
  const source = `async ({ Analytics }, { settings, argument }) => {
    const make = (more) => new Analytics({ ...settings, ...more });
    const wait = async (isSo) => {
      while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, ${LOOK_AGAIN_MS}));
    };
    const analytics = make();
    const track = (messageId, properties) =>
      analytics.track({ userId: 'u1', event: 'e', messageId, properties });
    await (${program})({ analytics, track, make, wait, Analytics, argument });
  }`;
  const defaults = { writeKey: KEY, host: segment.url, flushAt: 2_500, flushInterval: NEVER_MS };
  return runProgram(t, source, {
    settings: { ...defaults, spool: spool.directory, ...settings },
    argument: { spool: spool.directory, root: spool.root, ...argument },
  });
}

/** Everything below a directory: `{ path, name, isDirectory, mode, bytes }`. */
export function walk(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true }).flatMap((relative) => {
    const path = join(directory, relative);
    const stat = statSync(path, { throwIfNoEntry: false });
    // Somebody else may tidy up meanwhile.
    if (stat === undefined) return [];
    const isDirectory = stat.isDirectory();
    const bytes = isDirectory ? undefined : readFileSync(path);
    return [{ path, name: basename(path), isDirectory, mode: stat.mode & 0o777, bytes }];
  });
}

/** Of the format on disk (`src/queue/spool/record.rs`): what comes before the payload of the first record. */
const SEGMENT_HEADER_BYTES = 64;
const RECORD_HEADER_BYTES = 25;

/** The payload of a segment with one record, not encrypted. Headers are numbers, which look like anything. */
export function onlyPayload(segment) {
  const start = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES;
  const length = segment.readUInt32LE(SEGMENT_HEADER_BYTES);
  assert.equal(segment.length, start + length, 'one record');
  return segment.subarray(start).toString();
}

export const segmentFiles = (directory) => walk(directory).filter(({ name }) => name.endsWith('.seg'));

/** What is left in a spool beside the directories of spool and source, which stay. */
export const leftIn = ({ directory, source }) =>
  walk(directory)
    .map(({ path }) => path)
    .filter((path) => path !== source);

/** The client's own directory goes with it, a moment after its last promise has settled. */
export const untilEmpty = (spool) => until('nothing is left on disk', () => leftIn(spool).length === 0);

/** Whether a text is in these bytes as it is, as base64 at any alignment, or as hex. */
export function isIn(bytes, text) {
  const haystack = bytes.toString('latin1');
  const plain = Buffer.from(text);
  const hex = plain.toString('hex');
  const base64 = [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), plain])
      .toString('base64')
      .replace(/=+$/, '');
    // What neighbours can change is left away.
    return encoded.slice(shift === 0 ? 0 : shift + 1, (plain.length + shift) % 3 === 0 ? undefined : -1);
  });
  const utf16 = Buffer.from(text, 'utf16le').toString('latin1');
  const url = base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'));
  return [plain.toString('latin1'), hex, hex.toUpperCase(), utf16, ...base64, ...url].some((form) =>
    haystack.includes(form),
  );
}
