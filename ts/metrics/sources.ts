/** Which clients are measured. Knows neither who announces them nor who measures them. */
import type { Stats } from '../report.js';

/** Whatever has counters: `Analytics`, `SegmentService`. */
export interface StatsSource {
  stats(): Stats;
}

/** One client, measured as `default`, or clients by name. */
export type Clients = StatsSource | Readonly<Record<string, StatsSource>>;

const DEFAULT_NAME = 'default';

const known = new Map<string, WeakRef<StatsSource>>();

/** From now on this client is measured under this name, the latest under each. It can still be collected. */
export function announce(name: string, source: StatsSource): void {
  known.set(name, new WeakRef(source));
}

/** The announced clients that are still there. */
export function announced(): Map<string, StatsSource> {
  const sources = new Map<string, StatsSource>();
  for (const [name, reference] of known) {
    const source = reference.deref();
    if (source === undefined) known.delete(name);
    else sources.set(name, source);
  }
  return sources;
}

/** The clients that one set of metrics measures. */
export class MeasuredClients {
  readonly #given = new Map<string, StatsSource>();
  #withAnnounced = false;

  /** Adds these, or all that are announced, now or later. The latest under a name replaces the one before. */
  add(clients: Clients | undefined): void {
    if (clients === undefined) this.#withAnnounced = true;
    else for (const [name, source] of byName(clients)) this.#given.set(name, source);
  }

  /** The clients as they are now. Who was given wins over who was announced. */
  current(): Map<string, StatsSource> {
    return new Map([...(this.#withAnnounced ? announced() : []), ...this.#given]);
  }
}

/** Mistakes show where they are made, not as numbers missing from every scrape. */
function byName(clients: Clients): [name: string, source: StatsSource][] {
  const entries = isSource(clients) ? [[DEFAULT_NAME, clients] as const] : Object.entries(clients);
  return entries.map(([name, source]) => {
    if (!isSource(source)) throw new TypeError(`The client '${name}' has no method stats().`);
    return [name, source];
  });
}

/** A client may itself be named `stats`: it is an object then. */
function isSource(candidate: Clients | undefined): candidate is StatsSource {
  return typeof candidate?.stats === 'function';
}
