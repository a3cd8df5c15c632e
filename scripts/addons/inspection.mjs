/** What an addon is, read from its bytes, and what is wrong with it. Runs nothing of it: it may be for any platform. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { llvmTool } from '../setup/llvm-tools.mjs';
import { GLIBC, MACOS, PLATFORMS } from './platforms.mjs';

const MEGABYTE = 1_000_000;

/** The most that an addon may weigh. */
export const MAX_BYTES = 6 * MEGABYTE;

/** What Node calls. */
const ENTRANCE = 'napi_register_module_v1';

/**
 * @typedef {object} Facts
 * @property {string} format kind of file and machine
 * @property {string[]} libraries what it needs
 * @property {string} [glibc] the newest glibc that it asks for
 * @property {string} [macos] the oldest macOS
 * @property {number} bytes
 * @property {boolean} isStripped no symbols but those that are called from outside
 * @property {boolean} hasEntrance Node can load it
 * @property {string[]} paths of whoever built it
 * @property {string} [version] of the package that it was built for
 */

/**
 * @param {string} path
 * @returns {Facts}
 */
export function inspect(path) {
  const read = (...options) =>
    execFileSync(llvmTool('llvm-readobj'), [...options, path], { encoding: 'utf8', maxBuffer: 64 * MEGABYTE });
  const bytes = readFileSync(path);
  const format = /^Format: (.+)$/m.exec(read())?.[1] ?? 'unknown';
  const kind = format.slice(0, 3);
  const text = bytes.toString('latin1');
  return {
    format,
    libraries: kind === 'COF' ? importsOf(read('--coff-imports')) : neededBy(read('--needed-libs'), kind),
    glibc: kind === 'elf' ? newestGlibc(read('--version-info')) : undefined,
    macos: kind === 'Mac' ? /^ +Version: (\S+)$/m.exec(read('--macho-version-min'))?.[1] : undefined,
    bytes: bytes.length,
    isStripped: isStripped(kind, read),
    hasEntrance: text.includes(ENTRANCE),
    paths: pathsIn(text),
    version: /companion-segment\/(\d+\.\d+\.\d+[\w.-]*) /.exec(text)?.[1],
  };
}

/**
 * @param {string} platform
 * @param {Facts} facts
 * @param {string} version of the package
 * @returns {string[]} what is wrong, a line each
 */
export function faultsOf(platform, facts, version) {
  const expected = PLATFORMS[platform];
  const foreign = facts.libraries.filter((library) => !expected.libraries.test(library));
  const found = [
    facts.format !== expected.format && `is ${facts.format}, not ${expected.format}`,
    foreign.length > 0 && `needs ${foreign.join(', ')}, which not every such machine has`,
    isNewer(facts.glibc, GLIBC) && `needs glibc ${facts.glibc}; ${GLIBC} is the limit`,
    isNewer(facts.macos, MACOS) && `needs macOS ${facts.macos}; ${MACOS} is the limit`,
    facts.bytes > MAX_BYTES && `has ${facts.bytes} bytes; ${MAX_BYTES} is the limit`,
    !facts.isStripped && 'is not stripped',
    !facts.hasEntrance && `has no ${ENTRANCE}: Node can't load it`,
    facts.paths.length > 0 && `names paths of the machine that built it: ${facts.paths.slice(0, 3).join(', ')}`,
    facts.version !== version && `is of version ${facts.version ?? 'unknown'}, not ${version}`,
  ];
  return found.filter((fault) => fault !== false);
}

function neededBy(output, kind) {
  const list = /NeededLibraries \[\n(?<list>[\s\S]*?)\]/.exec(output)?.groups.list ?? '';
  const names = list.trim().split(/\s+/).filter(Boolean);
  // A library of macOS lists its own name too.
  return kind === 'Mac' ? names.filter((name) => !name.startsWith('@rpath/')) : names;
}

function importsOf(output) {
  return Array.from(output.matchAll(/^ +Name: (\S+\.dll)$/gim), ([, name]) => name);
}

function newestGlibc(output) {
  const versions = Array.from(output.matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g), ([, version]) => version);
  return versions.toSorted((left, right) => (isNewer(left, right) ? -1 : 1))[0];
}

function isStripped(kind, read) {
  if (kind === 'elf') return !/Name: \.(?:symtab|debug_)/.test(read('--sections'));
  if (kind === 'COF') return /SymbolCount: 0$/m.test(read('--file-headers'));
  // What is called from outside stays: the entrance alone, and what is looked up in other libraries.
  return !/Type: (?!Undef)\w+[\s\S]*?StabType|Name: __RN/.test(read('--symbols'));
}

/** Absolute paths of sources. Those of Rust's own library, and of crates as the build names them, are the same for everybody. */
function pathsIn(text) {
  const found = text.matchAll(
    /(?<![\w.-])(?:[A-Z]:\\|\/)(?!rustc\/|rust\/deps[\\/]|cargo\/registry\/)(?:[\w.-]+[\\/]){2,}[\w.-]+\.(?:rs|c|cc|h|S)\b/g,
  );
  return Array.from(new Set(Array.from(found, ([path]) => path)));
}

function isNewer(version, limit) {
  if (version === undefined) return false;
  const [left, right] = [version, limit].map((text) => text.split('.').map(Number));
  const index = left.findIndex((part, position) => part !== (right[position] ?? 0));
  return index >= 0 && left[index] > (right[index] ?? 0);
}
