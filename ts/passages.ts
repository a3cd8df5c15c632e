/** Events that are with plugins: from the call to the engine, or to an end without it. */
import type { Context } from './context.js';
import type { Endings } from './endings.js';
import { settled } from './flushes.js';
import type { Settlement } from './outcome.js';
import type { SegmentEvent, SegmentEventType } from './params.js';
import type { Plugins } from './plugins.js';

/** Waits for an event that only plugins or listeners wait for. */
export const NOBODY = { delivered: () => {}, failed: () => {} };

/** Where an event goes that plugins have seen. */
export interface Exit {
  /** Segment gets it. */
  send(event: SegmentEvent, type: SegmentEventType, settlement?: Settlement): void;
  /** A plugin has ended it. */
  cancelled(): void;
  /** Whether anybody listens for ends of events. */
  isHeard(): boolean;
}

/** The passages of one client. */
export class Passages<Instance> {
  readonly #plugins: Plugins<Instance>;
  readonly #endings: Endings;
  readonly #exit: Exit;
  readonly #underWay = new Set<Promise<void>>();
  #length = 0;
  #begun = 0;

  constructor(plugins: Plugins<Instance>, endings: Endings, exit: Exit) {
    this.#plugins = plugins;
    this.#endings = endings;
    this.#exit = exit;
  }

  /** Events that are under way. */
  get size(): number {
    return this.#underWay.size;
  }

  /** Characters of their JSON. */
  get length(): number {
    return this.#length;
  }

  /** Events that were given to plugins so far. */
  get begun(): number {
    return this.#begun;
  }

  /** Resolves when those that are under way have passed, or the time is up. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.size > 0) await settled(this.#underWay, timeoutMs);
  }

  /** `length` is that of the event's JSON. */
  begin(context: Context, type: SegmentEventType, length: number, settlement?: Settlement): void {
    this.#length += length;
    this.#begun += 1;
    const passage = this.#pass(context, type, settlement).finally(() => {
      this.#underWay.delete(passage);
      this.#length -= length;
    });
    this.#underWay.add(passage);
  }

  async #pass(start: Context, type: SegmentEventType, settlement?: Settlement): Promise<void> {
    const { context, passage } = await this.#plugins.prepare(start);
    if (passage.kind === 'cancel') {
      this.#exit.cancelled();
      return this.#endings.failed(passage.reason, context, settlement);
    }
    const others = this.#plugins.deliver(context);
    if (others !== undefined) this.#endings.add(others);
    const passed = async () => {
      await others;
      await this.#plugins.finish(context);
    };
    const isLate = others !== undefined || this.#plugins.hasLast;
    // Without anybody who waits for the context, it need not be kept.
    const isAwaited = settlement !== undefined || this.#plugins.hasLast || this.#exit.isHeard();
    const whole = isAwaited ? (settlement ?? { ...NOBODY }) : undefined;
    if (whole !== undefined) {
      whole.isOnlyHeard = false;
      whole.context = context;
      if (isLate) whole.passed = passed;
    }
    if (passage.kind === 'send') return this.#exit.send(context.event, type, whole);
    // It was accepted, and Segment is no party to it: no counter is about such an event.
    this.#endings.delivered(context, whole);
  }
}
