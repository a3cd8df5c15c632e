// Results as Markdown that also reads well on a screen, and their place in the documentation.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem, type } from 'node:os';

/** @typedef {import('./rows.mjs').Result & { row: string, title: string }} NamedResult */

const DOCUMENT = new URL('../docs/RELIABILITY.md', import.meta.url);
const BEGIN = '<!-- chaos: written by npm run chaos -- --write -->';
const END = '<!-- /chaos -->';

/** @type {[title: string, read: (figures: NonNullable<NamedResult['figures']>) => number | undefined][]} */
const COLUMNS = [
  ['issued', ({ issued }) => issued],
  ['accepted', ({ accepted }) => accepted],
  ['kills', ({ kills }) => kills],
  ['faults', ({ faults }) => faults],
  ['delivered', ({ delivered }) => delivered],
  ['lost', ({ lost }) => lost],
  ['duplicates', ({ duplicates }) => duplicates],
  ['spurious', ({ spurious }) => spurious],
  ['corrupted', ({ corrupted }) => corrupted],
  ['torn tails', ({ tornTails }) => tornTails],
  ['peak MiB', ({ peakMemory }) => (peakMemory ? peakMemory / 2 ** 20 : undefined)],
  ['seconds', ({ seconds }) => seconds],
];

/** @returns {string} */
export function tableOf(/** @type {NamedResult[]} */ results) {
  const header = ['row', 'result', ...COLUMNS.map(([title]) => title)];
  const lines = results.map(({ row, status, figures = {} }) => [
    row,
    status,
    ...COLUMNS.map(([, read]) => formatNumber(read(figures))),
  ]);
  return markdownTable([header, ...lines], 2);
}

/** What shows that the rows ran, what was wrong, and the tables that rows have of their own. @returns {string} */
export function notesOf(/** @type {NamedResult[]} */ results) {
  const notes = results.flatMap(({ row, title, facts, problems }) => {
    const lines = [...facts, ...problems].map((line) => `  - ${line.replaceAll('\n', '\n    ')}`);
    return [`- \`${row}\`: ${title}`, ...lines];
  });
  const details = results.flatMap(({ row, detail }) =>
    detail === undefined ? [] : [`\n\`${row}\` in detail:\n\n${markdownTable(detail, 2)}`],
  );
  return [...notes, ...details].join('\n');
}

/** @returns {string} */
export function headingOf(/** @type {{ seed: number, short: boolean, seconds: number, date: Date }} */ run) {
  const [processor] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const machine = `${processor.model.trim()}, ${cpus().length} cores, ${memory} GiB, ${type()} ${process.arch}`;
  const facts = [
    `Seed ${run.seed}${run.short ? ', short version' : ''}`,
    `${run.date.toISOString().slice(0, 10)}, ${Math.round(run.seconds)} s`,
    `Node.js ${process.versions.node}`,
    machine,
  ];
  return facts.join(' · ');
}

/** Puts the text between the two markers of the document. */
export function writeDocument(/** @type {string} */ text, document = DOCUMENT) {
  const old = readFileSync(document, 'utf8');
  const [begin, end] = [old.indexOf(BEGIN), old.indexOf(END)];
  if (begin < 0 || end < begin)
    throw new Error(`docs/RELIABILITY.md has lost its markers: ${BEGIN} and ${END}`);
  writeFileSync(document, `${old.slice(0, begin)}${BEGIN}\n\n${text.trim()}\n\n${old.slice(end)}`);
}

function formatNumber(/** @type {number | undefined} */ value) {
  if (value === undefined) return '-';
  const digits = Number.isInteger(value) || value >= 100 ? 0 : 1;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/**
 * Padded to straight columns, as Prettier writes it.
 *
 * @param {string[][]} rows the first is the header
 * @param {number} textColumns all after them are numbers
 */
function markdownTable(rows, textColumns) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const lineOf = (/** @type {string[]} */ row) =>
    `| ${row.map((cell, i) => (i < textColumns ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i < textColumns ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [lineOf(rows[0]), `| ${rule.join(' | ')} |`, ...rows.slice(1).map(lineOf)].join('\n');
}
