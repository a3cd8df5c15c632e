/** Between two invocations Lambda stops the process, and nobody notices that the other side hangs up. */
import type { Analytics } from '../analytics.js';
import { invalidOption } from '../errors.js';

/** Shorter than any server keeps an idle connection: Node's 5 s are the shortest in use. */
const MAX_IDLE_MS = 4_000;

/** Sees to it that the first request after a standstill does not go over a dead connection. */
export class Standstill {
  readonly #maxIdle: number;
  #lastEnd: number | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(maxIdle = MAX_IDLE_MS) {
    if (typeof maxIdle !== 'number' || !(maxIdle >= 0)) {
      throw invalidOption('maxIdle', 'a number of milliseconds from 0');
    }
    this.#maxIdle = maxIdle;
  }

  /** An invocation begins. By the time of day: a machine that stood still may not count the time. */
  begin(clients: readonly Pick<Analytics, 'reconnect'>[]): void {
    const end = this.#lastEnd;
    this.#lastEnd = undefined;
    if (end === undefined || Math.abs(Date.now() - end) < this.#maxIdle) return;
    for (const client of clients) client.reconnect();
  }

  /** It is over. */
  end(): void {
    this.#lastEnd = Date.now();
  }
}
