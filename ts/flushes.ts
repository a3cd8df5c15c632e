/** Flushes that the engine has not ended yet, and waiting with a limit. */
import type { Engine, Notice } from './native.js';
import type { SegmentEvent } from './params.js';
import { reportOf, type DeliveryReport } from './report.js';

/** Beyond this, timers of Node fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

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
