/** What lies in a spool, file by file. Looking changes nothing. */
import { existsSync } from 'node:fs';

import { inspectSegment, listSpool } from '../native.js';
import { CommandError, messageOf } from './failure.js';

/**
 * Who has to do with a file: a running process, whoever takes over next, people who look at what Segment refused, or
 * people who look at what can't be read.
 */
export type SegmentState = 'held' | 'waiting' | 'dead' | 'corrupt';

/** A file, as the engine lists it. */
interface ListedFile {
  source: string;
  instance: string;
  path: string;
  /** Acknowledgements included. */
  bytes: number;
  isHeld: boolean;
  isCorrupt: boolean;
}

/** What is in a file, as the engine finds it. */
interface Contents {
  /** Events to deliver, or dead letters. */
  events: number;
  /** Records that can't be read. */
  damaged: number;
  /** Bytes of a write that never returned. */
  tornBytes: number;
  /** Milliseconds since 1970. */
  oldestAt: number | null;
  /** Names the key that its events are encrypted with. */
  keyId: string | null;
  /** What is wrong with the file as a whole. */
  problem: string | null;
}

/** One file of a spool. */
export interface Segment extends ListedFile, Contents {
  state: SegmentState;
  /** A newer version of this package wrote it: nothing more is known of it. */
  isNewer: boolean;
  /** Why the file system did not let us look into it. */
  unreadable: string | null;
}

const NEWER = 'written by a newer version';
const DAMAGED_HEADER = 'the header is damaged';
const NOTHING: Contents = { events: 0, damaged: 0, tornBytes: 0, oldestAt: null, keyId: null, problem: null };

/** All files, of one source or of all of them. */
export function takeInventory(directory: string, source?: string): Segment[] {
  const files = listed(directory).filter((file) => source === undefined || file.source === source);
  return files.map(lookInto).filter((segment) => segment !== undefined);
}

const LIST_ATTEMPTS = 5;

function listed(directory: string): ListedFile[] {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return JSON.parse(listSpool(directory)) as ListedFile[];
    } catch (error) {
      // A running process may have tidied up between two steps of the listing.
      if (attempt === LIST_ATTEMPTS)
        throw new CommandError(`${directory} can't be read: ${messageOf(error)}`);
    }
  }
}

/** Undefined for a file that is gone: all of it was settled meanwhile. */
function lookInto(file: ListedFile): Segment | undefined {
  const state = stateOf(file);
  try {
    const contents = JSON.parse(inspectSegment(file.path)) as Contents;
    // What this version takes for records says nothing about a format that it does not know.
    if (contents.problem === NEWER) {
      return { ...file, ...NOTHING, problem: NEWER, state, isNewer: true, unreadable: null };
    }
    const isEmpty = contents.events + contents.damaged + contents.tornBytes === 0;
    // A process that ended before it had written the header has written nothing.
    const found =
      contents.problem === DAMAGED_HEADER && isEmpty ? { ...NOTHING, tornBytes: file.bytes } : contents;
    return { ...file, ...found, state, isNewer: false, unreadable: null };
  } catch (error) {
    if (!existsSync(file.path)) return undefined;
    return { ...file, ...NOTHING, state, isNewer: false, unreadable: messageOf(error) };
  }
}

function stateOf({ instance, isCorrupt, isHeld }: ListedFile): SegmentState {
  if (isCorrupt) return 'corrupt';
  if (instance === 'dead') return 'dead';
  return isHeld ? 'held' : 'waiting';
}

/** Whether something in the file is lost or unknown. A torn end alone is the mark of a write that never returned. */
export function isDamaged({ damaged, problem }: Segment): boolean {
  return damaged > 0 || problem !== null;
}

export function sumOf(
  segments: readonly Segment[],
  field: 'events' | 'bytes' | 'damaged' | 'tornBytes',
): number {
  return segments.reduce((total, segment) => total + segment[field], 0);
}
