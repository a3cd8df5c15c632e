/** The face: the API that users of analytics-node know, on top of an engine that works off this thread. */
import { randomUUID } from 'node:crypto';

import { apart } from './apart.js';
import type { AnalyticsEvents, Callback, CloseAndFlushParams, Deliver, FlushParams } from './api.js';
import { bindMembers } from './bound.js';
import { isDateReplaced, monotonicNow } from './clock.js';
import { Context } from './context.js';
import { deliverThrough, Persistence } from './deliver.js';
import { Departure } from './departure.js';
import { Emitter } from './emitter.js';
import { Endings } from './endings.js';
import { AnalyticsError, ValidationError, type ErrorCode } from './errors.js';
import { Flushes, flushWith } from './flushes.js';
import { HeldEvents } from './held.js';
import { answerThrough, type HTTPClient } from './http-client.js';
import { heldOpen } from './keep-alive.js';
import { messageFrom, messageOf, problemOf, type Message } from './message.js';
import type { Log } from './logger.js';
import {
  CALLBACK_FOR,
  FLAG,
  INTEREST,
  interestIn,
  startNative,
  type Engine,
  type Notice,
  type StartEngine,
} from './native.js';
import {
  resolveSettings,
  settingsFromEnvironment,
  shownSettings,
  type AnalyticsSettings,
  type SettingsOverrides,
} from './options.js';
import {
  callbackProblem,
  contextOf,
  errorOf,
  eventOf,
  keptError,
  flagsOf,
  refusalError,
  scopeOfCall,
  statusText,
  telling,
  within,
  type Settlement,
} from './outcome.js';
import type { MethodParams, SegmentEvent, SegmentEventType } from './params.js';
import { NOBODY, Passages } from './passages.js';
import { excludesSegment, Plugins, type Plugin } from './plugins.js';
import { Refusals } from './refusals.js';
import { statsOf, type DeliveryReport, type Stats } from './report.js';
import { Settlements } from './settlements.js';
import { copyOfMessage, eventWith } from './snapshot.js';
import { Turns } from './turns.js';
import { notSerializable } from './unserializable.js';
import { VERSION } from './version.js';

/** As analytics-node: 1.25 times the longest a batch waits, at least a minute of it. */
const CLOSE_TIMEOUT_MS = 75_000;

/** Sends events to Segment. Calls return at once; delivery goes on off this thread. */
export class Analytics extends Emitter<AnalyticsEvents> {
  /** Resolves once the client takes events, which is at once. */
  readonly ready: Promise<void> = Promise.resolve();
  /** The same six methods, as promises that settle when the event's fate is known. */
  readonly deliver: Deliver;
  readonly #engine: Engine;
  readonly #maxQueueBytes: number;
  readonly #log: Log | undefined;
  readonly #httpClient: HTTPClient | undefined;
  readonly #tokenClient: HTTPClient | undefined;
  readonly #redact: ((event: SegmentEvent) => SegmentEvent) | undefined;
  readonly #plugins = new Plugins<Analytics>();
  readonly #settlements = new Settlements();
  /** What was tracked in this turn of the event loop. */
  readonly #held: HeldEvents;
  readonly #departure: Departure;
  readonly #flushes: Flushes;
  readonly #endings = new Endings(this);
  readonly #passages: Passages<Analytics>;
  readonly #refusals: Refusals;
  #interest = 0;
  readonly #persistence: Persistence;
  readonly #mail = new Turns(() => this.#readMail());
  #closed = false;
  #closing: Promise<DeliveryReport> | undefined;

  /** @throws AnalyticsError `ERR_WRITE_KEY_MISSING` or `ERR_OPTION_INVALID` with `field` and `limit` */
  constructor(settings: AnalyticsSettings);
  /** @internal */
  constructor(settings: AnalyticsSettings, start: StartEngine);
  constructor(settings: AnalyticsSettings, start: StartEngine = startNative) {
    super();
    bindMembers(this, Analytics.prototype);
    const { engineOptions, httpClient, tokenClient, log, logLevel, flushOnSignal, redact } =
      resolveSettings(settings);
    this.#httpClient = httpClient;
    this.#tokenClient = tokenClient;
    this.#log = log;
    this.#redact = redact;
    // The engine holds on to the callback; weakly, the client can still be collected.
    const mail = new WeakRef(this.#mail);
    const wake = () => mail.deref()?.take();
    const usesCallback =
      (httpClient === undefined ? 0 : CALLBACK_FOR.batches) |
      (tokenClient === undefined ? 0 : CALLBACK_FOR.tokens);
    this.#engine = start(engineOptions, wake, logLevel, usesCallback);
    this.#maxQueueBytes = this.#engine.maxQueueBytes();
    this.#flushes = new Flushes(this.#engine);
    this.#held = new HeldEvents(this.#engine);
    this.#passages = this.#passagesTo();
    this.#refusals = this.#refusalsOf(this.#engine);
    this.#persistence = this.#persistenceOf(this.#engine);
    this.deliver = this.#deliveries();
    this.#departure = this.#departureOf(usesCallback !== 0);
    this.#departure.announce(flushOnSignal);
    this.#tellInterest();
    this.emit('initialize', shownSettings(settings));
  }

  /** A client from `SEGMENT_WRITE_KEY`, `_HOST`, `_REGION`, `_SPOOL_DIR` and `_DISABLE`; `overrides` win. */
  static fromEnvironment(overrides: SettingsOverrides = {}, env = process.env): Analytics {
    return new this(settingsFromEnvironment(overrides, env));
  }

  get VERSION(): string {
    return VERSION;
  }

  /** Who the user is. True: accepted; false: refused, and `error` listeners know why. */
  identify(params: MethodParams['identify'], callback?: Callback): boolean {
    return this.#call('identify', params, this.#endings.settlementOf(callback));
  }

  /** What the user did. True: accepted; false: refused, and `error` listeners know why. */
  track(params: MethodParams['track'], callback?: Callback): boolean {
    return this.#call('track', params, this.#endings.settlementOf(callback));
  }

  /** A web page was seen. True: accepted; false: refused, and `error` listeners know why. */
  page(params: MethodParams['page'], callback?: Callback): boolean {
    return this.#call('page', params, this.#endings.settlementOf(callback));
  }

  /** A screen of an application was seen. True: accepted; false: refused, and `error` listeners know why. */
  screen(params: MethodParams['screen'], callback?: Callback): boolean {
    return this.#call('screen', params, this.#endings.settlementOf(callback));
  }

  /** Which group the user belongs to. True: accepted; false: refused, and `error` listeners know why. */
  group(params: MethodParams['group'], callback?: Callback): boolean {
    return this.#call('group', params, this.#endings.settlementOf(callback));
  }

  /** Two ids are one user. True: accepted; false: refused, and `error` listeners know why. */
  alias(params: MethodParams['alias'], callback?: Callback): boolean {
    return this.#call('alias', params, this.#endings.settlementOf(callback));
  }

  /**
   * Sends everything accepted before the call and resolves when all of it is settled. Overlapping calls join.
   * Rejects for nothing but its options (`ERR_OPTION_INVALID`).
   */
  async flush(options?: FlushParams): Promise<DeliveryReport> {
    return flushWith(options, ({ close, timeout }) =>
      close ? this.closeAndFlush({ timeout }) : this.#flush(timeout, false),
    );
  }

  /**
   * Accepts nothing more, delivers what it can in time and hands back the rest. Repeated calls join the first. With
   * options that can't be meant it rejects (`ERR_OPTION_INVALID`) and closes nothing.
   */
  closeAndFlush(options?: CloseAndFlushParams): Promise<DeliveryReport> {
    return flushWith(options, ({ timeout = CLOSE_TIMEOUT_MS }) => {
      this.#closed = true;
      return (this.#closing ??= this.#flush(timeout, true));
    });
  }

  /**
   * Lets go of idle connections: after a standstill of the process nobody knows whether the other side still has them.
   *
   * @internal
   */
  reconnect(): void {
    this.#engine.reconnect();
  }

  /** The counters as they are now. */
  stats(): Stats {
    this.#held.look();
    return { ...statsOf(JSON.parse(this.#engine.stats()) as object), maxQueueBytes: this.#maxQueueBytes };
  }

  /**
   * Lets native code put an identify call into the queue: `take` gives back `+`, or `-`, the number of the refusal and
   * the message. Undefined when events have to be seen on this thread.
   *
   * @internal
   */
  identifyNatively(take: (handle: number) => string): string | undefined {
    const { isGuarded } = this.#departure;
    const isChanged = !this.#plugins.isEmpty || this.#redact !== undefined || isDateReplaced();
    const handle = this.#closed || isGuarded || isChanged ? 0 : this.#engine.handle();
    if (handle === 0) return undefined;
    this.#held.begin();
    const answer = take(handle);
    if (answer.startsWith('+')) this.#departure.hold();
    if (answer.startsWith('-')) {
      const text = answer.slice(2);
      this.#refusals.byEngine(Number(answer[1]), text, () =>
        eventOf('identify', JSON.parse(text) as Message),
      );
    }
    return answer;
  }

  /**
   * The event of a call that was not accepted, for those who may keep it: without what must not be kept.
   *
   * @internal
   */
  refusedEvent(type: SegmentEventType, source: object): SegmentEvent {
    return this.#refusals.eventOf(type, source);
  }

  /**
   * Adds plugins; resolves once they have loaded. They see what is tracked from now on, and what was tracked before in the
   * same turn of the event loop. Rejects with `ERR_VALIDATION` when one of them is no plugin; the others are added.
   */
  async register(...plugins: Plugin<Analytics>[]): Promise<void> {
    this.#departure.guard();
    const loaded = this.#plugins.register(plugins, this, (message, error) => this.#warn(message, error));
    if (!this.#plugins.isEmpty) this.#recall();
    await loaded;
    this.emit(
      'register',
      plugins.map(({ name }) => name),
    );
  }

  /** Removes plugins by name. */
  async deregister(...pluginNames: string[]): Promise<void> {
    await this.#plugins.deregister(pluginNames, this, (message, error) => this.#warn(message, error));
    this.emit('deregister', pluginNames);
  }

  protected override listenersChanged(): void {
    this.#interest = interestIn((event) => this.hears(event));
    if ((this.#interest & INTEREST.delivered) === 0) this.#settlements.forgetHeard();
    this.#tellInterest();
  }

  #tellInterest(): void {
    // `drained` always: it tells when the client may be collected.
    this.#engine.setInterest(this.#interest | this.#persistence.interest | INTEREST.drained);
  }

  protected override listenerFailed(event: keyof AnalyticsEvents, error: unknown): void {
    this.#warn(`A listener of ${event} failed.`, error);
    if (event !== 'error') this.emit('error', { code: 'unknown', reason: error });
  }

  #call<Type extends SegmentEventType>(
    type: Type,
    params: MethodParams[Type],
    settlement?: Settlement,
  ): boolean {
    let message: Message;
    try {
      message = messageOf[type](params);
    } catch (error) {
      if (error instanceof ValidationError) {
        this.#refusals.count('invalid');
        throw error;
      }
      // A getter or toJSON() of the caller's threw.
      const problem = notSerializable(params);
      return this.#refusals.refuseCall('not_serializable', problem, [type, params], settlement);
    }
    const problem = callbackProblem(settlement);
    if (problem !== undefined)
      return this.#refusals.refuseCall('invalid', problem, [type, message], settlement);
    // The engine would write the time of the machine.
    if (isDateReplaced()) message.timestamp ??= new Date();
    if (this.#closed || !this.#departure.takes()) return this.#refusals.afterClose(type, message, settlement);
    if (!this.#take(type, message, settlement)) return false;
    return this.#departure.taken() || this.#refusals.afterClose(type, message, settlement);
  }

  #take(type: SegmentEventType, message: Message, settlement?: Settlement): boolean {
    const isPlain =
      this.#plugins.isEmpty && this.#redact === undefined && !excludesSegment(message.integrations);
    const told = settlement ?? this.#listenersOf(type);
    return isPlain ? this.#enqueue(type, message, told, true) : this.#detour(type, message, told);
  }

  /** With `isPlain` it goes its way without a plugin: as yet. */
  #enqueue(type: SegmentEventType, message: Message, settlement?: Settlement, isPlain = false): boolean {
    const problem = problemOf(type, message);
    if (problem !== undefined)
      return this.#refusals.refuse('invalid', problem, telling(type, message), settlement);
    let text: string;
    try {
      const copy = settlement === undefined ? undefined : this.#copy(type, message, settlement);
      text = JSON.stringify(copy ?? message);
    } catch {
      const told = telling(type, message);
      return this.#refusals.refuse('not_serializable', notSerializable(message), told, settlement);
    }
    if (isPlain) this.#held.begin();
    const flags = flagsOf(type, message, settlement) + (isPlain ? FLAG.held : 0);
    const sequence = this.#engine.enqueue(text, flags);
    if (sequence < 0) return this.#refusals.byEngine(-sequence, text, telling(type, message), settlement);
    if (isPlain) this.#held.remember(sequence, message, text);
    else this.#held.passed(sequence);
    if (settlement !== undefined) this.#keep(sequence, settlement, text.length);
    this.#departure.hold();
    return true;
  }

  /** Who listens for the end of such an event. */
  #listenersOf(type: SegmentEventType): Settlement | undefined {
    if ((this.#interest & INTEREST.delivered) === 0 || !this.hears(type)) return undefined;
    return { ...NOBODY, scope: scopeOfCall(), isOnlyHeard: true };
  }

  /** Whoever is told of an event is told of what was passed. So much of it is kept; what is sent is made of the copy. */
  #copy(type: SegmentEventType, message: Message, settlement: Settlement): object | undefined {
    if (settlement.context !== undefined || !this.#settlements.takesCopies) return undefined;
    message.messageId ??= randomUUID();
    message.timestamp ??= new Date();
    const copy = copyOfMessage(message);
    settlement.context = new Context(eventWith(type, { ...copy }));
    return copy;
  }

  #keep(sequence: number, settlement: Settlement, length: number): void {
    this.#settlements.keep(sequence, settlement, length);
    if (settlement.accepted === undefined) return;
    // Until then it may be taken back from the disk.
    this.#held.afterwards(() => {
      if (this.#settlements.holds(sequence, settlement)) settlement.accepted?.(sequence);
    });
  }

  /** What was tracked in this turn of the event loop goes through the plugins after all. */
  #recall(): void {
    for (const { sequence, event, hasPassed } of this.#held.recall()) {
      const settlement = this.#settlements.take(sequence);
      if (hasPassed) this.#enqueueEvent(event, event.type, settlement);
      else this.#passages.begin(settlement?.context ?? new Context(event), event.type, 0, settlement);
    }
  }

  /** The way of an event that is changed on this thread: as a copy, so that the caller's objects stay theirs. */
  #detour(type: SegmentEventType, message: Message, settlement?: Settlement): boolean {
    const problem = problemOf(type, message);
    if (problem !== undefined)
      return this.#refusals.refuseCall('invalid', problem, [type, message], settlement);
    message.messageId ??= randomUUID();
    message.timestamp ??= new Date();
    let text: string;
    let event: SegmentEvent;
    try {
      const copy = copyOfMessage(message);
      text = JSON.stringify(copy);
      event = eventWith(type, copy);
    } catch {
      const unreadable = notSerializable(message);
      return this.#refusals.refuseCall('not_serializable', unreadable, [type, message], settlement);
    }
    try {
      event = this.#redact?.(event) ?? event;
    } catch {
      const reason = 'The redact option threw, so the event was not sent.';
      const error = new AnalyticsError('ERR_VALIDATION', reason, { field: 'redact' });
      return this.#refusals.refuse('invalid', error, telling(type, {}), settlement);
    }
    if (this.#plugins.isEmpty && !excludesSegment(event.integrations))
      return this.#enqueueEvent(event, type, settlement, true);
    // What plugins hold on to is bounded like what the engine holds.
    if (this.#passages.length + text.length > this.#maxQueueBytes) {
      const told = telling(type, event);
      return this.#refusals.refuse('queue_full', refusalError('queue_full', text), told, settlement);
    }
    this.#passages.begin(new Context(event), type, text.length, settlement);
    return true;
  }

  #enqueueEvent(
    event: SegmentEvent,
    type: SegmentEventType,
    settlement?: Settlement,
    isPlain = false,
  ): boolean {
    let message: Message;
    try {
      message = messageFrom(event);
    } catch (error) {
      // Of what redact made no event, nothing is told.
      const refused = () => eventOf(type, isPlain ? {} : (Object(event) as object));
      if (error instanceof ValidationError)
        return this.#refusals.refuse('invalid', error, refused, settlement);
      return this.#refusals.refuse('not_serializable', notSerializable(event), refused, settlement);
    }
    return this.#enqueue(event.type, message, settlement, isPlain);
  }

  #flush(timeout = Infinity, closes: boolean): Promise<DeliveryReport> {
    const started = monotonicNow();
    const left = () => Math.max(0, timeout - (monotonicNow() - started));
    const begin = async () => {
      // What was with plugins when a flush began comes before it; what is tracked after the call does not.
      await this.#passages.settled(left());
      return this.#flushes.begin(left(), closes);
    };
    const flush = async () => {
      // What was tracked in this turn may still be called back for plugins.
      const report = await new Promise<DeliveryReport>((resolve) => {
        this.#held.afterwards(() => resolve(begin()));
      });
      await this.#endings.settled(left());
      return report;
    };
    return heldOpen(flush(), this);
  }

  // Methods of their own: a function made in the constructor would make `wake` above hold on to the client.
  #persistenceOf(engine: Engine): Persistence {
    return new Persistence(engine, () => this.#tellInterest());
  }

  #passagesTo(): Passages<Analytics> {
    return new Passages(this.#plugins, this.#endings, {
      send: (...event) => void this.#enqueueEvent(...event),
      cancelled: () => this.#refusals.count('cancelled'),
      isHeard: () => this.#interest !== 0,
    });
  }

  #refusalsOf(engine: Engine): Refusals {
    const events = {
      emit: this.emit.bind(this),
      hears: (event: keyof AnalyticsEvents) => this.hears(event),
      // After the last flush the engine wakes nobody.
      counted: () => {
        if (this.#log !== undefined && this.#flushes.isOver) queueMicrotask(() => this.#mail.take());
      },
    };
    return new Refusals(engine, events, this.#endings, { log: this.#log, redact: this.#redact });
  }

  #deliveries(): Deliver {
    return deliverThrough((...call) => void this.#call(...call), this.#persistence, this);
  }

  /** Takes a piece of the mail; true when others should have their turn of the event loop before the next. */
  #readMail(): boolean {
    const notices = JSON.parse(this.#engine.takeMail()) as Notice[];
    for (const notice of notices) apart(() => this.#read(notice));
    return notices.some((notice) => 'events' in notice);
  }

  #read(notice: Notice): void {
    switch (notice.type) {
      case 'delivered':
        for (const [sequence, event] of notice.events) {
          const settlement = this.#settlements.take(sequence);
          apart(() => this.#endings.delivered(contextOf(event, notice.attempts, settlement), settlement));
        }
        return;
      case 'dropped':
        for (const [sequence, event] of notice.events) {
          const settlement = this.#settlements.take(sequence);
          const context = contextOf(event, notice.cause.attempts, settlement);
          apart(() => this.#endings.failed(errorOf(notice.cause), context, settlement));
        }
        return;
      case 'kept':
        for (const [sequence, event] of notice.events) {
          const settlement = this.#settlements.take(sequence);
          const context = contextOf(event, 0, settlement);
          context.setFailedDelivery({ reason: keptError() });
          apart(() => within(settlement?.scope, () => settlement?.failed(keptError(), context)));
        }
        return;
      case 'persisted':
        return this.#persistence.committed(notice.persisted, notice.upTo);
      case 'trouble': {
        const details = { status: notice.status ?? undefined };
        const reason = new AnalyticsError(notice.code as ErrorCode, notice.message, details);
        return void this.emit('error', { code: 'unknown', reason });
      }
      case 'unflushed':
        return this.#flushes.leftOver(notice);
      case 'flushed':
        return this.#flushes.ended(notice);
      case 'more':
        return this.#mail.take();
      case 'request': {
        const { url, headers, body } = notice;
        this.emit('http_request', { url, method: 'POST', headers, body });
        return;
      }
      case 'response': {
        const { url, status, headers, body } = notice;
        const text = notice.statusText ?? statusText(status);
        this.emit('http_response', { status, statusText: text, url, headers, body });
        return;
      }
      case 'send':
        return void answerThrough(
          notice.isForToken ? this.#tokenClient : this.#httpClient,
          notice,
          this.#engine,
        );
      case 'log':
        return this.#log?.(notice.level, notice.message, notice.fields);
      case 'drained':
        if (this.#settlements.isEmpty) this.#departure.release();
        // Of some nothing was told: the mail has a bound.
        if (!this.#settlements.takesCopies && (JSON.parse(this.#engine.stats()) as Stats).pending === 0)
          this.#settlements.forgetHeard();
        // For plugins that come last, events are still under way.
        if (this.#endings.isEmpty) this.emit('drained');
        else this.#endings.add(this.#endings.settled(Infinity).then(() => void this.emit('drained')));
    }
  }

  #warn(message: string, error: unknown): void {
    // The error may quote customer data: its kind says enough for a log.
    this.#log?.('warn', message, { error: error instanceof Error ? error.name : typeof error });
  }

  #departureOf(usesCallback: boolean): Departure {
    const client = {
      passing: () => this.#passages.size,
      passed: () => this.#passages.begun,
      isHeard: () => this.#interest !== 0 || !this.#settlements.isEmpty,
      hasPlugins: () => !this.#plugins.isEmpty,
      flush: (timeoutMs: number) => this.#flush(timeoutMs, false),
    };
    return new Departure(this.#engine, client, usesCallback);
  }
}
