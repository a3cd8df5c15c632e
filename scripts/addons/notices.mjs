/**
 * The licences of the Rust crates that are linked into an addon, which most of them want to be passed on: from the
 * sources that cargo has built it from.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { ROOT } from '../setup/steps.mjs';

const MEBIBYTES = 64 * 1024 * 1024;
const LICENCE_FILE = /^(?:licen[cs]e|copying|notice|unlicense|copyright)/i;

/**
 * The text of `THIRD-PARTY-NOTICES.txt` for one of Rust's targets.
 *
 * @throws Error a crate comes without the text of its licence and names none
 */
export function noticesFor(target) {
  /** @type {Map<string, string[]>} the text to the crates that come with it */
  const texts = new Map();
  for (const { name, version, license, manifest_path: manifest } of linkedCrates(target)) {
    const found = licenceTexts(dirname(manifest), license ?? '');
    if (found.length === 0 && license === null)
      throw new Error(`The crate ${name} ${version} has no licence.`);
    for (const text of found.length > 0 ? found : [`Licence: ${license}`]) {
      texts.set(text, [...(texts.get(text) ?? []), `${name} ${version} (${license ?? 'see below'})`]);
    }
  }
  const rule = '-'.repeat(80);
  const entries = Array.from(texts, ([text, crates]) => `${crates.join('\n')}\n\n${text}`);
  const head =
    'This addon contains the Rust crates below, and parts of the Rust standard library (MIT or Apache-2.0).';
  return `${[head, ...entries].join(`\n\n${rule}\n\n`)}\n`;
}

/** Those of the library itself: neither what builds it nor what tests it. */
function linkedCrates(target) {
  const args = ['metadata', '--format-version', '1', '--locked', '--filter-platform', target];
  const metadata = JSON.parse(
    execFileSync('cargo', args, {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: MEBIBYTES,
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const linked = new Set();
  const waiting = [metadata.resolve.root];
  while (waiting.length > 0) {
    const id = waiting.pop();
    if (linked.has(id)) continue;
    linked.add(id);
    const normal = nodes
      .get(id)
      .deps.filter(({ dep_kinds: kinds }) => kinds.some(({ kind }) => kind === null));
    waiting.push(...normal.map(({ pkg }) => pkg));
  }
  linked.delete(metadata.resolve.root);
  return metadata.packages
    .filter(({ id }) => linked.has(id))
    .toSorted(
      (left, right) => left.name.localeCompare(right.name, 'en') || left.version.localeCompare(right.version),
    );
}

/** Of several licences to choose from, the MIT's, which asks for the shortest text. */
function licenceTexts(folder, licence) {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && LICENCE_FILE.test(entry.name))
    .map(({ name }) => name)
    .toSorted();
  const chosen = /\bMIT\b/.test(licence) ? names.filter((name) => /mit/i.test(name)) : [];
  return (chosen.length > 0 ? chosen : names).map((name) =>
    readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n').trim(),
  );
}
