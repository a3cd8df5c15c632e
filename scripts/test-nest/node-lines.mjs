// A Node of each wanted line: the running one, or the binary that npm carries for this platform.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from './program.mjs';

/** The line of the running Node. */
export const CURRENT = process.versions.node.split('.')[0];

/**
 * @typedef {{ line: string, version: string, path: string }} NodeBinary
 *
 * @param {string} line `22`
 * @param {Record<string, Record<string, string>>} table platform to its package and versions by line
 * @param {string} directory where binaries are installed
 * @returns {Promise<NodeBinary>}
 */
export async function nodeOf(line, table, directory) {
  if (line === CURRENT) return { line, version: process.versions.node, path: process.execPath };
  const platform = `${process.platform}-${process.arch}`;
  const { package: name, [line]: version } = table[platform] ?? {};
  if (name === undefined || version === undefined) {
    const others = 'Run this with that Node, or choose lines with --node.';
    throw new Error(`versions.json names no binary of Node ${line} for ${platform}. ${others}`);
  }
  const home = join(directory, `${name}-${version}`);
  const path = join(home, 'node_modules', name, 'bin', 'node');
  if (!existsSync(path)) await install(home, name, version);
  const found = (await run(path, ['--version'], { cwd: home })).trim();
  if (found !== `v${version}`) throw new Error(`${path} is Node ${found}, not ${version}.`);
  return { line, version, path };
}

async function install(home, name, version) {
  await mkdir(home, { recursive: true });
  await writeFile(
    join(home, 'package.json'),
    JSON.stringify({ private: true, dependencies: { [name]: version } }),
  );
  const quietly = ['--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', ...quietly], { cwd: home });
}
