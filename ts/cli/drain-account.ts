/** What a drain found, and what became of it. */
import type { Drained, Ending, Trouble } from './draining.js';
import { byteSize, count, counted, duration } from './format.js';
import { sumOf, type Segment } from './inventory.js';

/** What was there beforehand. */
export interface Found {
  /** To be delivered. */
  waiting: Segment[];
  waitingEvents: number;
  /** With running processes, which deliver it themselves. */
  held: Segment[];
  /** Of other write keys. */
  others: Segment[];
}

export function foundBy(segments: readonly Segment[], source: string): Found {
  const own = segments.filter((segment) => segment.source === source);
  const waiting = own.filter(({ state }) => state === 'waiting');
  return {
    waiting,
    waitingEvents: sumOf(waiting, 'events'),
    held: own.filter(({ state }) => state === 'held'),
    others: segments.filter(
      (segment) => segment.source !== source && ['waiting', 'held'].includes(segment.state),
    ),
  };
}

/** Said before it starts. */
export function findingsIn({ waiting, held, others }: Found, directory: string, source: string): string[] {
  const lines = [`${directory}, source ${source}:`, `  ${quantityOf(waiting)} to deliver${ageOf(waiting)}`];
  if (held.length > 0)
    lines.push(`  ${quantityOf(held)} held by running processes, which deliver them themselves`);
  if (others.length > 0) {
    const sources = [...new Set(others.map((segment) => segment.source))];
    lines.push(`  ${quantityOf(others)} of other write keys, left alone: ${sources.join(', ')}`);
  }
  return lines;
}

function quantityOf(segments: readonly Segment[]): string {
  if (segments.length === 0) return 'nothing';
  const [events, bytes] = [sumOf(segments, 'events'), sumOf(segments, 'bytes')];
  return `${counted(events, 'event')} in ${counted(segments.length, 'segment')} (${byteSize(bytes)})`;
}

function ageOf(segments: readonly Segment[]): string {
  const times = segments.map(({ oldestAt }) => oldestAt).filter((oldestAt) => oldestAt !== null);
  return times.length === 0 ? '' : `, the oldest from ${duration(Date.now() - Math.min(...times))} ago`;
}

/** Everything there is to say in the end. */
export interface Outcome {
  directory: string;
  source: string;
  found: Found;
  /** Undefined when there was nothing to do. */
  drained: Drained | undefined;
  /** What still waits. */
  left: Segment[];
  troubles: Trouble[];
  durationMs: number;
}

function droppedBy({ drained }: Outcome): [reason: string, events: number][] {
  return Object.entries(drained?.stats.dropped ?? {}).filter(([, events]) => events > 0);
}

/** Whether somebody has to look after it. */
export function isIncomplete(outcome: Outcome): boolean {
  const { left, drained } = outcome;
  return left.length > 0 || droppedBy(outcome).length > 0 || (drained?.stats.locked ?? 0) > 0;
}

export function documentOf(outcome: Outcome): object {
  const { directory, source, found, drained, left, troubles, durationMs } = outcome;
  const summary = (segments: readonly Segment[]) => ({
    segments: segments.length,
    events: sumOf(segments, 'events'),
    bytes: sumOf(segments, 'bytes'),
  });
  return {
    directory,
    source,
    found: summary(found.waiting),
    held: summary(found.held),
    otherSources: summary(found.others),
    ending: drained?.ending ?? 'done',
    delivered: drained?.stats.delivered ?? 0,
    dropped: Object.fromEntries(droppedBy(outcome)),
    left: { ...summary(left), lockedSegments: drained?.stats.locked ?? 0 },
    troubles,
    durationMs,
  };
}

const ENDINGS: Record<Ending, string> = {
  done: '',
  timeout: 'Stopped when the time was up.\n',
  interrupted: 'Stopped by a signal.\n',
  trouble: 'Stopped: it can not succeed before that is mended.\n',
};

/** The same for people. */
export function accountOf(outcome: Outcome): string {
  const { drained, durationMs } = outcome;
  if (drained === undefined) return 'Nothing to deliver.\n';
  const delivered = `Delivered ${counted(drained.stats.delivered, 'event')} in ${duration(durationMs)}.\n`;
  return [ENDINGS[drained.ending], delivered, droppedText(outcome), leftText(outcome)].join('');
}

function droppedText(outcome: Outcome): string {
  const dropped = droppedBy(outcome);
  if (dropped.length === 0) return '';
  const total = dropped.reduce((sum, [, events]) => sum + events, 0);
  const reasons = dropped.map(([reason, events]) => `${reason} ${count(events)}`).join(', ');
  const isKept = dropped.some(([reason]) => reason === 'rejected');
  const hint = isKept ? ' What Segment refused is kept: "spool export --dead" shows it.' : '';
  return `Dropped ${counted(total, 'event')}: ${reasons}.${hint}\n`;
}

function leftText({ left, drained }: Outcome): string {
  if (left.length === 0) return '';
  const lines = [`Left in the spool: ${quantityOf(left)}.`];
  const locked = drained?.stats.locked ?? 0;
  const keyIds = [...new Set(left.map(({ keyId }) => keyId).filter((keyId) => keyId !== null))];
  if (locked > 0) {
    const text = `${counted(locked, 'segment')} encrypted with a key that SEGMENT_SPOOL_KEY does not hold`;
    lines.push(`  ${text}; used here: ${keyIds.join(', ')}`);
  }
  const newer = left.filter(({ isNewer }) => isNewer).length;
  if (newer > 0) lines.push(`  ${counted(newer, 'segment')} written by a newer version of this package`);
  return `${lines.join('\n')}\n`;
}
