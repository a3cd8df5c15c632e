/** The counters of a webhook or another receiver of notifications as metrics of prom-client. */
import { Counter, type CounterConfiguration } from 'prom-client';

import { LATENCY_BOUNDS_S, type NotificationStats } from '../commercetools/counters.js';

type Register = NonNullable<CounterConfiguration<string>['registers']>[number];

/** `NotificationReceiver`, or `WebhookHandler`, which counts refusals too. */
export interface NotificationSource {
  stats(): NotificationStats & { refused?: Record<string, number> };
}

const COUNTERS: readonly {
  name: string;
  help: string;
  label?: string;
  read: (stats: ReturnType<NotificationSource['stats']>) => number | Record<string, number>;
}[] = [
  {
    name: 'segment_notifications_received_total',
    help: 'Notifications that were admitted.',
    read: ({ received }) => received,
  },
  {
    name: 'segment_notifications_identified_total',
    help: 'Notifications whose customer is identified in Segment.',
    read: ({ identified }) => identified,
  },
  {
    name: 'segment_notifications_ignored_total',
    help: 'Notifications with nothing to do, by reason.',
    label: 'reason',
    read: ({ ignored }) => ignored,
  },
  {
    name: 'segment_notifications_invalid_total',
    help: 'What was no notification of a customer, by reason.',
    label: 'reason',
    read: ({ invalid }) => invalid,
  },
  {
    name: 'segment_notifications_failed_total',
    help: 'Customers who could not be identified, by the code of the error.',
    label: 'code',
    read: ({ failed }) => failed,
  },
  {
    name: 'segment_webhook_refused_total',
    help: 'Requests to the webhook that were not admitted, by reason.',
    label: 'reason',
    read: ({ refused }) => refused ?? {},
  },
];
const DURATION = 'segment_notification_duration_seconds';

/**
 * Puts the metrics of one receiver on a registry. They are read when they are scraped: throughput and success rate
 * are rates of the counters, latency is a histogram.
 */
export function registerNotificationMetrics(register: Register, source: NotificationSource): void {
  for (const { name, help, label, read } of COUNTERS) {
    const counter = new Counter({
      name,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [],
      collect() {
        const reading = read(source.stats());
        const byLabel = typeof reading === 'number' ? [] : Object.entries(reading);
        this.reset();
        if (typeof reading === 'number') this.inc(reading);
        for (const [value, count] of byLabel) this.inc({ [label ?? 'reason']: value }, count);
      },
    });
    register.registerMetric(counter);
  }
  register.registerMetric(durations(source) as never);
}

/** prom-client's own histogram can't be told what somebody else has counted. */
function durations(source: NotificationSource): object {
  const get = () => {
    const { buckets, count, sumSeconds } = source.stats().latency;
    const bucket = (le: number | string, value: number) => ({
      metricName: `${DURATION}_bucket`,
      labels: { le },
      value,
    });
    return {
      name: DURATION,
      help: 'Time from a notification to its outcome.',
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...LATENCY_BOUNDS_S.map((bound, index) => bucket(bound, buckets[index] ?? 0)),
        bucket('+Inf', count),
        { metricName: `${DURATION}_sum`, labels: {}, value: sumSeconds },
        { metricName: `${DURATION}_count`, labels: {}, value: count },
      ],
    };
  };
  return { name: DURATION, get, reset: () => {}, collect: () => {} };
}
