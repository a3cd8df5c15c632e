/** Clients of the stories' interface: one for each write key, however often it is asked for. */
import { isDeepStrictEqual } from 'node:util';

import { Analytics } from '../analytics.js';
import { bindMembers } from '../bound.js';
import { deferred } from '../deferred.js';
import { AnalyticsError, invalidOption } from '../errors.js';
import { requireKnown, type OptionsPlace } from '../known-options.js';
import { BLANK_WRITE_KEY, SETTINGS, writeKeyOf, type AnalyticsSettings } from '../options.js';
import type { UserTraits } from '../params.js';
import type { SegmentClient, SegmentIdentifyPayload } from './types.js';

/**
 * A caller waits for the answer: an event is given up after three more attempts, not after twelve hours. What has been
 * given up is the caller's to send again; the messageId stays the same.
 */
const DEFAULTS = { maxRetries: 3, httpRequestTimeout: 5_000 };
/** Milliseconds. SNS gives up on an HTTP endpoint after 15 s. */
const CALL_TIMEOUT_MS = 12_000;
const CLOSE_TIMEOUT_MS = 10_000;
/** Beyond this, timers of Node fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;
/** More than an application has sources; beyond it the oldest is shared no more. */
const MAX_SHARED = 100;

/** Settings of a client, as of `Analytics`. */
export interface SegmentClientOptions extends Omit<AnalyticsSettings, 'writeKey'> {
  /** Milliseconds after which a caller is told `Network timeout`, while delivery goes on. @default 12000 */
  callTimeout?: number | undefined;
}

/** The names of a client's options. */
export const CLIENT_OPTIONS: readonly string[] = [
  ...SETTINGS.filter((name) => name !== 'writeKey'),
  'callTimeout',
];

/** The key is not among the settings, where two could differ. */
export function keyAdvice(name: string): string | undefined {
  return name === 'writeKey' ? 'It is an argument of its own.' : undefined;
}

/** Settings of a client among the options of something else: what was meant would be lost without a word. */
export function settingAdvice(where: string): NonNullable<OptionsPlace['advice']> {
  return (name) => (CLIENT_OPTIONS.includes(name) ? `It is an option of ${where}.` : undefined);
}

/** What the environment says. */
export interface EnvironmentConfig {
  /** Not enumerable, and read by a getter, so that no log shows it by accident. */
  readonly SEGMENT_WRITE_KEY?: string;
  readonly SEGMENT_HOST?: string;
  readonly SEGMENT_REGION?: string;
}

/** The environment's settings, as far as they are there. */
export function getEnvironmentConfig(env: NodeJS.ProcessEnv = process.env): EnvironmentConfig {
  const { SEGMENT_WRITE_KEY, SEGMENT_HOST, SEGMENT_REGION } = env;
  const config: EnvironmentConfig = {
    ...(SEGMENT_HOST !== undefined && { SEGMENT_HOST }),
    ...(SEGMENT_REGION !== undefined && { SEGMENT_REGION }),
  };
  return Object.defineProperty(config, 'SEGMENT_WRITE_KEY', {
    get: () => SEGMENT_WRITE_KEY,
    enumerable: false,
  });
}

/** A client, and what it was asked for with. */
interface SharedClient {
  readonly writeKey: unknown;
  readonly options: object;
  readonly client: EngineSegmentClient;
}

let sharedClients: readonly SharedClient[] = [];

/**
 * A client for the write key. The same one for the same key and options, until it is closed: connections and batches
 * are shared by all callers.
 *
 * @throws AnalyticsError `ERR_WRITE_KEY_MISSING`: `Write key cannot be empty or whitespace only`; `ERR_OPTION_INVALID`
 */
export function createSegmentClient(writeKey: string, options?: SegmentClientOptions): SegmentClient {
  requireKnown(options, CLIENT_OPTIONS, { advice: keyAdvice });
  const key = writeKeyOf(typeof writeKey === 'string' ? writeKey : undefined, BLANK_WRITE_KEY);
  const given = withoutEmpty(options ?? {});
  return shared(key, given, () => {
    const { callTimeout, ...settings } = given;
    requireTimeout(callTimeout);
    return new EngineSegmentClient(
      new Analytics({ ...defaultsFor(settings.spool), ...settings, writeKey: key }),
      callTimeout,
    );
  });
}

/**
 * The client of `SEGMENT_WRITE_KEY`, `SEGMENT_HOST`, `SEGMENT_REGION`, `SEGMENT_SPOOL_DIR` and `SEGMENT_DISABLE`.
 *
 * @throws AnalyticsError `ERR_WRITE_KEY_MISSING`: `Missing SEGMENT_WRITE_KEY`
 */
export function getSegmentClientFromEnvironment(env: NodeJS.ProcessEnv = process.env): SegmentClient {
  const names = ['SEGMENT_HOST', 'SEGMENT_REGION', 'SEGMENT_SPOOL_DIR', 'SEGMENT_DISABLE'];
  const settings = names.map((name) => env[name]);
  return shared(env['SEGMENT_WRITE_KEY'], { settings }, () => {
    return new EngineSegmentClient(Analytics.fromEnvironment(defaultsFor(env['SEGMENT_SPOOL_DIR']), env));
  });
}

function shared(writeKey: unknown, options: object, create: () => EngineSegmentClient): SegmentClient {
  const open = sharedClients.filter(({ client }) => !client.isClosed);
  const known = open.find((other) => other.writeKey === writeKey && areSame(other.options, options));
  if (known !== undefined) return known.client;
  const client = create();
  sharedClients = [...open, { writeKey, options, client }].slice(-MAX_SHARED);
  return client;
}

/** What an instance holds can't be compared (an httpClient, a logger): only itself is the same. */
function areSame(some: object, others: object): boolean {
  const known = new Map<string, unknown>(Object.entries(others));
  const entries = Object.entries(some) as [string, unknown][];
  if (entries.length !== known.size) return false;
  return entries.every(([name, value]) => {
    const other = known.get(name);
    return isInstance(value) ? value === other : isDeepStrictEqual(value, other);
  });
}

function isInstance(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype;
}

/** `undefined` and `null` both mean: not given. */
function withoutEmpty(options: SegmentClientOptions): SegmentClientOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  );
}

function requireTimeout(callTimeout: unknown): void {
  if (callTimeout === undefined) return;
  const isTimeout = typeof callTimeout === 'number' && callTimeout >= 1 && callTimeout <= LONGEST_TIMER_MS;
  if (!isTimeout) {
    throw invalidOption('callTimeout', `a number of milliseconds from 1 to ${LONGEST_TIMER_MS}`);
  }
}

/** What is on disk survives the caller, and is nobody's but the client's to send again. */
function defaultsFor(spool: unknown): Partial<typeof DEFAULTS> {
  return spool === undefined || spool === null || spool === '' ? DEFAULTS : {};
}

/** The stories' interface on the engine. */
export class EngineSegmentClient implements SegmentClient {
  readonly #analytics: Analytics;
  readonly #callTimeout: number;
  /** Fates that no `flush()` has told of yet: those under way, and the first failure. */
  readonly #open = new Set<Promise<void>>();
  #failed: Promise<void> | undefined;
  #flushing: Promise<unknown> | undefined;
  #isClosed = false;

  /** Of the latest call. */
  #refusal: unknown;

  constructor(analytics: Analytics, callTimeout = CALL_TIMEOUT_MS) {
    bindMembers(this, EngineSegmentClient.prototype);
    this.#analytics = analytics;
    this.#callTimeout = callTimeout;
    analytics.on('call_refused', (reason) => (this.#refusal = reason));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the call is accepted; rejects with why it is not. */
  async identify(params: { userId: string; traits: UserTraits }): Promise<void> {
    const { promise, resolve, reject } = deferred();
    const accepted = this.#analytics.identify(params, (error) => {
      if (error === undefined) resolve();
      else reject(error);
    });
    promise.then(
      () => this.#open.delete(promise),
      () => this.#keepFirst(promise),
    );
    if (accepted) this.#open.add(promise);
    else await promise;
  }

  /** Delivers what was identified; rejects with the first error among it. */
  async flush(): Promise<void> {
    await this.#tell(this.#flushSoon());
  }

  /** The same, and accepts nothing more. */
  async closeAndFlush(): Promise<void> {
    this.#isClosed = true;
    const closed = this.#analytics.closeAndFlush({ timeout: CLOSE_TIMEOUT_MS });
    await this.#tell(closed, Math.min(CLOSE_TIMEOUT_MS + this.#callTimeout, LONGEST_TIMER_MS));
  }

  /** Hands the call to the queue, and returns why it was refused, if it was. */
  accept(payload: SegmentIdentifyPayload): unknown {
    this.#refusal = undefined;
    // A subclass or a mock may return nothing.
    const isTaken: unknown = this.#analytics.identify(payload);
    if (isTaken !== false) return undefined;
    // What no listener hears of is a call after the end.
    return this.#refusal ?? new AnalyticsError('ERR_CLOSED', 'The client was closed.');
  }

  /**
   * The same for what native code makes of a notification. Its answer; undefined when it has to be made on this thread.
   */
  acceptNatively(take: (handle: number) => string): { answer: string; refusal: unknown } | undefined {
    this.#refusal = undefined;
    const answer = this.#analytics.identifyNatively(take);
    return answer === undefined ? undefined : { answer, refusal: this.#refusal };
  }

  /** The next request goes over a new connection. */
  reconnect(): void {
    this.#analytics.reconnect();
  }

  /** Identifies, and settles with the fate of this one event: nobody waits for an interval or for the others. */
  async deliver(payload: SegmentIdentifyPayload): Promise<void> {
    const fate = this.#analytics.deliver.identify(payload);
    void this.#flushSoon();
    await inTime(fate, this.#callTimeout);
  }

  /** Overlapping calls are all told of a failure: each may have waited for that event. */
  async #tell(flushed: Promise<unknown>, timeoutMs = this.#callTimeout): Promise<void> {
    const open = [...this.#open];
    const [fates] = await inTime(Promise.all([Promise.allSettled(open), flushed]), timeoutMs);
    for (const fate of open) this.#open.delete(fate);
    const failure = fates.find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
  }

  /** One failure is enough to tell of, however long nobody asks. */
  #keepFirst(failed: Promise<void>): void {
    if (this.#failed !== undefined && this.#open.has(this.#failed)) this.#open.delete(failed);
    else this.#failed = failed;
  }

  /** Calls of one turn of the event loop leave in one batch. */
  #flushSoon(): Promise<unknown> {
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = undefined;
      return this.#analytics.flush({ timeout: this.#callTimeout });
    });
    return this.#flushing;
  }
}

/** What the promise comes to, or `Network timeout`. */
export async function inTime<Value>(promise: Promise<Value>, timeoutMs = CALL_TIMEOUT_MS): Promise<Value> {
  const { promise: late, reject } = deferred<never>();
  const text = `Network timeout: no answer within ${timeoutMs} ms. Delivery goes on.`;
  const timer = setTimeout(() => reject(new AnalyticsError('ERR_TIMEOUT', text)), timeoutMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
