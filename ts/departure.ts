/** One client on the ways out of the process, and what keeps it from being collected before its last event is told of. */
import { exits, type Departing, type FlushSignal } from './exit.js';
import { drainClients, type Engine } from './native.js';
import type { Stats } from './report.js';

/** What only the client knows of itself. */
export interface DepartingClient {
  /** Events that are with plugins. */
  passing(): number;
  /** Events that were given to plugins so far. */
  passed(): number;
  /** Whether anybody waits to be told of events. */
  isHeard(): boolean;
  hasPlugins(): boolean;
  /** Delivers with the event loop running. */
  flush(timeoutMs: number): Promise<unknown>;
}

/** The ways out know it weakly; the client has to hold it. */
export class Departure implements Departing {
  /** Before and after an event is taken, the ways out are asked whether it can still be delivered. */
  isGuarded: boolean;
  readonly handle: number;
  readonly drainClients = drainClients;
  readonly #engine: Engine;
  readonly #client: DepartingClient;
  /** The application's own client can't run any more once the loop has ended. */
  readonly #usesCallback: boolean;
  #isHeld = false;

  constructor(engine: Engine, client: DepartingClient, usesCallback: boolean) {
    this.#engine = engine;
    this.#client = client;
    this.#usesCallback = usesCallback;
    this.isGuarded = usesCallback;
    this.handle = usesCallback ? 0 : engine.handle();
  }

  /** From now on the ways out know the client. */
  announce(flushOnSignal: readonly FlushSignal[]): void {
    exits().watch(this);
    exits().watchSignals(flushOnSignal);
  }

  /** Whether what is tracked now can still be delivered. */
  takes(): boolean {
    return !this.isGuarded || exits().takes(this);
  }

  /** The client has taken an event. False: the process ends, and the event may be lost. */
  taken(): boolean {
    return !this.isGuarded || exits().taken(this);
  }

  /** The engine has an event: whoever listens, now or later, hears of it. */
  hold(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    exits().hold(this);
  }

  /** Everything was told, unless more has come meanwhile. */
  release(): void {
    if (this.#stats().pending > 0) return;
    this.#isHeld = false;
    exits().release(this);
  }

  guard(): void {
    this.isGuarded = true;
  }

  pending(): number {
    // What is delivered but not yet told to somebody is as good as pending.
    const untold = this.#isHeld && this.#client.isHeard() ? 1 : 0;
    return this.#stats().pending + this.#client.passing() + untold;
  }

  accepted(): number {
    return this.#stats().accepted + this.#client.passed();
  }

  exitTimeout(): number {
    return this.#engine.exitTimeout();
  }

  flush({ timeout }: { timeout: number }): Promise<unknown> {
    return this.#client.flush(timeout);
  }

  deliversBlocked(): boolean {
    return !this.#usesCallback && !this.#client.hasPlugins();
  }

  deliverNow(timeoutMs: number): boolean {
    return this.#engine.drain(timeoutMs) === 0 || this.#stats().spool === 'ready';
  }

  #stats(): Stats {
    return JSON.parse(this.#engine.stats()) as Stats;
  }
}
