import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as companion from './companion.mjs';

export const label = '@companion/segment with spool';
export const { load, toMessage, version } = companion;
export const variantOf = 'companion';
export const onlyMetrics = ['track-call'];

/**
 * @param {string} url
 * @param {import('./adapter.mjs').Limits} limits
 * @returns {import('./adapter.mjs').Client}
 */
export function create(url, limits) {
  const directory = mkdtempSync(join(tmpdir(), 'companion-segment-bench-'));
  // On exit, so that a failed run leaves nothing behind either.
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return companion.create(url, limits, { spool: { directory } });
}
