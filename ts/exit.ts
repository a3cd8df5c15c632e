/**
 * Ways out of the process. When the event loop runs dry, clients get `exitTimeout` to deliver with callbacks
 * and listeners working; at `process.exit()`, an uncaught exception or an unhandled rejection the handler waits
 * for the engine, which has a thread of its own. Signals are left alone unless `flushOnSignal` names them. An idle
 * client delays nothing.
 */

import { drainClients } from './native.js';

/** A client that may have something to deliver. */
export interface Departing {
  /** Events whose fate is open, or not yet known to whoever waits for it. 0: there is nothing to do. */
  pending(): number;
  /** Milliseconds it may take. */
  exitTimeout(): number;
  /** Delivers with the event loop running. */
  flush(options: { timeout: number }): Promise<unknown>;
  /** The engine's number of it; 0 for one that can't deliver with the event loop blocked. */
  readonly handle: number;
}

const clients = new Set<WeakRef<Departing>>();
/** Clients that a dry loop has waited for; not again until they have accepted more. */
const waitedFor = new WeakMap<Departing, number>();
let watching = false;

/**
 * Signals that a client may deliver on before they end the process. On Windows Node makes SIGINT of Ctrl+C, SIGBREAK of
 * Ctrl+Break and SIGHUP of a console that is closed, ten seconds before Windows ends the process; SIGTERM comes from nowhere.
 */
export const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGBREAK'] as const;
export type FlushSignal = (typeof SIGNALS)[number];

const watchedSignals = new Set<FlushSignal>();

/** From now on the ways out know this client. It can still be collected. */
export function watchExit(client: Departing): void {
  for (const reference of clients) if (reference.deref() === undefined) clients.delete(reference);
  clients.add(new WeakRef(client));
  if (watching) return;
  watching = true;
  process.on('beforeExit', flushAll);
  process.on('exit', drainAll);
}

/** From now on these signals deliver first and then end the process as they would have without us. */
export function watchSignals(signals: readonly FlushSignal[]): void {
  for (const signal of signals) {
    if (watchedSignals.has(signal)) continue;
    watchedSignals.add(signal);
    process.on(signal, flushAndDie);
  }
}

function flushAndDie(signal: NodeJS.Signals): void {
  const isOurs = process.listenerCount(signal) === 1;
  const flushed = departing().map(flushOnce);
  // A handler of the application's rules: it decides when the process ends. It may do so by the same signal, which a
  // listener of ours would swallow.
  if (!isOurs) return unwatch(signal);
  void Promise.allSettled(flushed).then(() => {
    unwatch(signal);
    // Even an idle client may have an empty directory of its own in a spool.
    drainClients(known().map((client) => client.handle));
    die(signal);
  });
}

/** What Windows gives to a program that its console ends: STATUS_CONTROL_C_EXIT. */
const ENDED_BY_CONSOLE = 0xc000013a;

/** By the same signal, so that the parent sees what it would have seen. */
function die(signal: NodeJS.Signals): void {
  if (process.platform === 'win32') process.exit(ENDED_BY_CONSOLE);
  process.kill(process.pid, signal);
}

function unwatch(signal: NodeJS.Signals): void {
  process.removeListener(signal, flushAndDie);
  watchedSignals.delete(signal as FlushSignal);
}

function known(): Departing[] {
  return Array.from(clients, (reference) => reference.deref()).filter((client) => client !== undefined);
}

function departing(): Departing[] {
  return known().filter((client) => client.pending() > 0);
}

function flushAll(): void {
  for (const client of departing()) {
    // What a whole timeout has not brought out will not leave in a second one.
    if (waitedFor.get(client) !== client.pending()) void flushOnce(client);
  }
}

function flushOnce(client: Departing): Promise<unknown> {
  const flushed = client.flush({ timeout: client.exitTimeout() });
  return flushed.finally(() => waitedFor.set(client, client.pending()));
}

/** Waits for all at once, however many they are; not again for those that a dry loop has waited for. */
function drainAll(): void {
  const done = known().filter(
    (client) => waitedFor.has(client) && waitedFor.get(client) === client.pending(),
  );
  drainClients(done.map((client) => client.handle));
}
