/** Prints the differing rows as a Markdown table: `node __test__/contract/table.mjs`. */
import { fileURLToPath } from 'node:url';

import { DIFFERENCES } from './behaviours.mjs';

const HEADS = ['behaviour', 'analytics-node', '@companion/segment', 'why', 'what to do'];

/** The cells of each row. */
export const rows = DIFFERENCES.map(({ title, differs }) => {
  const { kind, theirs, ours, why, advice = 'nothing' } = differs;
  return [title, theirs, ours, kind === 'deliberate' ? why : `a defect of theirs: ${why}`, advice];
});

const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;

export const table = [line(HEADS), line(HEADS.map(() => '---')), ...rows.map(line)].join('\n');

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(`${table}\n`);
