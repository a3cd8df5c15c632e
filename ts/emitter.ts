/** A small event emitter with the surface of analytics-node's: `error` without a listener throws nothing. */

import { bindMembers } from './bound.js';

export type EventMap = Record<string, unknown[]>;
export type Listener<Args extends unknown[]> = (...args: Args) => void;

export class Emitter<Events extends EventMap> {
  #maxListeners = 10;
  readonly #listeners = new Map<keyof Events, Listener<never>[]>();
  #isWarned = false;

  constructor() {
    bindMembers(this, Emitter.prototype);
  }

  /** Listeners of one event from which on Node is told of a possible leak. 0: never. */
  get maxListeners(): number {
    return this.#maxListeners;
  }

  set maxListeners(count: number) {
    this.#maxListeners = count;
  }

  /** Calls `listener` at each `event`. */
  on<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    const listeners = this.#listeners.get(event) ?? [];
    // A new array, so that a dispatch that is going on keeps the list it began with.
    this.#listeners.set(event, [...listeners, listener]);
    this.#warnOfLeak(event, listeners.length + 1);
    this.listenersChanged();
    return this;
  }

  /** Calls `listener` at the next `event` only. */
  once<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    const once: Listener<Events[Name]> = (...args) => {
      this.off(event, once);
      listener.apply(this, args);
    };
    originals.set(once, listener);
    return this.on(event, once);
  }

  /** Stops calling `listener`. */
  off<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    const kept = (this.#listeners.get(event) ?? []).filter(
      (known) => known !== listener && originals.get(known) !== listener,
    );
    if (kept.length > 0) this.#listeners.set(event, kept);
    else this.#listeners.delete(event);
    this.listenersChanged();
    return this;
  }

  /** Calls the listeners of `event`. One that throws keeps none of the others from being called. */
  emit<Name extends keyof Events>(event: Name, ...args: Events[Name]): this {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        const result: unknown = (listener as Listener<Events[Name]>).apply(this, args);
        if (result instanceof Promise) result.catch((error: unknown) => this.listenerFailed(event, error));
      } catch (error) {
        this.listenerFailed(event, error);
      }
    }
    return this;
  }

  /** Whoever adds a listener for each request never removes it. Told once, as Node tells of its own emitters. */
  #warnOfLeak(event: keyof Events, count: number): void {
    if (this.#isWarned || this.maxListeners === 0 || count <= this.maxListeners) return;
    this.#isWarned = true;
    const text = `Possible memory leak detected; ${String(event)} has exceeded ${this.maxListeners} listeners.`;
    process.emitWarning(text, 'MaxListenersExceededWarning');
  }

  /** Whether anybody listens to `event`. */
  protected hears(event: keyof Events): boolean {
    return this.#listeners.has(event);
  }

  /** A listener was added or removed. */
  protected listenersChanged(): void {}

  /** A listener threw, or the promise it returned was rejected. */
  protected listenerFailed(_event: keyof Events, _error: unknown): void {}
}

/** The listeners that `once` wrapped, so that `off` finds them. */
const originals = new WeakMap<object, unknown>();
