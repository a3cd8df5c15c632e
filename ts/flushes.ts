/** Flushes that the engine has not ended yet, and waiting with a limit. */
import type { FlushParams } from './api.js';
import { clearTimeout, setTimeout } from './clock.js';
import { invalidOption, type AnalyticsError } from './errors.js';
import { optionNames, requireKnown } from './known-options.js';
import type { Engine, Notice } from './native.js';
import type { SegmentEvent } from './params.js';
import { reportOf, type DeliveryReport } from './report.js';

/** Beyond this, timers of Node fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

const FLUSH_OPTIONS = optionNames<FlushParams>({ timeout: true, close: true });

/**
 * Flushes with checked options, or rejects (`ERR_OPTION_INVALID`). As listeners and hooks, the methods are also called with
 * names of signals, exit codes and servers: what is no object is no options, and only what was written as options has to
 * be nothing else.
 */
export function flushWith(
  given: unknown,
  flush: (options: CheckedFlushParams) => Promise<DeliveryReport>,
): Promise<DeliveryReport> {
  try {
    return flush(checkedFlushParams(given));
  } catch (error) {
    const problem = error as AnalyticsError;
    return Promise.reject(problem);
  }
}

interface CheckedFlushParams {
  timeout: number | undefined;
  close: boolean;
}

function checkedFlushParams(given: unknown): CheckedFlushParams {
  if (typeof given !== 'object' || given === null) return { timeout: undefined, close: false };
  if (isPlain(given)) requireKnown(given, FLUSH_OPTIONS);
  const { timeout, close } = given as Readonly<Record<string, unknown>>;
  if (!isNil(timeout) && (typeof timeout !== 'number' || Number.isNaN(timeout))) {
    throw invalidOption('timeout', 'a number of milliseconds');
  }
  if (!isNil(close) && typeof close !== 'boolean') throw invalidOption('close', 'true or false');
  return { timeout: (timeout ?? undefined) as number | undefined, close: close === true };
}

function isNil(value: unknown): boolean {
  return value === undefined || value === null;
}

/** Of no class, whatever realm it is from. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The flushes of one client. */
export class Flushes {
  readonly #engine: Engine;
  readonly #open = new Map<number, (report: DeliveryReport) => void>();
  /** What flushes that close have left over, as far as it was told. */
  readonly #unflushed = new Map<number, SegmentEvent[]>();
  #last = 0;
  /** The flush that closes the client. */
  #closing = 0;
  #isClosed = false;
  #isOver = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The client is closed and everything was told: of what is refused from now on, nobody is told that there is mail. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Begins one. Infinity means no limit. */
  begin(limitMs: number, closes: boolean): Promise<DeliveryReport> {
    if (this.#isOver) return Promise.resolve(reportOf(JSON.parse(this.#engine.stats()) as object, 0, []));
    this.#last += 1;
    const id = this.#last;
    if (closes) this.#closing = id;
    return new Promise((resolve) => {
      this.#open.set(id, resolve);
      this.#engine.flush(id, limitMs <= LONGEST_TIMER_MS ? limitMs : -1, closes);
    });
  }

  /** The engine hands back events. */
  leftOver({ id, events }: Extract<Notice, { type: 'unflushed' }>): void {
    const unflushed = this.#unflushed.get(id) ?? [];
    for (const [, event] of events) unflushed.push(event as unknown as SegmentEvent);
    this.#unflushed.set(id, unflushed);
  }

  /** The engine has ended one. */
  ended({ id, stats, durationMs }: Extract<Notice, { type: 'flushed' }>): void {
    const resolve = this.#open.get(id);
    const unflushed = this.#unflushed.get(id) ?? [];
    this.#open.delete(id);
    this.#unflushed.delete(id);
    resolve?.(reportOf(stats, durationMs, unflushed));
    if (id === this.#closing) this.#isClosed = true;
    if (!this.#isClosed || this.#open.size > 0) return;
    this.#isOver = true;
    // Nothing of Node's is held any longer.
    this.#engine.end();
  }
}

/** Resolves once all of these have settled or the time is up. */
export async function settled(promises: ReadonlySet<Promise<void>>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    if (limitMs <= LONGEST_TIMER_MS) timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([Promise.allSettled(promises), late]);
  clearTimeout(timer);
}
