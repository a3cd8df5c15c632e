/** How far a drain has come: a bar on a terminal, now and then a line elsewhere. */
import { clearLine, cursorTo } from 'node:readline';

import type { Stats } from '../report.js';
import { count, counted } from './format.js';
import { say } from './terminal.js';

/** Told of every look at the counters. */
export interface Progress {
  show(stats: Stats): void;
  /** Says something in between, or nothing more. */
  clear(): void;
}

/** For those who read no screen. */
export const NO_PROGRESS: Progress = { show: () => {}, clear: () => {} };

/** Progress on stderr. `expected`: events that were found beforehand. */
export function progressOn(stream: NodeJS.WriteStream, expected: number): Progress {
  return stream.isTTY ? new Bar(stream, expected) : new Lines(expected);
}

/** Events whose fate is known. */
export function settledIn({ delivered, dropped }: Stats): number {
  return Object.values(dropped).reduce((total, number) => total + number, delivered);
}

function partOf(stats: Stats, expected: number): { settled: number; total: number } {
  // More may have been left meanwhile.
  return { settled: settledIn(stats), total: Math.max(expected, stats.accepted) };
}

function failuresIn({ consecutiveFailures }: Stats): string {
  if (consecutiveFailures === 0) return '';
  return ` (${counted(consecutiveFailures, 'attempt')} failed)`;
}

const BAR_WIDTH = 20;
const DEFAULT_COLUMNS = 80;

class Bar implements Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #expected: number;

  constructor(stream: NodeJS.WriteStream, expected: number) {
    this.#stream = stream;
    this.#expected = expected;
  }

  show(stats: Stats): void {
    const { settled, total } = partOf(stats, this.#expected);
    const part = total === 0 ? 1 : settled / total;
    const filled = Math.floor(part * BAR_WIDTH);
    const bar = `${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}`;
    const percent = `${Math.floor(part * 100)} %`.padStart(5);
    const text = `[${bar}] ${percent}  ${count(settled)} of ${count(total)} events${failuresIn(stats)}`;
    this.clear();
    // A line that wraps could not be cleared.
    this.#stream.write(text.slice(0, (this.#stream.columns || DEFAULT_COLUMNS) - 1));
  }

  clear(): void {
    cursorTo(this.#stream, 0);
    clearLine(this.#stream, 0);
  }
}

const LINE_INTERVAL_MS = 1_000;

class Lines implements Progress {
  readonly #expected: number;
  #last = '';
  #nextAt = performance.now() + LINE_INTERVAL_MS;

  constructor(expected: number) {
    this.#expected = expected;
  }

  show(stats: Stats): void {
    if (performance.now() < this.#nextAt) return;
    this.#nextAt = performance.now() + LINE_INTERVAL_MS;
    const { settled, total } = partOf(stats, this.#expected);
    const text = `${count(settled)} of ${count(total)} events${failuresIn(stats)}`;
    // What stands still fills no log.
    if (text !== this.#last) say(text);
    this.#last = text;
  }

  clear(): void {}
}
