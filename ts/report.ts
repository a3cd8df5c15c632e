/** Counters and reports, as the engine writes them and as callers read them. */
import type { SegmentEvent } from './params.js';

/** Why accepted events were given up. */
export const DROP_REASONS = [
  'rejected',
  'unauthorized',
  'rate_limited',
  'server',
  'network',
  'timeout',
  'redirect',
  'queue_full',
  'expired',
  'spool_damaged',
  'unflushed',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Whether accepted events are on disk: there is no spool, they are, or the disk fails and they are in memory only. */
export type SpoolState = 'off' | 'ready' | 'degraded';

/** Why calls were not accepted. */
export const REFUSAL_REASONS = [
  'event_too_large',
  'not_serializable',
  'invalid',
  'queue_full',
  'closed',
  'cancelled',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/**
 * What a client has counted. At every instant
 * `accepted = delivered + (sum of dropped) + spooled + pending`.
 */
export interface Stats {
  /** Calls that returned `true` and reached the queue, and events recovered from ended processes. */
  accepted: number;
  /** Events that Segment answered with a 2xx. */
  delivered: number;
  /** Accepted events that were given up. */
  dropped: Record<DropReason, number>;
  /** Events that are on disk only: they wait for room in memory, or for the next process. */
  spooled: number;
  /** The share of `accepted` that was found in the spool of ended processes. */
  recovered: number;
  /** Accepted events whose fate is open. */
  pending: number;
  /** Calls that were not accepted; not part of `accepted`. */
  refused: Record<RefusalReason, number>;
  /** Requests sent, repeats included. */
  requests: number;
  /** Requests sent again after a failure. */
  retries: number;
  /** Bytes of JSON sent. */
  bytesRaw: number;
  /** Bytes of request bodies sent. */
  bytesSent: number;
  /** Attempts since the last 2xx that failed. */
  consecutiveFailures: number;
  /** Batches on their way, pauses between attempts included. */
  inFlight: number;
  /** Bytes that pending events hold. */
  queueBytes: number;
  /** The bound of `queueBytes`. */
  maxQueueBytes: number;
  /** Whether accepted events are on disk. */
  spool: SpoolState;
  /** Bytes on disk. */
  spoolBytes: number;
  /** Segments of ended processes found and not yet taken over; `null` before the first look. */
  orphans: number | null;
  /** Segments on disk that none of the given keys can read. They are kept. */
  locked: number;
  /** Milliseconds since the last 2xx. */
  lastSuccessAgeMs: number | null;
  /** Age of the oldest pending event in milliseconds. */
  oldestPendingAgeMs: number | null;
}

/** What a flush came to. The counters are the client's since it began. */
export interface DeliveryReport {
  accepted: number;
  delivered: number;
  dropped: Record<DropReason, number>;
  spooled: number;
  /** Not delivered yet; after `closeAndFlush()`, the number of events in `unflushed`. */
  pending: number;
  /** What `closeAndFlush()` could not deliver in time, handed back. Empty for a flush that closes nothing. */
  unflushed: SegmentEvent[];
  /** Milliseconds this flush took. */
  durationMs: number;
}

/** Fills in the reasons that did not occur. */
export function statsOf(raw: object): Stats {
  const { dropped, refused, ...rest } = raw as Stats;
  return {
    ...rest,
    dropped: { ...zeros(DROP_REASONS), ...dropped },
    refused: { ...zeros(REFUSAL_REASONS), ...refused },
  };
}

/** A report from the counters at the end of a flush. */
export function reportOf(raw: object, durationMs: number, unflushed: SegmentEvent[]): DeliveryReport {
  const { accepted, delivered, dropped, spooled, pending } = statsOf(raw);
  return { accepted, delivered, dropped, spooled, pending, unflushed, durationMs };
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
