/** What a function counts, as metrics of CloudWatch. */
import type { NotificationOutcome } from '../commercetools/types.js';
import type { Log } from '../logger.js';

/** `Metrics` of Powertools for AWS Lambda, which writes them as EMF to the log. */
export interface MetricsLike {
  addMetric(name: string, unit: 'Count', value: number): unknown;
  publishStoredMetrics(): unknown;
}

/** What the records of an invocation came to. */
export interface RecordsReport {
  /** Customers that Segment has. */
  identified: number;
  /** Messages that are of no interest. */
  ignored: number;
  /** Messages that are no notification, and never will be. */
  invalid: number;
  /** Customers that Segment has not got. */
  failed: number;
}

const METRICS = {
  identified: 'IdentifySent',
  failed: 'IdentifyFailed',
  ignored: 'RecordsIgnored',
  invalid: 'RecordsInvalid',
} as const;

/** Counts outcomes. */
export function reportOf(outcomes: readonly NotificationOutcome[]): RecordsReport {
  const report = { identified: 0, ignored: 0, invalid: 0, failed: 0 };
  for (const { outcome } of outcomes) if (outcome !== 'accepted') report[outcome] += 1;
  return report;
}

/** Publishes what happened. What the library throws harms nobody. */
export function publish(metrics: MetricsLike | undefined, report: RecordsReport, log: Log | undefined): void {
  if (metrics === undefined) return;
  try {
    for (const [outcome, name] of Object.entries(METRICS) as [keyof RecordsReport, string][]) {
      if (report[outcome] > 0) metrics.addMetric(name, 'Count', report[outcome]);
    }
    const published = metrics.publishStoredMetrics();
    if (published instanceof Promise) published.catch(() => {});
  } catch (error) {
    const { name } = Object(error) as { name?: unknown };
    log?.('warn', 'metrics could not be published', { error: name });
  }
}
