/** Every metric, once: what it is called, what it means and where its numbers come from. */
import type { SpoolState, Stats } from '../report.js';
import type { StatsSource } from './sources.js';

/** One number, numbers by reason or state, or none now. */
type Reading = number | Readonly<Record<string, number>> | undefined;

/** What tells the numbers of one metric apart. */
export type Label = 'client' | 'reason' | 'state';

export interface Metric {
  /** Its name in Prometheus, with the unit and `_total` in it. */
  readonly prometheus: string;
  readonly openTelemetry: string;
  /** It only grows, it adds up over clients and processes, or it does neither. */
  readonly kind: 'counter' | 'updown' | 'gauge';
  /** As OpenTelemetry writes it. */
  readonly unit: '{event}' | '{request}' | '{file}' | 'By' | 's' | '1';
  readonly help: string;
  /** The label of `read`'s numbers, if they are several. */
  readonly by?: Exclude<Label, 'client'>;
  read(stats: Stats): Reading;
}

/** One number of one client. */
export interface Sample {
  readonly metric: Metric;
  readonly labels: Readonly<Partial<Record<Label, string>>>;
  readonly value: number;
}

const NO_STATE: Readonly<Record<SpoolState, number>> = { off: 0, ready: 0, degraded: 0 };

export const METRICS: readonly Metric[] = [
  {
    prometheus: 'segment_events_accepted_total',
    openTelemetry: 'segment.event.accepted',
    kind: 'counter',
    unit: '{event}',
    help: 'Events accepted, those recovered from ended processes included.',
    read: ({ accepted }) => accepted,
  },
  {
    prometheus: 'segment_events_delivered_total',
    openTelemetry: 'segment.event.delivered',
    kind: 'counter',
    unit: '{event}',
    help: 'Events that Segment answered with a 2xx.',
    read: ({ delivered }) => delivered,
  },
  {
    prometheus: 'segment_events_dropped_total',
    openTelemetry: 'segment.event.dropped',
    kind: 'counter',
    unit: '{event}',
    help: 'Accepted events that were given up, by reason.',
    by: 'reason',
    read: ({ dropped }) => dropped,
  },
  {
    prometheus: 'segment_events_refused_total',
    openTelemetry: 'segment.event.refused',
    kind: 'counter',
    unit: '{event}',
    help: 'Calls whose event was not accepted, by reason. They are not part of the accepted events.',
    by: 'reason',
    read: ({ refused }) => refused,
  },
  {
    prometheus: 'segment_events_recovered_total',
    openTelemetry: 'segment.event.recovered',
    kind: 'counter',
    unit: '{event}',
    help: 'The share of the accepted events that was found in the spool of ended processes.',
    read: ({ recovered }) => recovered,
  },
  {
    prometheus: 'segment_events_pending',
    openTelemetry: 'segment.event.pending',
    kind: 'updown',
    unit: '{event}',
    help: 'Accepted events in memory whose fate is open.',
    read: ({ pending }) => pending,
  },
  {
    prometheus: 'segment_events_spooled',
    openTelemetry: 'segment.event.spooled',
    kind: 'updown',
    unit: '{event}',
    help: 'Accepted events that are on disk only: they wait for room in memory, or for the next process.',
    read: ({ spooled }) => spooled,
  },
  {
    prometheus: 'segment_requests_total',
    openTelemetry: 'segment.requests',
    kind: 'counter',
    unit: '{request}',
    help: 'Requests sent, repeats included.',
    read: ({ requests }) => requests,
  },
  {
    prometheus: 'segment_request_retries_total',
    openTelemetry: 'segment.request.retries',
    kind: 'counter',
    unit: '{request}',
    help: 'The share of the requests that was sent again after a failure.',
    read: ({ retries }) => retries,
  },
  {
    prometheus: 'segment_request_body_bytes_total',
    openTelemetry: 'segment.request.body.size',
    kind: 'counter',
    unit: 'By',
    help: 'Bytes of request bodies as they were sent, compressed where compression is on.',
    read: ({ bytesSent }) => bytesSent,
  },
  {
    prometheus: 'segment_request_json_bytes_total',
    openTelemetry: 'segment.request.json.size',
    kind: 'counter',
    unit: 'By',
    help: 'Bytes of JSON in these bodies, before compression.',
    read: ({ bytesRaw }) => bytesRaw,
  },
  {
    prometheus: 'segment_requests_in_flight',
    openTelemetry: 'segment.request.active',
    kind: 'updown',
    unit: '{request}',
    help: 'Batches on their way, pauses between attempts included.',
    read: ({ inFlight }) => inFlight,
  },
  {
    prometheus: 'segment_consecutive_failures',
    openTelemetry: 'segment.request.consecutive_failures',
    kind: 'gauge',
    unit: '{request}',
    help: 'Requests that failed since the last 2xx.',
    read: ({ consecutiveFailures }) => consecutiveFailures,
  },
  {
    prometheus: 'segment_last_success_timestamp_seconds',
    openTelemetry: 'segment.last_success.timestamp',
    kind: 'gauge',
    unit: 's',
    help: 'Unix time of the last 2xx; absent before the first.',
    read: ({ lastSuccessAgeMs }) =>
      lastSuccessAgeMs === null ? undefined : (Date.now() - lastSuccessAgeMs) / 1_000,
  },
  {
    prometheus: 'segment_oldest_pending_age_seconds',
    openTelemetry: 'segment.oldest_pending.age',
    kind: 'gauge',
    unit: 's',
    help: 'Age of the oldest pending event; 0 when none is pending.',
    // Not absent: OpenTelemetry would go on reporting the last age there was.
    read: ({ oldestPendingAgeMs }) => (oldestPendingAgeMs ?? 0) / 1_000,
  },
  {
    prometheus: 'segment_queue_bytes',
    openTelemetry: 'segment.queue.usage',
    kind: 'updown',
    unit: 'By',
    help: 'Bytes that pending events hold in memory.',
    read: ({ queueBytes }) => queueBytes,
  },
  {
    prometheus: 'segment_queue_limit_bytes',
    openTelemetry: 'segment.queue.limit',
    kind: 'updown',
    unit: 'By',
    help: 'The most that pending events may hold in memory (maxQueueBytes).',
    read: ({ maxQueueBytes }) => maxQueueBytes,
  },
  {
    prometheus: 'segment_spool_bytes',
    openTelemetry: 'segment.spool.usage',
    kind: 'updown',
    unit: 'By',
    help: 'Bytes on disk.',
    read: ({ spoolBytes }) => spoolBytes,
  },
  {
    prometheus: 'segment_spool_state',
    openTelemetry: 'segment.spool.status',
    kind: 'updown',
    unit: '1',
    help: 'Whether accepted events are on disk: 1 for the state there is, 0 for the others.',
    by: 'state',
    read: ({ spool }) => ({ ...NO_STATE, [spool]: 1 }),
  },
  {
    prometheus: 'segment_spool_orphans',
    openTelemetry: 'segment.spool.orphans',
    // Every process on the directory sees the same files.
    kind: 'gauge',
    unit: '{file}',
    help: 'Files of ended processes in the spool that nobody has taken over yet; absent before the first look.',
    read: ({ orphans }) => orphans ?? undefined,
  },
  {
    prometheus: 'segment_spool_locked',
    openTelemetry: 'segment.spool.locked',
    kind: 'gauge',
    unit: '{file}',
    help: 'Files in the spool that none of the given keys can read.',
    read: ({ locked }) => locked,
  },
];

/** The numbers of all clients as they are now. Each client is asked once, so that its numbers agree. */
export function samplesOf(sources: ReadonlyMap<string, StatsSource>): Sample[] {
  return Array.from(sources, ([client, source]) => samplesOfClient(client, source)).flat();
}

/** A client that cannot be read takes nobody with it: it has no numbers until it can. */
function samplesOfClient(client: string, source: StatsSource): Sample[] {
  try {
    const stats = source.stats();
    return METRICS.flatMap((metric) => samplesOfMetric(metric, client, metric.read(stats)));
  } catch {
    return [];
  }
}

function samplesOfMetric(metric: Metric, client: string, reading: Reading): Sample[] {
  if (reading === undefined) return [];
  const { by } = metric;
  const samples =
    by === undefined || typeof reading === 'number'
      ? [{ metric, labels: { client }, value: Number(reading) }]
      : Object.entries(reading).map(([label, value]) => ({ metric, labels: { client, [by]: label }, value }));
  // For any other number prom-client would throw, and with it the whole scrape.
  return samples.filter(({ value }) => Number.isFinite(value) && value >= 0);
}
