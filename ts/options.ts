/** Settings: what may be given, and what of it goes to the engine, which knows the bounds and defaults. */
import { hasInvisible, trimmed } from './blank.js';
import { AnalyticsError, invalidOption as invalid } from './errors.js';
import { FROM_ENVIRONMENT, environmentProxies } from './environment-proxies.js';
import { SIGNALS, type FlushSignal } from './exit.js';
import { clientOf, type HTTPClient, type HTTPFetchFn } from './http-client.js';
import { requireKnown } from './known-options.js';
import { LOG_LEVELS, logTo, type Log, type LoggerLike, type LogThreshold } from './logger.js';
import { checkOptions } from './native.js';
import { resolveOAuth, type OAuthSettings } from './oauth.js';
import type { SegmentEvent } from './params.js';
import { redactor, type Redact } from './redact.js';
import { spoolOptions, type SpoolSettings } from './spool.js';

/** Settings of {@link Analytics}. Those up to `maxRateLimitDuration` are analytics-node's. */
export interface AnalyticsSettings {
  /** The source's write key (Segment: Connections > Sources > your source > Settings > API keys). */
  writeKey: string;
  /** Where to send instead of Segment. https, or http on loopback. @default the region's host */
  host?: string | undefined;
  /** @default '/v1/batch' */
  path?: string | undefined;
  /** Failed attempts after the first before an event is given up. @default none: only `maxEventAge` counts */
  maxRetries?: number | undefined;
  /** Waiting events at which a send starts, 1 to 2500; when given, also the most in one request. @default 15 */
  flushAt?: number | undefined;
  /** @deprecated Use `flushAt`. */
  maxEventsInBatch?: number | undefined;
  /** Milliseconds after which a waiting event is sent. @default 10000 */
  flushInterval?: number | undefined;
  /** Milliseconds for one attempt, answer included. @default 15000 */
  httpRequestTimeout?: number | undefined;
  /** Accept and count events, send nothing. @default false */
  disable?: boolean | undefined;
  /** Sends the requests instead of the engine: a `fetch`-like function or an object with `makeRequest`. */
  httpClient?: HTTPFetchFn | HTTPClient | undefined;
  /** OAuth 2.0: requests carry a token of Segment's authorization server. */
  oauthSettings?: OAuthSettings | undefined;
  /** Seconds since its first failure after which an event is given up. @default 43200; with a spool none */
  maxTotalBackoffDuration?: number | undefined;
  /** Seconds of rate limiting after which what waits is given up. @default 43200; with a spool none */
  maxRateLimitDuration?: number | undefined;
  /** Segment's region; the wrong one loses events in silence. `host` wins over it. @default 'us' */
  region?: 'us' | 'eu' | undefined;
  /** Compress request bodies; given up by itself where the other side refuses it. @default true */
  gzip?: boolean | undefined;
  /** Bytes that waiting and in-flight events may hold. @default 67108864 (64 MiB) */
  maxQueueBytes?: number | undefined;
  /** What gives way at `maxQueueBytes`. @default 'drop-newest' */
  overflow?: 'drop-newest' | 'drop-oldest' | undefined;
  /** Requests in flight at once, 1 to 64. @default 4 */
  maxConcurrentRequests?: number | undefined;
  /**
   * Keeps events on disk until they are delivered, so that what `track()` took survives the process. A directory, or
   * more precisely what to do in it. @default none: events are in memory only
   */
  spool?: string | SpoolSettings | undefined;
  /** Milliseconds after which an event is given up. @default 43200000 (12 h); with a spool 604800000 (7 d) */
  maxEventAge?: number | undefined;
  /** Milliseconds that a way out of the process may wait for delivery. @default 1000 */
  exitTimeout?: number | undefined;
  /**
   * Signals on which to deliver for up to `exitTimeout` and then die of that same signal. When the application has
   * a handler of its own, that one rules and only the delivery begins. Main thread only. @default none
   */
  flushOnSignal?: readonly FlushSignal[] | undefined;
  /** A pino, winston, Nest or console-like logger. @default silent */
  logger?: LoggerLike | undefined;
  /** From which level on the logger is used. @default 'info' */
  logLevel?: LogThreshold | undefined;
  /**
   * Removes data before anything is kept: paths such as `'properties.ssn'` or `'traits.address.*'` whose values
   * become `'[redacted]'`, or a function that gets a copy of each event and returns what to send.
   */
  redact?: Redact | undefined;
  /**
   * URL of an HTTP proxy; credentials go in it. Or `'environment'`: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are obeyed.
   * @default the environment's where Node obeys it too (`NODE_USE_ENV_PROXY=1`), else none
   */
  proxy?: string | undefined;
  /**
   * Further certificate authorities, PEM, beside Mozilla's and those that Node was started with (`NODE_EXTRA_CA_CERTS`,
   * `--use-system-ca`); or a server's own certificate.
   */
  ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
  /** Allow plain http to a host that is not loopback. Customer data is then readable on the way. @default false */
  allowInsecureHost?: boolean | undefined;
}

/** Settings of which the environment may know the write key. */
export type SettingsOverrides = Omit<AnalyticsSettings, 'writeKey'> & { writeKey?: string | undefined };

/** Settings, taken apart. */
export interface ResolvedSettings {
  /** For the engine, JSON. Holds the write key: never kept. */
  engineOptions: string;
  /** Who sends batches, and who asks for tokens, if it is not the engine. */
  httpClient: HTTPClient | undefined;
  tokenClient: HTTPClient | undefined;
  log: Log | undefined;
  logLevel: number;
  flushOnSignal: readonly FlushSignal[];
  redact: ((event: SegmentEvent) => SegmentEvent) | undefined;
}

const NUMBERS = [
  'maxRetries',
  'flushAt',
  'flushInterval',
  'httpRequestTimeout',
  'maxTotalBackoffDuration',
  'maxRateLimitDuration',
  'maxQueueBytes',
  'maxConcurrentRequests',
  'maxEventAge',
  'exitTimeout',
] as const;
const TEXTS = ['host', 'path', 'proxy'] as const;
const SWITCHES = ['disable', 'gzip', 'allowInsecureHost'] as const;
const CHOICES = {
  region: ['us', 'eu'],
  overflow: ['drop-newest', 'drop-oldest'],
  logLevel: LOG_LEVELS,
} as const;
const OTHERS = [
  'writeKey',
  'maxEventsInBatch',
  'httpClient',
  'oauthSettings',
  'logger',
  'redact',
  'ca',
  'spool',
  'flushOnSignal',
] as const;
/** The names of all settings. */
export const SETTINGS: readonly string[] = [
  ...NUMBERS,
  ...TEXTS,
  ...SWITCHES,
  ...Object.keys(CHOICES),
  ...OTHERS,
];

/** Checks settings and throws what is wrong with them. */
export function resolveSettings(settings: AnalyticsSettings): ResolvedSettings {
  if (typeof settings !== 'object' || settings === null) throw missingWriteKey();
  const given = withoutEmpty(settings);
  given['writeKey'] = writeKeyOf(given['writeKey']);
  requireKnown(given, SETTINGS);
  for (const name of [...NUMBERS, 'maxEventsInBatch']) requireNumber(given, name);
  given['flushAt'] ??= given['maxEventsInBatch'];
  requireKind(given, TEXTS, 'string', 'a string');
  requireKind(given, SWITCHES, 'boolean', 'true or false');
  for (const [name, choices] of Object.entries(CHOICES)) requireChoice(given, name, choices);

  const {
    logger,
    logLevel,
    redact,
    httpClient: givenClient,
    oauthSettings,
    ca,
    proxy,
    spool,
    flushOnSignal,
    maxEventsInBatch: _alias,
    ...options
  } = given;
  const httpClient = clientOf('httpClient', givenClient);
  const oauth = resolveOAuth(oauthSettings);
  const engineOptions = JSON.stringify({
    ...options,
    oauth: oauth.options,
    ca: pem(ca),
    proxy: proxy === FROM_ENVIRONMENT ? undefined : proxy,
    environmentProxies: environmentProxies(proxy),
    spool: spoolOptions(spool),
    nodeVersion: process.versions.node,
  });
  const problem = checkOptions(engineOptions);
  if (problem !== null) {
    throw new AnalyticsError(problem.code as AnalyticsError['code'], problem.message, problem);
  }
  const threshold = (logLevel as LogThreshold | undefined) ?? 'info';
  return {
    engineOptions,
    httpClient,
    tokenClient: oauth.options === undefined ? undefined : (oauth.httpClient ?? httpClient),
    log: logger === undefined ? undefined : logTo(logger as LoggerLike, threshold),
    logLevel: logger === undefined ? 0 : LOG_LEVELS.indexOf(threshold) + 1,
    flushOnSignal: signalsOf(flushOnSignal),
    redact: redact === undefined ? undefined : redactor(redact as Redact),
  };
}

/** Stands in where nothing is sent and so no key is needed. */
const DISABLED_WRITE_KEY = 'disabled';

/** Settings from the environment. What the code says wins. */
export function settingsFromEnvironment(
  overrides: SettingsOverrides,
  env: NodeJS.ProcessEnv,
): AnalyticsSettings {
  // Files and secrets end with a line break.
  const text = (name: string) => trimmed(env[name] ?? '') || undefined;
  const disable = overrides.disable ?? switchedOn('SEGMENT_DISABLE', text('SEGMENT_DISABLE'));
  const keyless = disable === true ? DISABLED_WRITE_KEY : undefined;
  const writeKey = overrides.writeKey ?? env['SEGMENT_WRITE_KEY'] ?? keyless;
  if (writeKey === undefined) throw missingWriteKey('Missing SEGMENT_WRITE_KEY');
  if ((writeKey as unknown) === '') throw missingWriteKey(BLANK_WRITE_KEY);
  return {
    host: text('SEGMENT_HOST'),
    region: text('SEGMENT_REGION') as AnalyticsSettings['region'],
    spool: env['SEGMENT_SPOOL_DIR'] || undefined,
    disable,
    ...withoutEmpty(overrides),
    writeKey: writeKeyOf(writeKey),
  };
}

/** Settings without what must not be seen. */
export type ShownSettings = Omit<AnalyticsSettings, 'writeKey' | 'proxy' | 'spool' | 'oauthSettings'> & {
  oauthSettings?: Omit<OAuthSettings, 'clientKey'>;
  spool?: Omit<SpoolSettings, 'encryptionKey'>;
};

/** What `initialize` listeners may see. */
export function shownSettings(settings: AnalyticsSettings): ShownSettings {
  const {
    writeKey: _secret,
    proxy: _credentials,
    spool,
    oauthSettings,
    ...shown
  }: AnalyticsSettings = settings;
  const result: ShownSettings = shown;
  if (oauthSettings !== undefined && oauthSettings !== null) {
    const { clientKey: _clientKey, ...shownOAuth } = oauthSettings;
    result.oauthSettings = shownOAuth;
  }
  if (spool !== undefined && spool !== null) {
    const { encryptionKey: _key, ...shownSpool } = typeof spool === 'string' ? { directory: spool } : spool;
    result.spool = shownSpool;
  }
  return result;
}

function switchedOn(name: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (['1', 'true', 'yes', 'on'].includes(text.toLowerCase())) return true;
  if (['0', 'false', 'no', 'off'].includes(text.toLowerCase())) return false;
  throw invalid(name, "'true' or 'false'");
}

export const BLANK_WRITE_KEY = 'Write key cannot be empty or whitespace only';

/**
 * The key without the line break or blanks that come along when it is copied or read from a file: with them, Segment
 * answers 401 to every request.
 *
 * @throws AnalyticsError `ERR_WRITE_KEY_MISSING`, or `ERR_OPTION_INVALID`; never shows the key
 */
export function writeKeyOf(given: unknown, whenMissing?: string): string {
  if (given === undefined || given === null || given === '') throw missingWriteKey(whenMissing);
  if (typeof given !== 'string') throw invalid('writeKey', 'a string');
  const writeKey = trimmed(given);
  if (writeKey === '') throw missingWriteKey(BLANK_WRITE_KEY);
  if (hasInvisible(writeKey)) throw invalid('writeKey', 'one word: there is a blank or a line break in it');
  return writeKey;
}

/** Default: the text of analytics-node. */
function missingWriteKey(text = 'writeKey writeKey is missing.'): AnalyticsError {
  return new AnalyticsError('ERR_WRITE_KEY_MISSING', text, { field: 'writeKey' });
}

/** `undefined` and `null` both mean: not given. */
export function withoutEmpty(settings: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined && value !== null),
  );
}

function requireNumber(given: Record<string, unknown>, name: string): void {
  const value = given[name];
  // Infinity and NaN have no JSON; all other bounds are the engine's.
  if (value !== undefined && !Number.isFinite(value)) throw invalid(name, 'a finite number');
}

function requireKind(
  given: Record<string, unknown>,
  names: readonly string[],
  kind: string,
  limit: string,
): void {
  for (const name of names) {
    if (given[name] !== undefined && typeof given[name] !== kind) throw invalid(name, limit);
  }
}

function requireChoice(given: Record<string, unknown>, name: string, choices: readonly string[]): void {
  const value = given[name];
  if (value !== undefined && !choices.includes(value as string)) {
    throw invalid(name, choices.map((choice) => `'${choice}'`).join(' or '));
  }
}

function pem(ca: unknown): string | undefined {
  if (ca === undefined) return undefined;
  const parts: unknown[] = Array.isArray(ca) ? ca : [ca];
  if (!parts.every((part) => typeof part === 'string' || Buffer.isBuffer(part))) {
    throw invalid('ca', 'PEM text, a Buffer, or an array of them');
  }
  return parts.map(String).join('\n');
}

function signalsOf(signals: unknown): readonly FlushSignal[] {
  if (signals === undefined) return [];
  const known: readonly unknown[] = SIGNALS;
  if (Array.isArray(signals) && signals.every((signal) => known.includes(signal)))
    return signals as FlushSignal[];
  throw invalid('flushOnSignal', `an array of ${SIGNALS.map((signal) => `'${signal}'`).join(', ')}`);
}
