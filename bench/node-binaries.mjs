// The Nodes that a metric can be measured under: the running one, and those that the release check has installed.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where scripts/setup/tools.mjs keeps what it installs. Nothing is installed for the bench. */
const TOOLS = new URL('../target/tools/', import.meta.url);
const VERSIONS = new URL('../scripts/release/versions.json', import.meta.url);
const PLATFORM = `${process.platform}-${process.arch}-gnu`;

/** @typedef {{ line: string, version: string, path: string }} NodeBinary */

const lineOf = (/** @type {string} */ version) => version.split('.')[0];

/**
 * @param {string[]} lines `24`
 * @returns {NodeBinary[]} the running Node first, then what there is of the other lines
 */
export function nodeBinaries(lines) {
  const running = process.versions.node;
  const found = [{ line: lineOf(running), version: running, path: process.execPath }];
  const { package: name, versions = [] } = JSON.parse(readFileSync(VERSIONS, 'utf8')).node[PLATFORM] ?? {};
  for (const version of versions) {
    const line = lineOf(version);
    const path = fileURLToPath(new URL(`${name}-${version}/node_modules/${name}/bin/node`, TOOLS));
    if (lines.includes(line) && line !== lineOf(running) && existsSync(path))
      found.push({ line, version, path });
  }
  return found;
}
