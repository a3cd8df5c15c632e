/** `spool export`: what is undelivered, or the dead letters, as lines of JSON. Changes nothing. */
import { existsSync } from 'node:fs';

import { exportSegment } from '../native.js';
import { spoolDirectory, spoolKeys } from './environment.js';
import { EXIT, messageOf } from './failure.js';
import { count, counted } from './format.js';
import { sumOf, takeInventory, type Segment } from './inventory.js';
import type { Settings } from './settings.js';
import { print, say, warn } from './terminal.js';

export async function exportEvents({ directory: given, source, dead }: Settings): Promise<number> {
  const directory = spoolDirectory(given);
  const keys = spoolKeys();
  const segments = takeInventory(directory, source).filter(({ state }) => (state === 'dead') === dead);
  if (process.stdout.isTTY) {
    warn('this is customer data, on a screen. Send it to a file that nobody else can read.');
  }
  const tally = { exported: 0, locked: 0, lockedBy: new Set<string>(), unreadable: 0 };
  for (const segment of segments) {
    if (segment.isNewer) continue;
    const { lines, locked, problem } = linesOf(segment, keys);
    tally.exported += linesIn(lines);
    tally.locked += locked;
    if (locked > 0 && segment.keyId !== null) tally.lockedBy.add(segment.keyId);
    if (problem !== undefined) {
      tally.unreadable += 1;
      warn(`${segment.path} can't be read: ${problem}`);
    }
    // Who has seen enough needs no account.
    if (lines !== '' && !(await print(lines))) return EXIT.done;
  }
  return report(segments, tally, dead);
}

function linesOf(segment: Segment, keys: string[]): { lines: string; locked: number; problem?: string } {
  if (segment.unreadable !== null) return { lines: '', locked: 0, problem: segment.unreadable };
  try {
    return exportSegment(segment.path, keys);
  } catch (error) {
    // All of it was settled meanwhile.
    if (!existsSync(segment.path)) return { lines: '', locked: 0 };
    return { lines: '', locked: 0, problem: messageOf(error) };
  }
}

function linesIn(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
}

interface Tally {
  exported: number;
  locked: number;
  lockedBy: Set<string>;
  unreadable: number;
}

function report(segments: readonly Segment[], tally: Tally, dead: boolean): number {
  const { exported, locked, lockedBy, unreadable } = tally;
  const noun = dead ? 'dead letter' : 'event';
  say(`${counted(exported, noun)} exported from ${counted(segments.length, 'segment')}`);
  const held = sumOf(
    segments.filter(({ state }) => state === 'held'),
    'events',
  );
  if (held > 0) say(`${count(held)} of them are held by running processes, which deliver them themselves`);
  if (locked > 0) {
    const keyIds = lockedBy.size === 0 ? '' : ` (${[...lockedBy].join(', ')})`;
    warn(
      `${counted(locked, noun)} left out: encrypted with a key${keyIds} that SEGMENT_SPOOL_KEY does not hold`,
    );
  }
  const damaged = sumOf(segments, 'damaged');
  if (damaged > 0) warn(`${counted(damaged, 'record')} left out: damaged`);
  const newer = segments.filter(({ isNewer }) => isNewer).length;
  if (newer > 0) warn(`${counted(newer, 'segment')} left out: written by a newer version of this package`);
  if (unreadable > 0) return EXIT.unusable;
  return locked + damaged + newer > 0 ? EXIT.attention : EXIT.done;
}
