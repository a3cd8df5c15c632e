/** A small event emitter with the surface of analytics-node's: `error` without a listener throws nothing. */

export type EventMap = Record<string, unknown[]>;
export type Listener<Args extends unknown[]> = (...args: Args) => void;

/** What an emitter knows. A private member would be missing behind a `Proxy` and on what `Object.create()` made. */
const STATE = Symbol('listeners');

interface State<Events extends EventMap> {
  readonly listeners: Partial<Record<keyof Events, Listener<never>[] | undefined>>;
  isWarned: boolean;
}

export class Emitter<Events extends EventMap> {
  /** Listeners of one event from which on Node is told of a possible leak. 0: never. */
  maxListeners = 10;
  declare private readonly [STATE]: State<Events>;

  constructor() {
    const listeners = Object.create(null) as State<Events>['listeners'];
    const value: State<Events> = { listeners, isWarned: false };
    // Not enumerable: it is nothing to look at.
    Object.defineProperty(this, STATE, { value, configurable: true });
  }

  /** Calls `listener` at each `event`. */
  on<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    const listeners = this[STATE].listeners[event] ?? [];
    // A new array, so that a dispatch that is going on keeps the list it began with.
    this[STATE].listeners[event] = [...listeners, listener];
    warnOfLeak(this, this[STATE], event, listeners.length + 1);
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
    const kept = (this[STATE].listeners[event] ?? []).filter(
      (known) => known !== listener && originals.get(known) !== listener,
    );
    this[STATE].listeners[event] = kept.length > 0 ? kept : undefined;
    this.listenersChanged();
    return this;
  }

  /** Calls the listeners of `event`. One that throws keeps none of the others from being called. */
  emit<Name extends keyof Events>(event: Name, ...args: Events[Name]): this {
    for (const listener of this[STATE].listeners[event] ?? []) {
      try {
        const result: unknown = (listener as Listener<Events[Name]>).apply(this, args);
        if (result instanceof Promise) result.catch((error: unknown) => this.listenerFailed(event, error));
      } catch (error) {
        this.listenerFailed(event, error);
      }
    }
    return this;
  }

  /** Whether anybody listens to `event`. */
  protected hears(event: keyof Events): boolean {
    return this[STATE].listeners[event] !== undefined;
  }

  /** A listener was added or removed. */
  protected listenersChanged(): void {}

  /** A listener threw, or the promise it returned was rejected. */
  protected listenerFailed(_event: keyof Events, _error: unknown): void {}
}

/** Whoever adds a listener for each request never removes it. Told once, as Node tells of its own emitters. */
function warnOfLeak(
  { maxListeners }: { maxListeners: number },
  state: { isWarned: boolean },
  event: PropertyKey,
  count: number,
): void {
  if (state.isWarned || maxListeners === 0 || count <= maxListeners) return;
  state.isWarned = true;
  const text = `Possible memory leak detected; ${String(event)} has exceeded ${maxListeners} listeners.`;
  process.emitWarning(text, 'MaxListenersExceededWarning');
}

/** The listeners that `once` wrapped, so that `off` finds them. */
const originals = new WeakMap<object, unknown>();
