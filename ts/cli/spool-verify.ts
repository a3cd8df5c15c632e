/** `spool verify`: every checksum of every file. */
import { spoolDirectory } from './environment.js';
import { EXIT } from './failure.js';
import { byteSize, counted } from './format.js';
import { isDamaged, sumOf, takeInventory, type Segment } from './inventory.js';
import type { Settings } from './settings.js';
import { print, printJson, styledFor, warn } from './terminal.js';

export async function verify({ directory: given, source, json }: Settings): Promise<number> {
  const directory = spoolDirectory(given);
  const segments = takeInventory(directory, source);
  const damaged = segments.filter(isDamaged);
  const unreadable = segments.filter((segment) => segment.unreadable !== null);
  if (json) await printJson(documentOf(directory, segments));
  else await print(textOf(segments));
  for (const segment of unreadable) warn(`${segment.path} can't be read: ${segment.unreadable}`);
  if (unreadable.length > 0) return EXIT.unusable;
  return damaged.length > 0 ? EXIT.attention : EXIT.done;
}

function isNoteworthy(segment: Segment): boolean {
  return isDamaged(segment) || segment.tornBytes > 0 || segment.unreadable !== null;
}

function documentOf(directory: string, segments: readonly Segment[]): object {
  const files = segments.filter(isNoteworthy).map((segment) => {
    const { path, source, instance, state, events, damaged, tornBytes, problem, unreadable } = segment;
    return { path, source, instance, state, events, damaged, tornBytes, problem: unreadable ?? problem };
  });
  return {
    directory,
    sound: segments.every((segment) => !isDamaged(segment) && segment.unreadable === null),
    segments: segments.length,
    events: sumOf(segments, 'events'),
    bytes: sumOf(segments, 'bytes'),
    damaged: sumOf(segments, 'damaged'),
    tornBytes: sumOf(segments, 'tornBytes'),
    files,
  };
}

function textOf(segments: readonly Segment[]): string {
  const noteworthy = segments.filter((segment) => segment.unreadable === null && isNoteworthy(segment));
  const lines = noteworthy.map((segment) => `${segment.path}\n  ${findingsOf(segment).join('; ')}\n`);
  const checked = [
    counted(segments.length, 'segment'),
    counted(sumOf(segments, 'events'), 'event'),
    byteSize(sumOf(segments, 'bytes')),
  ].join(', ');
  return `${lines.join('')}${checked}: ${verdictOn(segments)}\n`;
}

function findingsOf({ events, damaged, tornBytes, problem }: Segment): string[] {
  const findings: string[] = [];
  if (problem !== null) findings.push(problem);
  if (damaged > 0) findings.push(`${counted(damaged, 'record')} damaged, ${counted(events, 'event')} sound`);
  if (tornBytes > 0)
    findings.push(`${counted(tornBytes, 'byte')} torn at the end: a write that never returned`);
  return findings;
}

function verdictOn(segments: readonly Segment[]): string {
  const damaged = segments.filter(isDamaged).length;
  if (damaged > 0) return styledFor(process.stdout, 'red', `damage in ${counted(damaged, 'file')}`);
  if (segments.some(({ unreadable }) => unreadable !== null)) return 'what could be read is sound';
  return styledFor(process.stdout, 'green', 'all sound');
}
