/**
 * The README's table of platforms: what the last `npm run release:check` has run, and what it could only link.
 *
 *   node scripts/release/platform-table.mjs   writes it
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { GLIBC, MACOS, PLATFORMS } from '../addons/platforms.mjs';
import { lastCheck } from './check/report.mjs';

const README = join(fileURLToPath(new URL('../..', import.meta.url)), 'README.md');
const [BEGIN, END] = ['<!-- platforms -->', '<!-- /platforms -->'];
const SYSTEMS = { linux: 'Linux', darwin: 'macOS', win32: 'Windows' };

/** The README with the table as it has to be. */
export function readmeWithTable() {
  const text = readFileSync(README, 'utf8');
  const { rows } = lastCheck();
  const [before, rest] = text.split(BEGIN);
  const [, after] = rest.split(END);
  return `${before}${BEGIN}\n\n${tableOf(rows)}\n\n${END}${after}`;
}

function tableOf(rows) {
  const lines = Object.keys(PLATFORMS).map((platform) => [
    nameOf(platform),
    stateOf(platform, rows),
    triedOn(platform, rows),
  ]);
  const table = [['platform', 'addon', 'tried with'], ...lines];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((cells) => cells[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(table[0]), rule, ...lines.map(line)].join('\n');
}

function nameOf(platform) {
  const { os, cpu, libc } = PLATFORMS[platform].npm;
  const detail =
    { glibc: `glibc ${GLIBC} or newer`, musl: 'musl' }[libc] ?? (os === 'darwin' ? `${MACOS} or newer` : '');
  return [`${SYSTEMS[os]} ${cpu}`, detail].filter(Boolean).join(', ');
}

function stateOf(platform, rows) {
  const isBuilt = rows.some(({ part, what, passed }) => part === 'inspection' && what === platform && passed);
  if (!isBuilt) return 'not built';
  return runsOf(platform, rows).length > 0 ? 'run' : 'linked only';
}

/** Rows of the smoke test are called "platform, Node version, how". */
function runsOf(platform, rows) {
  return rows
    .filter(({ part, what, passed }) => part === 'platforms' && passed && what.startsWith(`${platform}, `))
    .map(({ what }) => what.split(', '));
}

function triedOn(platform, rows) {
  const runs = runsOf(platform, rows);
  if (runs.length === 0) return '';
  const versions = runs.map(([, node]) => node.replace('Node ', '')).join(', ');
  const how = runs[0].includes('qemu') ? ' under QEMU' : runs[0].includes('Wine') ? ' under Wine' : '';
  const more = [];
  if (platform === 'linux-x64-gnu') {
    const passed = (name) =>
      rows.some((row) => row.part === 'package managers' && row.passed && row.what.startsWith(`${name},`));
    more.push(...['Bun', 'Deno'].filter((name) => passed(name.toLowerCase())));
  }
  const tests = rows.filter(({ part, passed }) => part === 'Windows under Wine' && passed);
  const count = tests.reduce((sum, { detail }) => sum + Number.parseInt(detail, 10), 0);
  if (platform === 'win32-x64-msvc' && count > 0) more.push(`${count} tests`);
  return [`Node ${versions}${how}`, ...more].join('; ');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(README, readmeWithTable());
