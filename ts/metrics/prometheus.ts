/** `@companion/segment/prometheus`: the counters of clients as metrics of prom-client. */
import { Counter, Gauge, type CounterConfiguration } from 'prom-client';

import { METRICS, samplesOf, type Label, type Metric, type Sample } from './catalogue.js';
import { MeasuredClients, type Clients } from './sources.js';

export type { Clients, StatsSource } from './sources.js';
export { registerNotificationMetrics, type NotificationSource } from './notifications.js';

/** A registry, of Prometheus text or OpenMetrics. prom-client 14 and 15 write its type in different ways. */
export type Register = NonNullable<CounterConfiguration<string>['registers']>[number];

/** The clients behind each metric of ours. */
const measuredBy = new WeakMap<object, MeasuredClients>();

/**
 * Puts the metrics of clients on a registry. They are read when they are scraped, and labelled with the name of
 * their client. Without `clients`: those of every `SegmentModule` in this process, whenever they come.
 *
 * May be called again: clients are added, and one under a name that is taken replaces it.
 *
 * @example
 * registerSegmentMetrics(register, analytics);
 * registerSegmentMetrics(register, { web: analytics, marketing: another });
 */
export function registerSegmentMetrics(register: Register, clients?: Clients): void {
  const earlier = measuredOn(register);
  const measured = earlier ?? new MeasuredClients();
  measured.add(clients);
  if (earlier === undefined) registerAll(register, measured);
}

/** The clients whose metrics are on the registry. After `register.clear()` there are none. */
function measuredOn(register: Register): MeasuredClients | undefined {
  for (const { prometheus } of METRICS) {
    const metric = register.getSingleMetric(prometheus);
    const measured = metric && measuredBy.get(metric);
    if (measured !== undefined) return measured;
  }
  return undefined;
}

/** All metrics or, if somebody else has one of the names, none. */
function registerAll(register: Register, measured: MeasuredClients): void {
  const taken = METRICS.find(({ prometheus }) => register.getSingleMetric(prometheus) !== undefined);
  if (taken !== undefined) {
    throw new Error(`The registry has another metric under the name ${taken.prometheus}.`);
  }
  const scrape = scraping(measured);
  for (const metric of METRICS) measuredBy.set(create(metric, register, scrape), measured);
}

/**
 * prom-client asks metric by metric, but all of them before any microtask runs. One look at the clients serves them
 * all, so that the numbers of one scrape agree with each other.
 */
function scraping(measured: MeasuredClients): () => Sample[] {
  let samples: Sample[] | undefined;
  return () => {
    if (samples === undefined) {
      samples = samplesOf(measured.current());
      queueMicrotask(() => {
        samples = undefined;
      });
    }
    return samples;
  };
}

function create(metric: Metric, register: Register, scrape: () => Sample[]): object {
  const labelNames: Label[] = metric.by === undefined ? ['client'] : ['client', metric.by];
  const settings = {
    name: metric.prometheus,
    help: metric.help,
    labelNames,
    registers: [register],
    // How a cluster's primary makes one number of its workers'.
    aggregator: metric.kind === 'gauge' ? ('max' as const) : ('sum' as const),
  };
  const samples = () => scrape().filter((sample) => sample.metric === metric);
  if (metric.kind === 'counter') {
    return new Counter({
      ...settings,
      collect() {
        this.reset();
        for (const { labels, value } of samples()) this.inc(labels, value);
      },
    });
  }
  return new Gauge({
    ...settings,
    collect() {
      this.reset();
      for (const { labels, value } of samples()) this.set(labels, value);
    },
  });
}
