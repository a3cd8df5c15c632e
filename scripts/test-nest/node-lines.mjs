// A Node of each wanted line: the running one, or the binary that npm carries for this platform.
import { join } from 'node:path';

import { toolFolder } from '../setup/tools.mjs';
import { run } from './program.mjs';

/** The line of the running Node. */
export const CURRENT = process.versions.node.split('.')[0];

/**
 * @typedef {{ line: string, version: string, path: string }} NodeBinary
 *
 * @param {string} line `22`
 * @param {Record<string, Record<string, string>>} table platform to its package and versions by line
 * @returns {Promise<NodeBinary>}
 */
export async function nodeOf(line, table) {
  if (line === CURRENT) return { line, version: process.versions.node, path: process.execPath };
  const platform = `${process.platform}-${process.arch}`;
  const { package: name, [line]: version } = table[platform] ?? {};
  if (name === undefined || version === undefined) {
    const others = 'Run this with that Node, or choose lines with --node.';
    throw new Error(`versions.json names no binary of Node ${line} for ${platform}. ${others}`);
  }
  const folder = toolFolder(name, version);
  const path = join(folder, 'bin', 'node');
  const found = (await run(path, ['--version'], { cwd: folder })).trim();
  if (found !== `v${version}`) throw new Error(`${path} is Node ${found}, not ${version}.`);
  return { line, version, path };
}
