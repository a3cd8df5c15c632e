/** How the end of an event is told: to plugins that come last, then to whoever made the call, then to listeners. */
import type { AnalyticsEvents, Callback } from './api.js';
import type { Context } from './context.js';
import type { Emitter } from './emitter.js';
import { settled } from './flushes.js';
import { settlementOf, within, type Settlement } from './outcome.js';

/** As analytics-node: how long the promise of a callback is waited for. */
const CALLBACK_TIMEOUT_MS = 1_000;

/** The ends of one client's events. */
export class Endings {
  readonly #events: Pick<Emitter<AnalyticsEvents>, 'emit'>;
  /** What is not over for plugins and callbacks yet. */
  readonly #underWay = new Set<Promise<void>>();

  constructor(events: Pick<Emitter<AnalyticsEvents>, 'emit'>) {
    this.#events = events;
  }

  get isEmpty(): boolean {
    return this.#underWay.size === 0;
  }

  /** Resolves when what is under way is over, or the time is up. */
  async settled(timeoutMs: number): Promise<void> {
    if (!this.isEmpty) await settled(this.#underWay, timeoutMs);
  }

  /** A flush waits for it. It never rejects. */
  add(promise: Promise<void>): void {
    const ending = promise.finally(() => this.#underWay.delete(ending));
    this.#underWay.add(ending);
  }

  /** As in analytics-node, a flush waits for what a callback promised, but not for ever. */
  settlementOf(callback: Callback | undefined): Settlement | undefined {
    if (callback === undefined) return undefined;
    return settlementOf(callback, (promised) => this.add(settled(new Set([promised]), CALLBACK_TIMEOUT_MS)));
  }

  delivered(context: Context, settlement?: Settlement): void {
    this.#conclude(settlement, () => {
      settlement?.delivered(context);
      this.#events.emit(context.event.type, context);
    });
  }

  failed(reason: unknown, context: Context, settlement?: Settlement): void {
    context.setFailedDelivery({ reason });
    this.#conclude(settlement, () => {
      settlement?.failed(reason, context);
      this.#events.emit('error', { code: 'delivery_failure', reason, ctx: context });
    });
  }

  /** It was not accepted: whoever waits for it never hears of it before the call has returned. */
  refused(reason: unknown, context: Context, settlement?: Settlement): void {
    context.setFailedDelivery({ reason });
    if (settlement === undefined) return;
    const tell = () => within(settlement.scope, () => settlement.failed(reason, context));
    this.add(Promise.resolve().then(tell));
  }

  /** Tells of an event's end, once the plugins that come last have seen it. */
  #conclude(settlement: Settlement | undefined, tell: () => void): void {
    const told = () => within(settlement?.scope, tell);
    if (settlement?.passed === undefined) told();
    else this.add(settlement.passed().then(told));
  }
}
