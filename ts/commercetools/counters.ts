/** What was received and what came of it. */
import type { NotificationOutcome } from './types.js';

/** Upper bounds of the latency histogram, in seconds. */
export const LATENCY_BOUNDS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Counters since the receiver began. `received` is the sum of all that follow. */
export interface NotificationStats {
  received: number;
  identified: number;
  /** By reason. */
  ignored: Record<string, number>;
  /** By reason. */
  invalid: Record<string, number>;
  /** By code; `unknown` where there is none. */
  failed: Record<string, number>;
  /** Identified in proportion to identified and failed; 1 as long as there is neither. */
  successRate: number;
  /** From the notification to its outcome. */
  latency: {
    count: number;
    sumSeconds: number;
    maxSeconds: number;
    /** How many took at most `LATENCY_BOUNDS_S` of the same place. */
    buckets: number[];
  };
}

/** Counts for one receiver. */
export class NotificationCounters {
  readonly #byOutcome = {
    ignored: new Map<string, number>(),
    invalid: new Map<string, number>(),
    failed: new Map<string, number>(),
  };
  #identified = 0;
  #count = 0;
  #sumSeconds = 0;
  #maxSeconds = 0;
  readonly #buckets = LATENCY_BOUNDS_S.map(() => 0);

  count(outcome: NotificationOutcome, durationMs: number): void {
    this.#measure(durationMs / 1_000);
    if (outcome.outcome === 'identified' || outcome.outcome === 'accepted') {
      this.#identified += 1;
      return;
    }
    const counts = this.#byOutcome[outcome.outcome];
    const reason = outcome.outcome === 'failed' ? (outcome.error.code ?? 'unknown') : outcome.reason;
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }

  stats(): NotificationStats {
    const failed = Object.fromEntries(this.#byOutcome.failed);
    const tried = this.#identified + Object.values(failed).reduce((sum, count) => sum + count, 0);
    return {
      received: this.#count,
      identified: this.#identified,
      ignored: Object.fromEntries(this.#byOutcome.ignored),
      invalid: Object.fromEntries(this.#byOutcome.invalid),
      failed,
      successRate: tried === 0 ? 1 : this.#identified / tried,
      latency: {
        count: this.#count,
        sumSeconds: this.#sumSeconds,
        maxSeconds: this.#maxSeconds,
        buckets: [...this.#buckets],
      },
    };
  }

  #measure(seconds: number): void {
    this.#count += 1;
    this.#sumSeconds += seconds;
    this.#maxSeconds = Math.max(this.#maxSeconds, seconds);
    for (const [index, bound] of LATENCY_BOUNDS_S.entries()) {
      if (seconds <= bound) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    }
  }
}
