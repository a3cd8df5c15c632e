/** What plugins, listeners and callbacks are given: one event and what became of it. */
import { randomUUID } from 'node:crypto';

import type { SegmentEvent } from './params.js';
import { define } from './snapshot.js';
import { VERSION } from './version.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A line that a plugin wrote into its context. */
export interface LogMessage {
  level: LogLevel;
  message: string;
  time: Date;
  extras?: object;
}

/** The lines of one context. */
export class ContextLogger {
  logs: LogMessage[] = [];

  log(level: LogLevel, message: string, extras?: object): void {
    this.logs.push({ level, message, time: new Date(), ...(extras === undefined ? {} : { extras }) });
  }

  /** Forgets the lines. */
  flush(): void {
    this.logs = [];
  }
}

/** Takes what plugins measure and keeps nothing of it, like the one of analytics-node. */
export class ContextStats {
  readonly metrics: readonly never[] = [];

  increment(_metric: string, _by?: number, _tags?: string[]): void {}

  gauge(_metric: string, _value: number, _tags?: string[]): void {}

  flush(): void {}

  serialize(): never[] {
    return [];
  }
}

const STATS = new ContextStats();

/** Why an event was not delivered. */
export interface FailedDelivery {
  reason: unknown;
}

/** Options of {@link ContextCancelation}. */
export interface CancelationOptions {
  retry?: boolean;
  reason?: string;
  type?: string;
}

/** What `Context.cancel()` throws. */
export class ContextCancelation {
  readonly retry: boolean;
  readonly type: string;
  readonly reason: string;

  constructor(options: CancelationOptions) {
    this.retry = options.retry ?? true;
    this.type = options.type ?? 'plugin Error';
    this.reason = options.reason ?? '';
  }
}

/** What the engine adds to every event. */
const LIBRARY = { name: '@companion/segment', version: VERSION };
const METADATA = { nodeVersion: process.version, jsRuntime: 'node' };

/** One event on its way. */
export class Context {
  event: SegmentEvent;
  /** Requests that carried the event. */
  attempts = 0;
  readonly logger = new ContextLogger();
  readonly id: string;
  // Not #failure: contexts have to work behind a Proxy, and are too many to bind their methods.
  private failure: FailedDelivery | undefined;

  constructor(event: SegmentEvent, id: string = randomUUID()) {
    this.event = event;
    this.id = id;
  }

  /** A context of no event in particular, as plugins get in `load`. */
  static system(): Context {
    return new Context({ type: 'track', event: 'system' });
  }

  get stats(): ContextStats {
    return STATS;
  }

  isSame(other: Context): boolean {
    return other.id === this.id;
  }

  /** Ends the event here: it is not sent. */
  cancel(error?: Error | ContextCancelation): never {
    throw error ?? new ContextCancelation({ reason: 'Context Cancel' });
  }

  /** Keeps a line with the event. */
  log(level: LogLevel, message: string, extras?: object): void {
    this.logger.log(level, message, extras);
  }

  logs(): LogMessage[] {
    return this.logger.logs;
  }

  /** Forgets the lines. */
  flush(): void {
    this.logger.flush();
  }

  /**
   * Sets a value at a path such as `properties.total`; objects on the way are made. An integration that is switched
   * off stays so.
   */
  updateEvent(path: string, value: unknown): SegmentEvent {
    const keys = path.split('.');
    const [root, integration = ''] = keys;
    if (root === 'integrations' && this.event.integrations?.[integration] === false) return this.event;
    const last = keys.pop();
    let target = this.event as unknown as Record<string, unknown>;
    for (const key of keys) {
      const next = Object.hasOwn(target, key) ? target[key] : undefined;
      const child = typeof next === 'object' && next !== null ? next : {};
      define(target, key, child);
      target = child as Record<string, unknown>;
    }
    if (last !== undefined) define(target, last, value);
    return this.event;
  }

  failedDelivery(): FailedDelivery | undefined {
    return this.failure;
  }

  setFailedDelivery(failure: FailedDelivery): void {
    this.failure = failure;
  }

  /** @internal The end of the same event, as the engine tells it; `null`: it was sent as it is here. */
  settle(sent: SegmentEvent | null, attempts: number): void {
    this.event = sent ?? {
      ...this.event,
      context: { ...this.event.context, library: LIBRARY },
      _metadata: METADATA,
    };
    this.attempts = attempts;
  }

  toJSON(): { id: string; event: SegmentEvent; logs: LogMessage[]; metrics: readonly never[] } {
    return { id: this.id, event: this.event, logs: this.logs(), metrics: this.stats.metrics };
  }
}
