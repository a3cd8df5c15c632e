/**
 * What the fake Segment remembers: requests, events, counters, and who waits for them.
 */

import { requireKnown } from '../known-options.js';

/** How a request carried its write key. `bearer` stands for an OAuth token beside a key in the body. */
export type AuthenticationKind = 'basic' | 'bearer' | 'body' | 'none';

/**
 * One request, as it came in. The write key is never part of it: the `authorization` header is removed
 * and the key in the body is dropped.
 */
export interface RecordedRequest {
  /** Rises by one with each request, from 1. Never reused, not even after `reset()`. */
  readonly id: number;
  /** When its headers arrived, in milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly method: string;
  /** Path without the query string. */
  readonly path: string;
  /** Names in lower case; without `authorization` and `proxy-authorization`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The status sent; undefined until answered, and for good when the request was reset or left hanging. */
  readonly status: number | undefined;
  /** Bytes of the body as it came over the wire, headers not counted. */
  readonly bytesOnWire: number;
  /** Bytes of the body after decompression; 0 when it could not be decompressed. */
  readonly bytesRaw: number;
  /** `Content-Encoding` in lower case; `identity` when there was none. */
  readonly encoding: string;
  /** The body's `sentAt`. */
  readonly sentAt?: string;
  /** The `X-Retry-Count` header: how often this was tried before. Absent on a first attempt. */
  readonly retryCount?: number;
  /** Events in the body, whatever became of them. 0 when the body could not be read. */
  readonly eventCount: number;
  /** The events' `messageId`s in the order of the body. */
  readonly messageIds: readonly string[];
  readonly auth: AuthenticationKind;
  /** Whether the write key (and the Bearer token, if that is how it came) was good. */
  readonly authorized: boolean;
}

/** One event as Segment would store it: the parsed JSON, less a `writeKey`, with the `type` of its endpoint. */
export interface RecordedEvent {
  type: string;
  messageId?: string;
  [field: string]: unknown;
}

/** An event that Segment acknowledges with 200 and then silently throws away. */
export interface RejectedEvent {
  /** The event as it came; it may lack a `type`, which can be the very reason. */
  readonly event: Readonly<Record<string, unknown>>;
  /** Why, in words. Never quotes the event. */
  readonly reason: string;
}

/** Options of `waitForEvents` and `waitForRequests`. */
export interface WaitOptions {
  /** How long to wait before rejecting, in milliseconds. Default 10 000. */
  timeoutMs?: number;
}

/** @throws AnalyticsError `ERR_OPTION_INVALID` */
export function checkWaitOptions(options: unknown): void {
  requireKnown(options, ['timeoutMs']);
}

/** A record while the server still fills it in. */
export type OpenRecord = { -readonly [Field in keyof RecordedRequest]: RecordedRequest[Field] };

/** What became of the events of one request. */
export interface SortedEvents {
  readonly accepted: readonly RecordedEvent[];
  readonly rejected: readonly RejectedEvent[];
}

const DEFAULT_WAIT_MS = 10_000;

/** Counters always; requests and events as well when `keep` is set. */
export class Recording {
  requests: RecordedRequest[] = [];
  events: RecordedEvent[] = [];
  rejected: RejectedEvent[] = [];
  requestCount = 0;
  eventCount = 0;
  rejectedCount = 0;
  bytesOnWire = 0;
  bytesRaw = 0;
  readonly #keep: boolean;
  readonly #eventWaiters = new CountWaiters('event');
  readonly #requestWaiters = new CountWaiters('request');

  constructor(keep: boolean) {
    this.#keep = keep;
  }

  requestSeen(request: RecordedRequest): void {
    this.requestCount += 1;
    this.bytesOnWire += request.bytesOnWire;
    this.bytesRaw += request.bytesRaw;
    if (this.#keep) this.requests.push(request);
    this.#requestWaiters.reached(this.requestCount);
  }

  eventsTaken({ accepted, rejected }: SortedEvents): void {
    this.eventCount += accepted.length;
    this.rejectedCount += rejected.length;
    if (this.#keep) {
      for (const event of accepted) this.events.push(event);
      for (const event of rejected) this.rejected.push(event);
    }
    this.#eventWaiters.reached(this.eventCount);
  }

  duplicates(): Map<string, number> {
    const times = new Map<string, number>();
    for (const { messageId } of this.events) {
      if (messageId !== undefined) times.set(messageId, (times.get(messageId) ?? 0) + 1);
    }
    return new Map([...times].filter(([, count]) => count > 1));
  }

  async waitForEvents(count: number, options: WaitOptions = {}): Promise<readonly RecordedEvent[]> {
    checkWaitOptions(options);
    await this.#eventWaiters.wait(count, this.eventCount, options.timeoutMs);
    return this.events;
  }

  async waitForRequests(count: number, options: WaitOptions = {}): Promise<readonly RecordedRequest[]> {
    checkWaitOptions(options);
    await this.#requestWaiters.wait(count, this.requestCount, options.timeoutMs);
    return this.requests;
  }

  /** Starts new arrays rather than emptying the old ones, so that what a caller holds stays intact. */
  forget(): void {
    this.requests = [];
    this.events = [];
    this.rejected = [];
    this.requestCount = this.eventCount = this.rejectedCount = 0;
    this.bytesOnWire = this.bytesRaw = 0;
    this.#eventWaiters.reached(0);
    this.#requestWaiters.reached(0);
  }

  /** Nothing more will come: whoever still waits is told so. */
  end(): void {
    this.#eventWaiters.end();
    this.#requestWaiters.end();
  }
}

interface CountWaiter {
  readonly target: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Promises that resolve once a counter has reached their target. */
class CountWaiters {
  readonly #noun: string;
  readonly #waiting = new Set<CountWaiter>();
  #count = 0;
  #ended = false;

  constructor(noun: string) {
    this.#noun = noun;
  }

  wait(target: number, count: number, timeoutMs = DEFAULT_WAIT_MS): Promise<void> {
    if (count >= target) return Promise.resolve();
    if (this.#ended) return Promise.reject(this.#shortfall(target, 'the server was closed'));
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(waiter);
        reject(this.#shortfall(target, `gave up after ${timeoutMs} ms`));
      };
      // Keeps the process alive on purpose: somebody awaits this promise.
      const waiter: CountWaiter = { target, resolve, reject, timer: setTimeout(giveUp, timeoutMs) };
      this.#waiting.add(waiter);
    });
  }

  reached(count: number): void {
    this.#count = count;
    for (const waiter of this.#waiting) {
      if (count < waiter.target) continue;
      this.#release(waiter);
      waiter.resolve();
    }
  }

  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiting) {
      this.#release(waiter);
      waiter.reject(this.#shortfall(waiter.target, 'the server was closed'));
    }
  }

  #release(waiter: CountWaiter): void {
    clearTimeout(waiter.timer);
    this.#waiting.delete(waiter);
  }

  #shortfall(target: number, ending: string): Error {
    const expected = `${target} ${this.#noun}${target === 1 ? '' : 's'}`;
    return new Error(`waited for ${expected} at the fake Segment, ${this.#count} arrived: ${ending}`);
  }
}
