/** For Terminus: whether this client gets rid of its events. */
import { bindMembers } from '../bound.js';
import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import type { Stats } from '../report.js';
import type { SegmentService } from './service.js';

/** From when on the client counts as down. */
export interface HealthThresholds {
  /** Share of `maxQueueBytes` that waiting events hold, 0 to 1: at 1, calls are refused. @default 0.9 */
  maxQueueFill?: number | undefined;
  /** Failed attempts in a row. @default Infinity */
  maxConsecutiveFailures?: number | undefined;
  /** Milliseconds since the last success, while events wait. @default Infinity */
  maxLastSuccessAge?: number | undefined;
}

const THRESHOLDS = optionNames<HealthThresholds>({
  maxQueueFill: true,
  maxConsecutiveFailures: true,
  maxLastSuccessAge: true,
});

/** What the client's entry in the health check says. */
export interface SegmentHealth {
  status: 'up' | 'down';
  /** What is wrong, if anything is. */
  reasons?: string[];
  queueFill: number;
  pending: number;
  spool: Stats['spool'];
  consecutiveFailures: number;
  lastSuccessAgeMs: number | null;
}

/**
 * For readiness, or a page of its own; not for liveness: a restart mends nothing that is reported here. It reads
 * counters and never calls Segment. For Terminus 10, 11 and 12, and any other health check.
 */
export class SegmentHealthIndicator {
  readonly #service: SegmentService;

  /** Inject it for the client without a name; make one for any other: `new SegmentHealthIndicator(marketing)`. */
  constructor(service: SegmentService) {
    this.#service = service;
    bindMembers(this, SegmentHealthIndicator.prototype);
  }

  /** `{ segment: { status: 'up', queueFill: 0.01, ... } }`. On Terminus 10 throws its `HealthCheckError` when down. */
  async isHealthy<Key extends string = 'segment'>(
    key: Key = 'segment' as Key,
    thresholds: HealthThresholds = {},
  ): Promise<Record<Key, SegmentHealth>> {
    checkThresholds(thresholds);
    const health = this.#health(thresholds);
    const result = { [key]: health } as Record<Key, SegmentHealth>;
    if (health.status === 'down') await throwForTerminus10(result);
    return result;
  }

  #health(thresholds: HealthThresholds): SegmentHealth {
    const {
      maxQueueFill = 0.9,
      maxConsecutiveFailures = Infinity,
      maxLastSuccessAge = Infinity,
    } = thresholds;
    const stats = this.#service.stats();
    const { pending, spool, consecutiveFailures, lastSuccessAgeMs } = stats;
    const queueFill = stats.queueBytes / stats.maxQueueBytes;
    const waitedMs = Math.min(stats.oldestPendingAgeMs ?? 0, lastSuccessAgeMs ?? Infinity);
    const problems: Record<string, boolean> = {
      'the client is closed': this.#service.isClosed,
      'the queue is nearly full': queueFill >= maxQueueFill,
      'the spool can not be written': spool === 'degraded',
      'deliveries fail': consecutiveFailures >= maxConsecutiveFailures,
      'events wait and none is delivered': stats.oldestPendingAgeMs !== null && waitedMs >= maxLastSuccessAge,
    };
    const reasons = Object.keys(problems).filter((problem) => problems[problem]);
    return {
      status: reasons.length === 0 ? 'up' : 'down',
      ...(reasons.length > 0 && { reasons }),
      queueFill: Number(queueFill.toFixed(4)),
      pending,
      spool,
      consecutiveFailures,
      lastSuccessAgeMs,
    };
  }
}

/** With a threshold that nobody reads, a client that is down would count as up. */
function checkThresholds(thresholds: HealthThresholds): void {
  requireKnown(thresholds, THRESHOLDS);
  for (const [name, value] of Object.entries(thresholds) as [string, unknown][]) {
    const isNumber = typeof value === 'number' && !Number.isNaN(value);
    if (value !== undefined && !isNumber) throw invalidOption(name, 'a number');
  }
}

/** A variable, because the types need not be there either. */
const TERMINUS: string = '@nestjs/terminus';

interface Terminus {
  HealthCheckError?: new (message: string, causes: object) => Error;
  HealthIndicatorService?: unknown;
}

/** Terminus 10 takes no `down` but a thrown one; 11 and 12 know it from the status. */
async function throwForTerminus10(result: object): Promise<void> {
  // Optional, and of no use where it is missing.
  const terminus = await import(TERMINUS).then(
    (loaded) => loaded as Terminus,
    (): Terminus => ({}),
  );
  if (terminus.HealthCheckError === undefined || terminus.HealthIndicatorService !== undefined) return;
  throw new terminus.HealthCheckError('Segment is not healthy', result);
}
