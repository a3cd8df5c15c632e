/** `deliver.*`: the six methods as promises of what became of the event, on disk and at Segment. */
import type { Deliver, Delivery, Receipt } from './api.js';
import { deferred, type Deferred } from './deferred.js';
import { AnalyticsError } from './errors.js';
import { heldOpen } from './keep-alive.js';
import { INTEREST, type Engine } from './native.js';
import type { Settlement } from './outcome.js';
import type { MethodParams, SegmentEventType } from './params.js';

/** Makes a call whose fate somebody waits for. */
type Call = <Type extends SegmentEventType>(
  type: Type,
  params: MethodParams[Type],
  settlement: Settlement,
) => void;

/** The promises of one client. */
export function deliverThrough(call: Call, persistence: Persistence, owner: object): Deliver {
  const deliver = <Type extends SegmentEventType>(type: Type) => {
    return (params: MethodParams[Type]): Delivery => {
      const stored = deferred();
      const fate = new Promise<Receipt>((resolve, reject) => {
        call(type, params, {
          accepted: (sequence) => persistence.watch(sequence, stored),
          delivered: ({ event, attempts }) => resolve({ messageId: String(event.messageId), attempts }),
          failed: reject,
        });
      });
      // Where the disk was never asked, the event's end is the answer.
      fate.then(() => stored.resolve(), stored.reject);
      // Nobody has to look at it.
      stored.promise.catch(() => {});
      return Object.assign(heldOpen(fate, owner), { persisted: heldOpen(stored.promise, owner) });
    };
  };
  return {
    identify: deliver('identify'),
    track: deliver('track'),
    page: deliver('page'),
    screen: deliver('screen'),
    group: deliver('group'),
    alias: deliver('alias'),
  };
}

/** Who waits for an event to be safe on disk. */
export class Persistence {
  readonly #engine: Engine;
  readonly #waiting = new Map<number, Deferred<void>>();
  readonly #interestChanged: () => void;

  constructor(engine: Engine, interestChanged: () => void) {
    this.#engine = engine;
    this.#interestChanged = interestChanged;
  }

  /** What to ask the engine to tell. */
  get interest(): number {
    return this.#waiting.size > 0 ? INTEREST.persisted : 0;
  }

  /** Settles the promise once the event is as safe as `durability` says. */
  watch(sequence: number, stored: Deferred<void>): void {
    this.#waiting.set(sequence, stored);
    // In this order, so that a commit in between is heard of.
    this.#interestChanged();
    const state = this.#engine.isPersisted(sequence);
    if (state >= 0) this.#settle(sequence, state === 1);
  }

  /** A commit is over. */
  committed(persisted: boolean, upTo: number): void {
    for (const sequence of this.#waiting.keys()) if (sequence <= upTo) this.#settle(sequence, persisted);
  }

  #settle(sequence: number, persisted: boolean): void {
    const stored = this.#waiting.get(sequence);
    this.#waiting.delete(sequence);
    if (this.#waiting.size === 0) this.#interestChanged();
    if (persisted) return stored?.resolve();
    const text =
      'The event is in memory only: there is no spool, or its disk fails. It will be delivered all the same.';
    stored?.reject(new AnalyticsError('ERR_SPOOL', text));
  }
}
