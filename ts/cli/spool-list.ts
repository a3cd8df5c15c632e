/** `spool list`: what waits where. */
import { spoolDirectory } from './environment.js';
import { EXIT } from './failure.js';
import { byteSize, count, counted, duration } from './format.js';
import { sumOf, takeInventory, type Segment, type SegmentState } from './inventory.js';
import type { Settings } from './settings.js';
import { table } from './table.js';
import { print, printJson, warn } from './terminal.js';

/** The segments of one instance that are in the same state. */
interface Row {
  source: string;
  instance: string;
  state: SegmentState;
  segments: number;
  /** Events to deliver, or dead letters. */
  events: number;
  bytes: number;
  /** Milliseconds since 1970. */
  oldestAt: number | null;
  encrypted: boolean;
  keyIds: string[];
  damaged: number;
  problems: string[];
}

const STATE_NAMES: Record<SegmentState, string> = {
  held: 'held',
  waiting: 'waiting',
  dead: 'dead letters',
  corrupt: 'corrupt',
};

const COLUMNS = [
  { title: 'source' },
  { title: 'instance' },
  { title: 'state' },
  { title: 'segments', align: 'right' },
  { title: 'events', align: 'right' },
  { title: 'size', align: 'right' },
  { title: 'oldest', align: 'right' },
  { title: 'encrypted' },
] as const;

export async function list({ directory: given, source, json }: Settings): Promise<number> {
  const directory = spoolDirectory(given);
  const segments = takeInventory(directory, source);
  const rows = rowsOf(segments);
  const totals = totalsOf(segments, rows);
  if (json) await printJson({ directory, instances: rows, totals });
  else await print(rows.length === 0 ? emptyText(directory, source) : tableOf(rows, totals));
  for (const { path, unreadable } of segments) {
    if (unreadable !== null) warn(`${path} can't be read: ${unreadable}`);
  }
  if (!json) warnOf(segments);
  return segments.some(({ unreadable }) => unreadable !== null) ? EXIT.unusable : EXIT.done;
}

function rowsOf(segments: readonly Segment[]): Row[] {
  const groups = new Map<string, Segment[]>();
  for (const segment of segments) {
    const key = `${segment.source}/${segment.instance}/${segment.state}`;
    groups.set(key, [...(groups.get(key) ?? []), segment]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [rowOf(first, group)];
  });
}

function rowOf({ source, instance, state }: Segment, group: readonly Segment[]): Row {
  const ages = group.map(({ oldestAt }) => oldestAt).filter((oldestAt) => oldestAt !== null);
  const keyIds = [...new Set(group.map(({ keyId }) => keyId).filter((keyId) => keyId !== null))];
  return {
    source,
    instance,
    state,
    segments: group.length,
    events: sumOf(group, 'events'),
    bytes: sumOf(group, 'bytes'),
    oldestAt: ages.length === 0 ? null : Math.min(...ages),
    encrypted: keyIds.length > 0,
    keyIds,
    damaged: sumOf(group, 'damaged'),
    problems: [...new Set(group.map(({ problem }) => problem).filter((problem) => problem !== null))],
  };
}

type Totals = ReturnType<typeof totalsOf>;

function totalsOf(segments: readonly Segment[], rows: readonly Row[]) {
  const eventsOf = (state: SegmentState) =>
    sumOf(
      segments.filter((segment) => segment.state === state),
      'events',
    );
  return {
    sources: new Set(rows.map(({ source }) => source)).size,
    segments: segments.length,
    bytes: sumOf(segments, 'bytes'),
    waiting: eventsOf('waiting'),
    held: eventsOf('held'),
    deadLetters: eventsOf('dead'),
    damaged: sumOf(segments, 'damaged'),
  };
}

function tableOf(rows: readonly Row[], totals: Totals): string {
  const now = Date.now();
  const cells = rows.map((row) => [
    row.source,
    row.instance,
    STATE_NAMES[row.state],
    count(row.segments),
    count(row.events),
    byteSize(row.bytes),
    row.oldestAt === null ? '' : duration(now - row.oldestAt),
    row.encrypted ? `yes, key ${row.keyIds.join(' and ')}` : 'no',
  ]);
  return `${table(COLUMNS, cells)}\n${totalsText(totals)}\n`;
}

function totalsText({ waiting, held, deadLetters, sources, segments, bytes }: Totals): string {
  const parts = [
    `${counted(waiting, 'event')} waiting`,
    `${count(held)} held by running processes`,
    counted(deadLetters, 'dead letter'),
  ];
  return `${parts.join(', ')}; ${counted(segments, 'segment')} of ${counted(sources, 'source')}, ${byteSize(bytes)}`;
}

function emptyText(directory: string, source: string | undefined): string {
  return source === undefined
    ? `Nothing is in the spool ${directory}.\n`
    : `Nothing of source ${source} is in the spool ${directory}.\n`;
}

function warnOf(segments: readonly Segment[]): void {
  const newer = segments.filter(({ isNewer }) => isNewer).length;
  if (newer > 0)
    warn(
      `${counted(newer, 'segment')} written by a newer version of this package; update it to see what is in there.`,
    );
  const damaged = sumOf(segments, 'damaged');
  if (damaged > 0) warn(`${counted(damaged, 'record')} can't be read. "spool verify" says where.`);
}
