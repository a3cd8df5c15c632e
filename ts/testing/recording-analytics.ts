/** A client with the whole API that keeps its events in memory instead of sending them. */
import { randomUUID } from 'node:crypto';

import { Analytics } from '../analytics.js';
import { bindMembers } from '../bound.js';
import { clearTimeout, setImmediate, setTimeout } from '../clock.js';
import {
  EVENT_TYPES,
  FLAG,
  REFUSALS,
  type Engine,
  type Notice,
  type Refusal,
  type Numbered,
} from '../native.js';
import type { AnalyticsSettings } from '../options.js';
import type { SegmentEvent, SegmentEventType } from '../params.js';
import { VERSION } from '../version.js';
import { checkWaitOptions } from './recording.js';

/** What of an event has to be undone when it is called back. */
interface Recallable {
  sequence: number;
  event: SegmentEvent;
  failure: { code: string; message: string } | undefined;
}

/** Keeps events, in memory, under the engine's interface: validation, plugins and callbacks are the real ones. */
class RecordingEngine implements Engine {
  readonly events: SegmentEvent[] = [];
  readonly changed = new Set<() => void>();
  readonly #wake: () => void;
  #mail: Notice[] = [];
  #interest = 0;
  #refused: Record<string, number> = {};
  #dropped = 0;
  #accepted = 0;
  #last = 0;
  #held: Recallable[] = [];
  readonly #failures: { code: string; message: string }[] = [];

  constructor(wake: () => void) {
    this.#wake = wake;
  }

  handle(): number {
    return 0;
  }

  enqueue(text: string, flags: number): number {
    const event = seal(text, flags);
    const refusal = refusalOf(event);
    if (refusal !== undefined) {
      const number = REFUSALS.indexOf(refusal) + 1;
      this.refuse(number);
      return -number;
    }
    this.#accepted += 1;
    this.#last += 1;
    const sequence = this.#last;
    const failure = this.#failures.shift();
    if ((flags & FLAG.held) !== 0 || this.#held.length > 0) this.#held.push({ sequence, event, failure });
    const entry: Numbered = [sequence, { ...event }];
    if (failure === undefined) {
      this.events.push(event);
      this.#post({ type: 'delivered', attempts: 1, events: [entry] });
    } else {
      this.#dropped += 1;
      const cause = { ...failure, reason: 'rejected', status: null, attempts: 1 };
      this.#post({ type: 'dropped', cause, events: [entry] });
    }
    if (this.#interest !== 0) this.#post({ type: 'drained' });
    for (const look of this.changed) look();
    return sequence;
  }

  letGo(): void {
    this.#held = [];
  }

  recall(): string {
    const held = this.#held;
    this.#held = [];
    const isHeld = (sequence: number) => held.some((recalled) => recalled.sequence === sequence);
    this.#mail = this.#mail.filter(
      (notice) => !('events' in notice && notice.events.some(([sequence]) => isHeld(sequence))),
    );
    for (const { event, failure } of held.toReversed()) {
      if (failure === undefined) this.events.splice(this.events.lastIndexOf(event), 1);
      else this.#failures.unshift(failure);
    }
    this.#dropped -= held.filter(({ failure }) => failure !== undefined).length;
    this.#accepted -= held.length;
    return JSON.stringify(held.map(({ sequence, event }) => [sequence, event]));
  }

  failNext(code: string, message: string): void {
    this.#failures.push({ code, message });
  }

  refuse(reason: number): void {
    const refusal = REFUSALS[reason - 1] ?? 'invalid';
    const name = COUNTED_AS[refusal] ?? refusal;
    this.#refused[name] = (this.#refused[name] ?? 0) + 1;
  }

  flush(id: number): void {
    this.#post({ type: 'flushed', id, durationMs: 0, stats: this.#stats() });
  }

  isPersisted(): number {
    return 0;
  }

  drain(): number {
    return 0;
  }

  end(): void {
    // Nothing of it outlives it.
  }

  stats(): string {
    return JSON.stringify(this.#stats());
  }

  reconnect(): void {}

  setInterest(bits: number): void {
    this.#interest = bits;
  }

  takeMail(): string {
    const mail = this.#mail;
    this.#mail = [];
    return JSON.stringify(mail);
  }

  exitTimeout(): number {
    return 0;
  }

  maxQueueBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  answer(): void {
    // It sends nothing, so nothing is answered.
  }

  #post(notice: Notice): void {
    // As with the engine, callers hear of an event's fate after the call, never during it.
    if (this.#mail.length === 0) setImmediate(this.#wake);
    this.#mail.push(notice);
  }

  #stats() {
    return {
      accepted: this.#accepted,
      delivered: this.#accepted - this.#dropped,
      dropped: { rejected: this.#dropped },
      spooled: 0,
      recovered: 0,
      pending: 0,
      refused: this.#refused,
      requests: 0,
      retries: 0,
      bytesRaw: 0,
      bytesSent: 0,
      consecutiveFailures: 0,
      inFlight: 0,
      queueBytes: 0,
      spool: 'off',
      spoolBytes: 0,
      orphans: null,
      locked: 0,
      lastSuccessAgeMs: null,
      oldestPendingAgeMs: null,
    };
  }
}

/** Refusals that the engine counts under another name. */
const COUNTED_AS: Partial<Record<Refusal, Refusal>> = { too_deep: 'not_serializable', malformed: 'invalid' };
/** The engine's limits. */
const MAX_EVENT_BYTES = 32 * 1024;
const MAX_DEPTH = 100;

/** What the engine would not take. */
function refusalOf(event: SegmentEvent): Refusal | undefined {
  if (typeof event.context !== 'object') return 'malformed';
  if (isDeeperThan(event, MAX_DEPTH)) return 'too_deep';
  return Buffer.byteLength(JSON.stringify(event)) > MAX_EVENT_BYTES ? 'event_too_large' : undefined;
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeperThan(member, levels - 1));
}

/** Adds what the engine adds. */
function seal(text: string, flags: number): SegmentEvent {
  const body = JSON.parse(text) as Partial<SegmentEvent>;
  const type = EVENT_TYPES[flags % FLAG.context] as SegmentEventType;
  const library = { name: '@companion/segment', version: VERSION };
  return {
    messageId: randomUUID(),
    timestamp: new Date().toISOString(),
    integrations: {},
    ...body,
    type,
    context: typeof (body.context ?? {}) === 'object' ? { ...body.context, library } : body.context,
    _metadata: { nodeVersion: process.version, jsRuntime: 'node' },
  };
}

/** Options of {@link RecordingAnalytics.waitFor}. */
export interface WaitOptions {
  /** @default 10000 */
  timeoutMs?: number;
}

/**
 * An in-memory double of {@link Analytics}: the same methods, checks, plugins, callbacks and events, and nothing
 * is sent. Events appear in `events` as they would have been sent.
 */
export class RecordingAnalytics extends Analytics {
  readonly #recording: RecordingEngine;

  constructor(settings: Partial<AnalyticsSettings> = {}) {
    let engine: RecordingEngine | undefined;
    super({ writeKey: 'recording', ...settings }, (_options, wake) => (engine = new RecordingEngine(wake)));
    this.#recording = engine as unknown as RecordingEngine;
    bindMembers(this, RecordingAnalytics.prototype);
  }

  /** What was accepted and not made to fail, in order. */
  get events(): readonly SegmentEvent[] {
    return this.#recording.events;
  }

  identifies(): SegmentEvent[] {
    return this.#ofType('identify');
  }

  tracks(): SegmentEvent[] {
    return this.#ofType('track');
  }

  pages(): SegmentEvent[] {
    return this.#ofType('page');
  }

  screens(): SegmentEvent[] {
    return this.#ofType('screen');
  }

  groups(): SegmentEvent[] {
    return this.#ofType('group');
  }

  aliases(): SegmentEvent[] {
    return this.#ofType('alias');
  }

  /** The next event's delivery fails with this error's message and code (default `ERR_REJECTED`). */
  failNext(error: Error): void {
    const { code } = error as { code?: unknown };
    this.#recording.failNext(typeof code === 'string' ? code : 'ERR_REJECTED', error.message);
  }

  /** Resolves once there are at least `count` events. */
  async waitFor(count: number, options: WaitOptions = {}): Promise<readonly SegmentEvent[]> {
    checkWaitOptions(options);
    const { timeoutMs = 10_000 } = options;
    if (this.events.length >= count) return this.events;
    const { changed } = this.#recording;
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        changed.delete(look);
      };
      const look = () => {
        if (this.events.length < count) return;
        end();
        resolve(this.events);
      };
      const late = () => {
        end();
        reject(new Error(`${this.events.length} of ${count} events after ${timeoutMs} ms.`));
      };
      const timer = setTimeout(late, timeoutMs);
      changed.add(look);
    });
  }

  /** Forgets the recorded events; the counters stay. */
  clear(): void {
    this.#recording.events.length = 0;
  }

  #ofType(type: SegmentEventType): SegmentEvent[] {
    return this.events.filter((event) => event.type === type);
  }
}
