// Turns results into Markdown that also reads well on a screen: tables are padded to straight columns.
import { cpus, totalmem, type } from 'node:os';
import { CONTROL, OURS } from './sdks/adapter.mjs';

/**
 * @typedef {import('./metrics/metric.mjs').Metric} Metric
 * @typedef {import('./statistics.mjs').Spread} Spread
 */

function formatNumber(/** @type {number} */ value, /** @type {number} */ digits) {
  const text = value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return /^-[0.]+$/.test(text) ? text.slice(1) : text;
}

function formatSpread(/** @type {Spread | undefined} */ spread, /** @type {number} */ digits) {
  if (!spread) return '-';
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) =>
    formatNumber(value, digits),
  );
  return min === max ? median : `${median} (${min} to ${max})`;
}

/** @param {string[][]} rows the first is the header; all columns but the first are numbers */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const line = (/** @type {string[]} */ row) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}

/**
 * @param {Metric} metric
 * @param {Record<string, Record<string, Spread>>} bySdk or by SDK and case
 * @param {Record<string, string>} labels
 * @param {Record<string, string>} sizes
 */
export function metricSection(metric, bySdk, labels, sizes) {
  const headline = metric.columns.find((column) => column.headline) ?? metric.columns[0];
  /** Of the same case, where a metric has cases. */
  const ours = (/** @type {string} */ row) => bySdk[row.replace(/^[^/]+/, OURS)]?.[headline.key]?.median;
  const header = ['', ...metric.columns.map((column) => column.title), `${headline.title} vs ours`, 'run'];
  const rows = Object.entries(bySdk).map(([row, spreads]) => [
    labels[row],
    ...metric.columns.map((column) => formatSpread(spreads[column.key], column.digits)),
    ours(row) && row !== CONTROL ? `${formatNumber(spreads[headline.key].median / ours(row), 2)} ×` : '-',
    sizes[row],
  ]);
  return `## ${metric.title}\n\n${metric.note}\n\n${table([header, ...rows])}\n`;
}

/**
 * @param {import('./budgets.mjs').Verdict[]} verdicts
 * @param {boolean} quick
 */
export function budgetSection(verdicts, quick) {
  const rows = verdicts.map(({ what, budget, measured, verdict }) => [what, budget, measured, verdict]);
  return `## Budgets${quick ? ' (of a quick run: a smoke test, not a verdict)' : ''}\n\n${table([['', 'budget', 'measured', ''], ...rows])}\n`;
}

/**
 * @param {{ command: string, rounds: number, versions: Record<string, string>, startedAt: Date, seconds: number,
 *   loadBefore: number }} run
 */
export function heading({ command, rounds, versions, startedAt, seconds, loadBefore }) {
  const [cpu] = cpus();
  const facts = [
    `- Command: \`${command}\``,
    `- Date: ${startedAt.toISOString().slice(0, 10)}, ${Math.round(seconds)} s`,
    `- Load average before the run: ${loadBefore.toFixed(2)} (other work on the machine distorts every value)`,
    `- Machine: ${cpu.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${process.arch}`,
    `- Node.js ${process.versions.node}, V8 ${process.versions.v8}`,
    ...Object.entries(versions).map(([label, version]) => `- ${label} ${version}`),
  ];
  const method = [
    `Each value is the median of ${rounds} interleaved rounds, with the lowest and the highest in brackets. "vs ours"`,
    'is the quotient of the medians. Every SDK runs in its own process with its default settings, against the same',
    'collector in another process over loopback. In every run the collector checks that each event arrived exactly',
    'once; a run in which one did not fails the bench.',
  ];
  return `# Benchmark results\n\n${facts.join('\n')}\n\n${method.join('\n')}\n`;
}
