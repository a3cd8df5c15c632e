/** Rows under a header, in columns that are as wide as they must be. */
import { styledFor } from './terminal.js';

export interface Column {
  title: string;
  align?: 'right';
}

const GAP = '  ';

/** Lines with an end each. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) => {
    const padded = columns.map(({ align }, index) => {
      const [cell, width] = [cells[index] ?? '', widths[index] ?? 0];
      return align === 'right' ? cell.padStart(width) : cell.padEnd(width);
    });
    return padded.join(GAP).trimEnd();
  };
  const header = styledFor(process.stdout, 'bold', line(columns.map(({ title }) => title)));
  return [header, ...rows.map(line)].map((text) => `${text}\n`).join('');
}
