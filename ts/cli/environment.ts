/** What a command gets from its surroundings: the directory, and the keys, which are never arguments. */
import { createHash } from 'node:crypto';
import { readdirSync, type Dirent } from 'node:fs';
import { resolve } from 'node:path';

import { encryptionKeysOf } from '../spool.js';
import { CommandError, messageOf } from './failure.js';

/** Names the directory of a source. */
export const DIGEST = /^[0-9a-f]{16}$/i;
const SEGMENT = /^[0-9a-f]{16}.*\.seg$/i;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The spool's directory: it is there and can be read. */
export function spoolDirectory(argument: string | undefined): string {
  const given = argument ?? process.env['SEGMENT_SPOOL_DIR'];
  if (given === undefined || given === '') {
    throw new CommandError(
      'No spool directory. Give it as an argument or in SEGMENT_SPOOL_DIR: the spool.directory of your client.',
    );
  }
  const directory = resolve(given);
  const entries = entriesOf(directory);
  if (entries.some(isOfOneSource) && !entries.some(isSource)) {
    throw new CommandError(
      `${directory} is a part of a spool. Give the spool directory itself, which is above it.`,
    );
  }
  return directory;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    throw new CommandError(problemWith(directory, error));
  }
}

function problemWith(directory: string, error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return `There is no directory ${directory}.`;
    case 'ENOTDIR':
      return `${directory} is not a directory.`;
    case 'EACCES':
    case 'EPERM':
      return `${directory} can't be read: permission denied. Run this as the user whose processes write to it.`;
    default:
      return `${directory} can't be read: ${messageOf(error)}`;
  }
}

function isSource(entry: Dirent): boolean {
  return entry.isDirectory() && DIGEST.test(entry.name);
}

/** Instances are named by UUIDs and hold segments; neither lies in the spool directory itself. */
function isOfOneSource(entry: Dirent): boolean {
  return entry.isDirectory() ? UUID.test(entry.name) : SEGMENT.test(entry.name);
}

/** The keys of the spool in base64; none without SEGMENT_SPOOL_KEY. */
export function spoolKeys(): string[] {
  const texts = (process.env['SEGMENT_SPOOL_KEY'] ?? '').split(',').map((text) => text.trim());
  const keys = texts.filter((text) => text !== '');
  try {
    return encryptionKeysOf(keys.length > 0 ? keys : undefined);
  } catch {
    throw new CommandError(
      'SEGMENT_SPOOL_KEY must be 32 random bytes as base64 or hex text. Several keys are separated by commas.',
    );
  }
}

/** What stands for a write key on disk: the first 8 bytes of its SHA-256. */
export function sourceDigest(writeKey: string): string {
  return createHash('sha256').update(writeKey).digest('hex').slice(0, 16);
}
