/** Clients of the stories' interface: one for each write key, however often it is asked for. */
import { Analytics } from '../analytics.js';
import { deferred } from '../deferred.js';
import { AnalyticsError } from '../errors.js';
import type { AnalyticsSettings } from '../options.js';
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

/** Settings of a client, as of `Analytics`. */
export interface SegmentClientOptions extends Omit<AnalyticsSettings, 'writeKey'> {
  /** Milliseconds after which a caller is told `Network timeout`, while delivery goes on. @default 12000 */
  callTimeout?: number | undefined;
}

/** What the environment says. */
export interface EnvironmentConfig {
  /** Not enumerable, so that no log shows it by accident. */
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
  return Object.defineProperty(config, 'SEGMENT_WRITE_KEY', { value: SEGMENT_WRITE_KEY, enumerable: false });
}

const clients = new Map<string, EngineSegmentClient>();

/**
 * A client for the write key. The same one for the same key and options, until it is closed: connections and batches
 * are shared by all callers.
 *
 * @throws AnalyticsError `ERR_WRITE_KEY_MISSING`: `Write key cannot be empty or whitespace only`
 */
export function createSegmentClient(writeKey: string, options: SegmentClientOptions = {}): SegmentClient {
  return shared(writeKey, options, () => {
    const { callTimeout, ...settings } = options;
    if (typeof writeKey !== 'string' || writeKey.trim() === '') throw emptyWriteKey();
    return new EngineSegmentClient(new Analytics({ ...DEFAULTS, ...settings, writeKey }), callTimeout);
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
    return new EngineSegmentClient(Analytics.fromEnvironment(DEFAULTS, env));
  });
}

function shared(writeKey: unknown, options: object, create: () => EngineSegmentClient): SegmentClient {
  const key = JSON.stringify([writeKey, options]);
  // What JSON leaves out (an httpClient, a logger) can't be compared.
  const isComparable = Object.values(options).every(
    (value) => typeof value !== 'function' && !isInstance(value),
  );
  const known = isComparable ? clients.get(key) : undefined;
  if (known !== undefined && !known.isClosed) return known;
  const client = create();
  if (isComparable) clients.set(key, client);
  return client;
}

function isInstance(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype;
}

function emptyWriteKey(): AnalyticsError {
  const text = 'Write key cannot be empty or whitespace only';
  return new AnalyticsError('ERR_WRITE_KEY_MISSING', text, { field: 'writeKey' });
}

/** The stories' interface on the engine. */
export class EngineSegmentClient implements SegmentClient {
  readonly #analytics: Analytics;
  readonly #callTimeout: number;
  /** Fates that no `flush()` has told of yet. */
  readonly #open = new Set<Promise<void>>();
  #flushing: Promise<unknown> | undefined;
  #isClosed = false;

  constructor(analytics: Analytics, callTimeout = CALL_TIMEOUT_MS) {
    this.#analytics = analytics;
    this.#callTimeout = callTimeout;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the call is accepted; rejects with why it is not. */
  async identify(params: { userId: string; traits: UserTraits }): Promise<void> {
    let refusal: { error: unknown } | undefined;
    const { promise, resolve, reject } = deferred();
    const accepted = this.#analytics.identify(params, (error) => {
      if (error === undefined) return resolve();
      refusal = { error };
      return reject(error);
    });
    // Nobody has to look at it.
    promise.catch(() => {});
    if (!accepted) throw refusal?.error;
    this.#open.add(promise);
  }

  /** Delivers what was identified; rejects with the first error among it. */
  async flush(): Promise<void> {
    await this.#settle(this.#flushSoon());
  }

  /** The same, and accepts nothing more. */
  async closeAndFlush(): Promise<void> {
    this.#isClosed = true;
    await this.#settle(this.#analytics.closeAndFlush({ timeout: CLOSE_TIMEOUT_MS }));
  }

  /** Identifies, and settles with the fate of this one event: nobody waits for an interval or for the others. */
  async deliver(payload: SegmentIdentifyPayload): Promise<void> {
    const fate = this.#analytics.deliver.identify(payload);
    void this.#flushSoon();
    await inTime(fate, this.#callTimeout);
  }

  async #settle(flushed: Promise<unknown>): Promise<void> {
    const open = [...this.#open];
    this.#open.clear();
    await flushed;
    await inTime(Promise.all(open), this.#callTimeout);
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

async function inTime(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_resolve, reject) => {
    const text = `Network timeout: no answer within ${timeoutMs} ms. Delivery goes on; Segment drops what arrives twice.`;
    timer = setTimeout(() => reject(new AnalyticsError('ERR_TIMEOUT', text)), timeoutMs);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
