/** `@companion/segment/opentelemetry`: the counters of clients as OpenTelemetry instruments. */
import {
  metrics,
  ValueType,
  type Attributes,
  type BatchObservableCallback,
  type Meter,
  type Observable,
} from '@opentelemetry/api';

import { VERSION } from '../version.js';
import { METRICS, samplesOf, type Label, type Metric, type Sample } from './catalogue.js';
import { MeasuredClients, type Clients } from './sources.js';

export type { Clients, StatsSource } from './sources.js';

const ATTRIBUTES: Readonly<Record<Label, string>> = {
  client: 'segment.client',
  reason: 'segment.reason',
  state: 'segment.spool.state',
};

const CREATE = {
  counter: 'createObservableCounter',
  updown: 'createObservableUpDownCounter',
  gauge: 'createObservableGauge',
} as const;

/**
 * Makes observable instruments of the counters of clients. Each client is asked once per collection, and named in the
 * attribute `segment.client`. Without `clients`: those of every `SegmentModule` in this process, whenever they come.
 *
 * The default meter is the global one: the SDK has to be started before. Returns a function that stops observing.
 *
 * @example
 * const stop = registerSegmentInstruments(undefined, analytics);
 */
export function registerSegmentInstruments(
  meter: Meter = metrics.getMeter('@companion/segment', VERSION),
  clients?: Clients,
): () => void {
  const measured = new MeasuredClients();
  measured.add(clients);
  const instruments = new Map(METRICS.map((metric) => [metric, create(meter, metric)]));
  const observe: BatchObservableCallback = (result) => {
    for (const sample of samplesOf(measured.current())) {
      const instrument = instruments.get(sample.metric);
      if (instrument !== undefined) result.observe(instrument, sample.value, attributesOf(sample));
    }
  };
  const observed = [...instruments.values()];
  meter.addBatchObservableCallback(observe, observed);
  return () => meter.removeBatchObservableCallback(observe, observed);
}

function create(meter: Meter, { openTelemetry, kind, unit, help }: Metric): Observable {
  // Only seconds have fractions.
  const valueType = unit === 's' ? ValueType.DOUBLE : ValueType.INT;
  return meter[CREATE[kind]](openTelemetry, { unit, description: help, valueType });
}

function attributesOf({ labels }: Sample): Attributes {
  return Object.fromEntries(
    Object.entries(labels).map(([label, value]) => [ATTRIBUTES[label as Label], value]),
  );
}
