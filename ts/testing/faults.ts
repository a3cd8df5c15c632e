/**
 * Misbehaviour on order: what a scripted fault looks like, which request gets it, what it answers.
 */
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';

import { optionNames, requireKnown } from '../known-options.js';
import type { RecordedRequest } from './recording.js';

/**
 * One way to misbehave. A request gets the first fault of the list that has `times` left and whose `when`
 * agrees; health checks (`GET /` and `/health`) get none.
 *
 * What a fault leaves open is answered as usual: `{ delayMs: 50 }` is a slow success. If several are set,
 * `delayMs` comes first, and `reset` wins over `hang`, `hang` over any answer.
 *
 * @example
 * // Down twice, then throttled for 2 s, then healthy.
 * server.addFaults({ status: 503, times: 2 }, { status: 429, retryAfter: 2 });
 */
export interface Fault {
  /** Status to answer, 200 to 999. */
  status?: number;
  /** Response headers, over the usual ones. A wrong `content-length` is sent as given. */
  headers?: Record<string, string>;
  /** Response body, instead of the usual small JSON. */
  body?: string;
  /**
   * `Retry-After`: a number of seconds, raw text, or a `Date` that is sent as an HTTP date. Without a
   * `status`, the answer is 429 (Segment HTTP Tracking API, "Rate limits").
   */
  retryAfter?: number | string | Date;
  /** `X-RateLimit-Reset`, in seconds. Without a `status`, the answer is 429. */
  rateLimitReset?: number;
  /** Time from reading the request to answering (or resetting) it, in milliseconds. */
  delayMs?: number;
  /** Reads the request and never answers, until `pause()` or `close()` cuts the connection. */
  hang?: boolean;
  /**
   * Resets the connection (TCP RST) before or after reading the request body. `before-body` is decided
   * when the headers are in. Behind a fault whose `when` has to see the body, it resets only then.
   */
  reset?: 'before-body' | 'after-body';
  /**
   * Whether the events are recorded as accepted. By default they are if a 2xx goes out. `true` records them
   * as soon as they are read, whatever the client is told or not told: the ambiguous answers after which
   * a client has to send again. `false` loses them behind a 2xx, as a captive portal does. Events that
   * Segment would refuse or reject anyway are not accepted either way; `before-body` accepts nothing.
   */
  accept?: boolean;
  /** Sends the headers at once, then the body `bytes` (default 1) at a time, every `intervalMs` milliseconds. */
  drip?: { bytes?: number; intervalMs: number };
  /** Answers with a `Location`; the status defaults to 302. */
  redirect?: { status?: 301 | 302 | 303 | 307 | 308; location: string };
  /** How many requests get this fault. Default 1; `Infinity` for all. */
  times?: number;
  /**
   * Only requests for which this is true. It sees the request with its body read; for `reset: 'before-body'`
   * the headers only, thus no events and no `sentAt`.
   */
  when?: (request: RecordedRequest) => boolean;
}

const MEMBERS = optionNames<Fault>({
  status: true,
  headers: true,
  body: true,
  retryAfter: true,
  rateLimitReset: true,
  delayMs: true,
  hang: true,
  reset: true,
  accept: true,
  drip: true,
  redirect: true,
  times: true,
  when: true,
});

/** A response before it is written. Header names are in lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Said of a request whose fault can only be chosen once its body is read. */
export const AFTER_BODY = Symbol('after body');

/** The faults still to come, in order. */
export class FaultSchedule {
  #pending: { readonly fault: Fault; timesLeft: number }[] = [];

  add(faults: readonly Fault[]): void {
    faults.forEach(validateFault);
    for (const fault of faults) this.#pending.push({ fault, timesLeft: fault.times ?? 1 });
  }

  clear(): void {
    this.#pending = [];
  }

  takeAtHeaders(request: RecordedRequest): Fault | typeof AFTER_BODY | undefined {
    for (const entry of this.#pending) {
      const { when, reset } = entry.fault;
      if (when && reset !== 'before-body') return AFTER_BODY;
      if (!when || when(request)) return this.#take(entry);
    }
    return undefined;
  }

  takeAfterBody(request: RecordedRequest): Fault | undefined {
    const match = this.#pending.find(({ fault }) => !fault.when || fault.when(request));
    return match && this.#take(match);
  }

  #take(entry: { readonly fault: Fault; timesLeft: number }): Fault {
    entry.timesLeft -= 1;
    this.#pending = this.#pending.filter(({ timesLeft }) => timesLeft > 0);
    return entry.fault;
  }
}

/** What the fault makes of the answer that the request would have got. */
export function answerWith(fault: Fault, usual: Answer): Answer {
  const status = faultStatus(fault) ?? usual.status;
  const body = fault.body ?? (status === usual.status ? usual.body : standardBody(status));
  return { status, headers: { ...usual.headers, ...faultHeaders(fault) }, body };
}

/** The answer to a request that no fault got hold of. */
export function standardAnswer(status: number, message?: string): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: standardBody(status, message) };
}

function standardBody(status: number, message = STATUS_CODES[status] ?? 'unknown status'): string {
  return JSON.stringify(isSuccess(status) ? { success: true } : { success: false, message });
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

function faultStatus({ status, redirect, retryAfter, rateLimitReset }: Fault): number | undefined {
  if (status !== undefined) return status;
  if (redirect) return redirect.status ?? 302;
  return retryAfter === undefined && rateLimitReset === undefined ? undefined : 429;
}

function faultHeaders({ headers = {}, redirect, retryAfter, rateLimitReset }: Fault): Record<string, string> {
  return {
    ...(redirect && { location: redirect.location }),
    ...(retryAfter !== undefined && { 'retry-after': retryAfterText(retryAfter) }),
    ...(rateLimitReset !== undefined && { 'x-ratelimit-reset': String(rateLimitReset) }),
    ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  };
}

function retryAfterText(retryAfter: number | string | Date): string {
  return retryAfter instanceof Date ? retryAfter.toUTCString() : String(retryAfter);
}

/** Longest time a timer can be set to; Node fires at once beyond it. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Mistakes show where they are made, not as a failed response somewhere later. */
function validateFault(fault: Fault): void {
  requireKnown(fault, MEMBERS, { path: 'fault' });
  requireKnown(fault.drip, ['bytes', 'intervalMs'], { path: 'fault.drip' });
  requireKnown(fault.redirect, ['status', 'location'], { path: 'fault.redirect' });
  const { status, redirect, delayMs, drip, times, reset } = fault;
  checkRange('status', status, 200, 999, true);
  checkRange('redirect.status', redirect?.status, 300, 399, true);
  checkRange('delayMs', delayMs, 0, MAX_TIMER_MS);
  checkRange('drip.intervalMs', drip?.intervalMs, 0, MAX_TIMER_MS);
  checkRange('drip.bytes', drip?.bytes, 1, Number.MAX_SAFE_INTEGER, true);
  checkRange('times', times, 1, Infinity, times !== Infinity);
  if (reset !== undefined && reset !== 'before-body' && reset !== 'after-body') {
    throw new TypeError("fault.reset must be 'before-body' or 'after-body'");
  }
  for (const [name, value] of Object.entries(faultHeaders(fault))) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  }
}

function checkRange(name: string, value: number | undefined, min: number, max: number, whole = false): void {
  if (value === undefined) return;
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return;
  const kind = whole ? 'a whole number' : 'a number';
  throw new RangeError(`fault.${name} must be ${kind} from ${min} to ${max}, got ${value}`);
}
