/** Numbers for people. */

/** `12,345` */
export function count(number: number): string {
  return number.toLocaleString('en-US');
}

/** `1 event`, `12,345 events` */
export function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

const BYTE_UNITS = ['kB', 'MB', 'GB', 'TB'] as const;

/** `4.2 MB` */
export function byteSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  let [size, unit] = [bytes, ''];
  for (unit of BYTE_UNITS) {
    size /= 1_000;
    // What rounds to a thousand is one of the next unit.
    if (size < 999.95) break;
  }
  return `${size.toFixed(1)} ${unit}`;
}

const DURATION_UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

/** `3 h 12 min`: the two largest units. */
export function duration(milliseconds: number): string {
  let rest = Math.max(0, Math.floor(milliseconds / 1_000));
  const parts: string[] = [];
  for (const [unit, seconds] of DURATION_UNITS) {
    const amount = Math.floor(rest / seconds);
    rest -= amount * seconds;
    if (amount > 0) parts.push(`${amount} ${unit}`);
    // After days come hours or nothing: minutes would not matter.
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0 s';
}
