/** What a client may and may not be told, and what it tells. Compiled, never run. */
import {
  Analytics,
  AnalyticsError,
  type Context,
  FetchHTTPClient,
  ValidationError,
  type AnalyticsSettings,
  type DeliveryFailure,
  type DeliveryReport,
  type DropReason,
  type ErrorCode,
  type HTTPClient,
  type Plugin,
  type SegmentEvent,
  type Stats,
} from '@companion/segment';

const full: AnalyticsSettings = {
  writeKey: 'key',
  host: 'https://api.segment.io',
  path: '/v1/batch',
  maxRetries: 10,
  flushAt: 15,
  flushInterval: 10_000,
  httpRequestTimeout: 10_000,
  disable: false,
  maxTotalBackoffDuration: 1,
  maxRateLimitDuration: 1,
  region: 'eu',
  gzip: true,
  maxQueueBytes: 1_000_000,
  overflow: 'drop-oldest',
  maxConcurrentRequests: 4,
  maxEventAge: 1_000,
  exitTimeout: 1_000,
  logger: console,
  logLevel: 'trace',
  redact: ['properties.ssn'],
  proxy: 'http://proxy.internal:3128',
  ca: [Buffer.from('')],
  allowInsecureHost: false,
};
void new Analytics(full);
void new Analytics({ writeKey: 'key' });
void new Analytics({ writeKey: 'key', host: undefined, flushAt: undefined, logger: undefined });
Analytics.fromEnvironment();
Analytics.fromEnvironment({ flushAt: 1 }, { SEGMENT_WRITE_KEY: 'key' });

// @ts-expect-error settings are required
void new Analytics();
// @ts-expect-error writeKey is required
void new Analytics({});
// @ts-expect-error writeKey is a string
void new Analytics({ writeKey: 5 });
// @ts-expect-error unknown option
void new Analytics({ writeKey: 'key', flushat: 1 });
// @ts-expect-error unknown option
Analytics.fromEnvironment({ retries: 1 });
// @ts-expect-error flushAt is a number
void new Analytics({ writeKey: 'key', flushAt: '1' });
// @ts-expect-error unknown region
void new Analytics({ writeKey: 'key', region: 'mars' });
// @ts-expect-error unknown policy
void new Analytics({ writeKey: 'key', overflow: 'block' });
// @ts-expect-error unknown level
void new Analytics({ writeKey: 'key', logLevel: 'silly' });
// @ts-expect-error no logger
void new Analytics({ writeKey: 'key', logger: {} });
// @ts-expect-error paths are strings
void new Analytics({ writeKey: 'key', redact: [5] });
// @ts-expect-error the engine is not for everybody
void new Analytics({ writeKey: 'key' }, () => {});

// HTTP clients.
const client: HTTPClient = new FetchHTTPClient(fetch);
void new Analytics({ writeKey: 'key', httpClient: client });
void new Analytics({ writeKey: 'key', httpClient: fetch });
void new Analytics({ writeKey: 'key', httpClient: (url, request) => fetch(url, request) });
void new Analytics({
  writeKey: 'key',
  httpClient: {
    makeRequest: async ({ url, headers, body, httpRequestTimeout }) => {
      await Promise.resolve([url, headers['Authorization'], body.length, httpRequestTimeout.toFixed()]);
      return { status: 200, statusText: 'OK', headers: { 'retry-after': '1' } };
    },
  },
});
// @ts-expect-error a status is a number
void new Analytics({ writeKey: 'key', httpClient: async () => ({ status: '200', statusText: 'OK' }) });

// The loggers of others, as their types are.
interface NestLogger {
  log(message: unknown, ...optional: unknown[]): unknown;
  error(message: unknown, ...optional: unknown[]): unknown;
  warn(message: unknown, ...optional: unknown[]): unknown;
  debug?(message: unknown, ...optional: unknown[]): unknown;
  verbose?(message: unknown, ...optional: unknown[]): unknown;
}
interface PinoLine {
  (fields: object, message?: string, ...values: unknown[]): void;
  (message: string, ...values: unknown[]): void;
}
interface PinoLogger extends Record<'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace', PinoLine> {
  level: string;
  bindings(): object;
  child(bindings: object): PinoLogger;
}
declare const nest: NestLogger;
declare const pino: PinoLogger;
void new Analytics({ writeKey: 'key', logger: nest });
void new Analytics({ writeKey: 'key', logger: pino });

// Redacting.
void new Analytics({ writeKey: 'key', redact: (event) => ({ ...event, properties: {} }) });
// @ts-expect-error redact is not asynchronous
void new Analytics({ writeKey: 'key', redact: async (event) => event });

declare const analytics: Analytics;

// Events.
analytics
  .on('track', ({ event, attempts, id }) => [event.messageId, attempts.toFixed(), id.length])
  .on('page', ({ event }) => [
    event.context?.page?.url,
    typeof event.context?.['mine'],
    typeof event.properties,
  ])
  .once('error', (failure: DeliveryFailure) => {
    if (failure.code === 'delivery_failure') return void failure.ctx.event.type;
    const { code }: { code: 'unknown' } = failure;
    return void [code, failure.ctx];
  })
  .on('http_request', ({ url, method, headers, body }) => [url, method, headers['User-Agent'], body])
  .on('http_response', ({ status, statusText }) => [status.toFixed(), statusText])
  .on('drained', () => {})
  .on('call_after_close', (event: SegmentEvent) => event.type)
  .on('register', (names: string[]) => names.length)
  .off('drained', () => {});
// @ts-expect-error no such event
analytics.on('flushed', () => {});
// @ts-expect-error drained tells nothing
analytics.on('drained', (context: Context) => context);

// Reports and counters.
async function reports(): Promise<void> {
  const report: DeliveryReport = await analytics.flush({ timeout: 1 });
  const reason: DropReason = 'rejected';
  const dropped: number = report.dropped[reason];
  const events: SegmentEvent[] = (await analytics.closeAndFlush({ timeout: 1 })).unflushed;
  const stats: Stats = analytics.stats();
  const refused: number = stats.refused.event_too_large;
  const age: number | null = stats.lastSuccessAgeMs;
  // @ts-expect-error no such reason
  void report.dropped.lost;
  // @ts-expect-error closing is what it does
  await analytics.closeAndFlush({ close: true });
  // @ts-expect-error a timeout is a number
  await analytics.flush({ timeout: '1' });
  void [dropped, events, refused, age, await analytics.ready, analytics.VERSION];
}

// Errors.
function explain(error: unknown): string | undefined {
  if (error instanceof ValidationError) return error.field;
  if (!(error instanceof AnalyticsError)) return undefined;
  const code: ErrorCode = error.code;
  // @ts-expect-error no such code
  if (error.code === 'ERR_OTHER') return undefined;
  return `${code} ${error.status ?? error.limit ?? ''}`;
}

// Plugins.
const plugin: Plugin = {
  name: 'mine',
  type: 'enrichment',
  isLoaded: () => true,
  load: async (context, instance) => void [context.log('info', 'x'), instance.stats()],
  track: (context) => {
    context.updateEvent('properties.a', 1);
    return context;
  },
};
void analytics.register(plugin);
// @ts-expect-error a plugin has a type
void analytics.register({ name: 'mine', isLoaded: () => true, load: async () => {} });
// @ts-expect-error unknown type of plugin
void analytics.register({ ...plugin, type: 'later' });

export { reports, explain };
