import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as companion from './companion.mjs';

// Nearly three times the serialized size of the bench's event.
const SPOOL_BYTES_PER_EVENT = 2000;
const DEFAULT_SPOOL_BYTES = 256 * 1024 * 1024;

export const label = '@companion/segment with spool';
export const { load, toMessage, version } = companion;
export const variantOf = 'companion';
export const onlyMetrics = [
  'track-call',
  'track-percentiles',
  'track-fresh',
  'spool-drain',
  'recovery-with-listener',
];

/**
 * Events wait on disk: the limit of memory stays at its default.
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} limits
 * @returns {import('./adapter.mjs').Client}
 */
export function create(url, { waitingEvents = 0, spoolDirectory }) {
  const directory = spoolDirectory ?? temporaryDirectory();
  const maxBytes = Math.max(DEFAULT_SPOOL_BYTES, waitingEvents * SPOOL_BYTES_PER_EVENT);
  return companion.create(url, {}, { spool: { directory, maxBytes } });
}

export function temporaryDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'companion-segment-bench-'));
  // On exit, so that a failed run leaves nothing behind either.
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
