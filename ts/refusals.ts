/** Calls whose event is not accepted: counted, logged, and told to whoever wants to know. */
import type { AnalyticsEvents } from './api.js';
import { Context } from './context.js';
import type { Emitter } from './emitter.js';
import type { Endings } from './endings.js';
import type { AnalyticsError } from './errors.js';
import type { Log } from './logger.js';
import { REFUSALS, type Engine, type Refusal } from './native.js';
import { eventOf, refusalError, type Settlement, type Told } from './outcome.js';
import type { SegmentEvent, SegmentEventType } from './params.js';

/** What a client's refusals are told to. */
export interface RefusalEvents extends Pick<Emitter<AnalyticsEvents>, 'emit'> {
  hears(event: keyof AnalyticsEvents): boolean;
  /** One was counted, which the engine may have something to say about. */
  counted(): void;
}

/** The refusals of one client. */
export class Refusals {
  readonly #engine: Engine;
  readonly #events: RefusalEvents;
  readonly #endings: Endings;
  readonly #log: Log | undefined;
  readonly #redact: ((event: SegmentEvent) => SegmentEvent) | undefined;

  constructor(
    engine: Engine,
    events: RefusalEvents,
    endings: Endings,
    { log, redact }: { log: Log | undefined; redact: ((event: SegmentEvent) => SegmentEvent) | undefined },
  ) {
    this.#engine = engine;
    this.#events = events;
    this.#endings = endings;
    this.#log = log;
    this.#redact = redact;
  }

  /** Counts one of which nobody is told. */
  count(refusal: Refusal): void {
    this.#engine.refuse(REFUSALS.indexOf(refusal) + 1);
    this.#events.counted();
  }

  /** Returns false, as the call does. */
  refuse(refusal: Refusal, error: AnalyticsError, told: Told, settlement?: Settlement): false {
    this.count(refusal);
    return this.#report(error, told, settlement);
  }

  /** The same for a call as it was made: nobody has looked at what must not be kept. */
  refuseCall(
    refusal: Refusal,
    error: AnalyticsError,
    [type, source]: readonly [SegmentEventType, object],
    settlement?: Settlement,
  ): false {
    return this.refuse(refusal, error, () => this.eventOf(type, source), settlement);
  }

  /** The engine has refused it, and counted that. */
  byEngine(number: number, text: string, told: Told, settlement?: Settlement): false {
    const refusal = REFUSALS[number - 1] ?? 'malformed';
    return this.#report(refusalError(refusal, text), told, settlement);
  }

  /** The client is closed. */
  afterClose(type: SegmentEventType, source: object, settlement?: Settlement): false {
    this.count('closed');
    if (settlement === undefined && !this.#events.hears('call_after_close')) return false;
    const event = this.eventOf(type, source);
    this.#events.emit('call_after_close', event);
    this.#endings.refused(refusalError('closed', ''), new Context(event), settlement);
    return false;
  }

  /** The event of such a call, for those who may keep it: without what must not be kept. */
  eventOf(type: SegmentEventType, source: object): SegmentEvent {
    const event = eventOf(type, source);
    try {
      return this.#redact?.(event) ?? event;
    } catch {
      return eventOf(type, {});
    }
  }

  #report(error: AnalyticsError, told: Told, settlement?: Settlement): false {
    this.#log?.('debug', error.message, { code: error.code });
    const isHeard = this.#events.hears('error') || this.#events.hears('call_refused');
    // A queue that is full refuses as fast as it is asked.
    if (settlement === undefined && !isHeard) return false;
    const event = told();
    this.#events.emit('call_refused', error, event);
    const context = settlement?.context ?? new Context(event);
    // Plugins have seen it, and come last as well.
    if (settlement?.passed !== undefined) {
      this.#endings.failed(error, context, settlement);
      return false;
    }
    this.#endings.refused(error, context, settlement);
    this.#events.emit('error', { code: 'delivery_failure', reason: error, ctx: context });
    return false;
  }
}
