/**
 * Ways out of the process. When the event loop runs dry, clients get `exitTimeout` to deliver with callbacks and
 * listeners working; at `process.exit()`, an uncaught exception or an unhandled rejection the handler waits for the
 * engine, which has a thread of its own. Signals are left alone unless `flushOnSignal` names them. An idle client delays
 * nothing. What is tracked on a way out is delivered like everything else, and refused as soon as it can't be.
 *
 * A process may have loaded this package several times (each `jest.resetModules()` makes one more copy of it): all of
 * them share the {@link Exits} of the first.
 */
import { monotonicNow, setImmediate } from './clock.js';

/** A client, as ways out know it. Its shape is part of {@link KEY}. */
export interface Departing {
  /** Events whose fate is open, or not yet known to whoever waits for it. 0: there is nothing to do. */
  pending(): number;
  /** Events that were taken so far. */
  accepted(): number;
  /** Milliseconds it may take. */
  exitTimeout(): number;
  /** Delivers with the event loop running. */
  flush(options: { timeout: number }): Promise<unknown>;
  /** Whether it can deliver with the event loop blocked. */
  deliversBlocked(): boolean;
  /** Delivers with the event loop blocked, for so many milliseconds at most; whether nothing can be lost any more. */
  deliverNow(timeoutMs: number): boolean;
  /** From now on it asks {@link Exits.takes} before it takes an event, and tells {@link Exits.taken} afterwards. */
  guard(): void;
  /** The engine's number of it; 0 for one that the engine does not know. */
  readonly handle: number;
  /** Blocks until all clients of its engine have delivered but these, which were waited for already. */
  readonly drainClients: (done: number[]) => void;
}

/**
 * Signals that a client may deliver on before they end the process. On Windows Node makes SIGINT of Ctrl+C, SIGBREAK of
 * Ctrl+Break and SIGHUP of a console that is closed, ten seconds before Windows ends the process; SIGTERM comes from nowhere.
 */
export const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGBREAK'] as const;
export type FlushSignal = (typeof SIGNALS)[number];

/** The number changes with the methods that another copy of the package calls, or that it is called by. */
const KEY = Symbol.for('@companion/segment.exits.1');

/** The ways out of this process, or of this worker thread. */
export function exits(): Exits {
  const known = (process as { [KEY]?: Exits })[KEY];
  if (known !== undefined) return known;
  const value = new Exits();
  Object.defineProperty(process, KEY, { value, configurable: true });
  return value;
}

/** A loop that has nothing to wait for turns faster than this. */
const LONGEST_TURN_MS = 100;

/** Clients, and what becomes of their events when the process ends. */
export class Exits {
  readonly #clients = new Set<WeakRef<Departing>>();
  /** Clients with events in the engine, which would tell nobody of them if they were collected. */
  readonly #held = new Set<object>();
  /** What drains the engines. There is more than one where the package is installed more than once. */
  readonly #drains = new Set<Departing['drainClients']>();
  readonly #signals = new Set<NodeJS.Signals>();
  /** Deliveries with the loop running, by client. */
  readonly #rounds = new Map<Departing, Promise<void>>();
  /** What a client had taken when a whole timeout did not bring all of it out: a second one would not either. */
  readonly #waitedFor = new WeakMap<Departing, number>();
  /** When the loop ran dry, or a signal came. Undefined: the process goes on. */
  #leavingSince: number | undefined;
  /** The turn of the loop in which we held it open last. */
  #turn = { since: 0, isOver: true };
  /** When the `exit` event came. */
  #exitingSince: number | undefined;

  /** From now on the ways out know this client. It can still be collected, while it is not held. */
  watch(client: Departing): void {
    for (const reference of this.#clients) {
      if (reference.deref() === undefined) this.#clients.delete(reference);
    }
    if (this.#drains.size === 0) {
      // Ahead of the application's listeners, so that it is known what they track.
      process.prependListener('beforeExit', this.#ranDry);
      process.on('exit', this.#drainAll);
    }
    this.#drains.add(client.drainClients);
    this.#clients.add(new WeakRef(client));
    if (this.#leavingSince !== undefined || this.#exitingSince !== undefined) client.guard();
  }

  /** From now on these signals deliver first and then end the process as they would have without us. */
  watchSignals(signals: readonly FlushSignal[]): void {
    for (const signal of signals) {
      if (this.#signals.has(signal)) continue;
      this.#signals.add(signal);
      process.on(signal, this.#signalled);
    }
  }

  /** The client is not collected. */
  hold(client: object): void {
    this.#held.add(client);
  }

  /** The client may be collected. */
  release(client: object): void {
    this.#held.delete(client);
  }

  /** Whether what is tracked now can still be delivered. */
  takes(client: Departing): boolean {
    if (isExiting() && !client.deliversBlocked()) return false;
    if (this.#exitingSince !== undefined) return left(this.#exitingSince, client) > 0;
    this.#lookAround();
    return this.#leavingSince === undefined || left(this.#leavingSince, client) > 0;
  }

  /** The client has taken an event on a way out. False: it may be lost. */
  taken(client: Departing): boolean {
    if (this.#exitingSince !== undefined) return client.deliverNow(left(this.#exitingSince, client));
    // Nothing else may hold the loop open for it.
    if (this.#leavingSince !== undefined) this.#startRound(client);
    return true;
  }

  readonly #ranDry = (): void => {
    // The last one to hear of `exit` knows of everything that others track there.
    process.removeListener('exit', this.#drainAll);
    process.on('exit', this.#drainAll);
    this.#lookAround();
    this.#leave();
  };

  #leave(): void {
    this.#leavingSince ??= monotonicNow();
    this.#letGo();
    for (const client of this.#known()) client.guard();
    this.#startRounds();
  }

  /** From now on nothing of ours holds the loop open. */
  #letGo(): void {
    const turn = { since: monotonicNow(), isOver: false };
    this.#turn = turn;
    // These hold nothing open either. The first comes with the turn that is going on, the second if there is one more.
    setImmediate(() => void setImmediate(() => (turn.isOver = true)).unref()).unref();
  }

  /** Notices when code runs that something else than us holds the loop open for: then it was no way out. */
  #lookAround(): void {
    if (this.#leavingSince === undefined || this.#rounds.size > 0) return;
    if (this.#turn.isOver) this.#leavingSince = undefined;
    // Either that as well, or a listener has blocked: it may still be one, with all of its time.
    else if (monotonicNow() - this.#turn.since > LONGEST_TURN_MS) this.#leavingSince = monotonicNow();
  }

  #startRounds(): void {
    for (const client of this.#departing()) {
      if (this.#waitedFor.get(client) !== client.accepted()) this.#startRound(client);
    }
  }

  #startRound(client: Departing): void {
    if (this.#rounds.has(client)) return;
    const round = this.#deliver(client).finally(() => {
      this.#rounds.delete(client);
      this.#letGo();
    });
    this.#rounds.set(client, round);
  }

  /** Never rejects: flushes do not. */
  async #deliver(client: Departing): Promise<void> {
    // What comes in the same turn leaves with it.
    await Promise.resolve();
    const accepted = client.accepted();
    await client.flush({ timeout: client.exitTimeout() });
    if (client.pending() > 0) this.#waitedFor.set(client, accepted);
  }

  readonly #signalled = (signal: NodeJS.Signals): void => {
    const isOurs = process.listenerCount(signal) === 1;
    if (isOurs) return void this.#flushAndDie(signal);
    for (const client of this.#departing()) void client.flush({ timeout: client.exitTimeout() });
    // A handler of the application's rules: it decides when the process ends. It may do so by the same signal, which a
    // listener of ours would swallow.
    this.#unwatch(signal);
  };

  async #flushAndDie(signal: NodeJS.Signals): Promise<void> {
    this.#leave();
    while (this.#rounds.size > 0) {
      await Promise.all(this.#rounds.values());
      // What callbacks have tracked meanwhile.
      this.#startRounds();
    }
    this.#unwatch(signal);
    // Even an idle client may have an empty directory of its own in a spool.
    this.#drain(this.#known());
    die(signal);
  }

  #unwatch(signal: NodeJS.Signals): void {
    process.removeListener(signal, this.#signalled);
    this.#signals.delete(signal);
  }

  /** Waits for all at once, however many they are; not again for those that a dry loop has waited for. */
  readonly #drainAll = (): void => {
    this.#exitingSince = monotonicNow();
    for (const client of this.#known()) client.guard();
    this.#drain(this.#known().filter((client) => this.#waitedFor.get(client) === client.accepted()));
  };

  #drain(done: readonly Departing[]): void {
    for (const drainClients of this.#drains) {
      const ofEngine = done.filter((client) => client.drainClients === drainClients);
      drainClients(ofEngine.map(({ handle }) => handle));
    }
  }

  #known(): Departing[] {
    return Array.from(this.#clients, (client) => client.deref()).filter((client) => client !== undefined);
  }

  #departing(): Departing[] {
    return this.#known().filter((client) => client.pending() > 0);
  }
}

/** Milliseconds of its `exitTimeout` that a client has left. */
function left(since: number, client: Departing): number {
  return since + client.exitTimeout() - monotonicNow();
}

/** Before our own listener of `exit` is told, others may be. */
function isExiting(): boolean {
  const { _exiting: isEnding } = process as { _exiting?: boolean };
  return isEnding === true;
}

/** What Windows gives to a program that its console ends: STATUS_CONTROL_C_EXIT. */
const ENDED_BY_CONSOLE = 0xc000013a;

/** By the same signal, so that the parent sees what it would have seen. */
function die(signal: NodeJS.Signals): void {
  if (process.platform === 'win32') process.exit(ENDED_BY_CONSOLE);
  process.kill(process.pid, signal);
}
