/** `@Track`: an event for each call of a method. */
import { AsyncLocalStorage } from 'node:async_hooks';

import { defer, isObservable, tap, type Observable } from 'rxjs';

import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import type { EventProperties, ExtraContext, TrackParams } from '../params.js';
import { hush } from './ambient-context.js';
import type { SegmentService } from './service.js';
import { InjectSegment } from './tokens.js';

/** Makes a value of what a call was given and what came of it: a result, or an error. */
type FromCall<Args extends readonly unknown[], Result, Value> = (
  args: Args,
  result: Result,
  error: unknown,
) => Value;

/**
 * What an event of `@Track` says. Annotate the parameters to have types:
 * `properties: ([order]: [NewOrder], receipt: Receipt) => ({ total: receipt.total })`.
 */
export interface TrackOptions<Args extends readonly unknown[] = readonly unknown[], Result = unknown> {
  /** The event's properties. After a failure `result` is undefined and `error` is set. */
  properties?: EventProperties | FromCall<Args, Result, EventProperties | undefined>;
  /** Who did it. @default the user of the request (`requestContext`, `SegmentContext.run`) */
  userId?: FromCall<Args, Result, string | undefined>;
  anonymousId?: FromCall<Args, Result, string | undefined>;
  context?: FromCall<Args, Result, ExtraContext | undefined>;
  /** After which calls. @default 'success' */
  on?: 'success' | 'failure' | 'always';
  /** False leaves this call out. */
  when?: FromCall<Args, Result, boolean>;
  /** The client's name. @default the client without a name */
  client?: string;
}

const OPTIONS = optionNames<TrackOptions>({
  properties: true,
  userId: true,
  anonymousId: true,
  context: true,
  on: true,
  when: true,
  client: true,
});
const FUNCTIONS = ['userId', 'anonymousId', 'context', 'when'] as const;
const MOMENTS = ['success', 'failure', 'always'] as const;

type Method = (this: object, ...args: unknown[]) => unknown;
type Told = (result: unknown, error?: { reason: unknown }) => void;

/**
 * Tracks `event` after each successful call (or failed one, see `on`) of a provider's or controller's method. Promises
 * count when they settle, Observables when they complete, with their last value. Result and error stay as they are,
 * and nothing that goes wrong here reaches the caller.
 *
 * @throws AnalyticsError `ERR_OPTION_INVALID`, when the class is defined
 */
export function Track<Args extends readonly unknown[] = readonly unknown[], Result = unknown>(
  event: string,
  options: TrackOptions<Args, Result> = {},
): MethodDecorator {
  checkOptions(options as TrackOptions);
  return (target, key, descriptor) => {
    // On a property there is none.
    const original: unknown = (descriptor as TypedPropertyDescriptor<unknown> | undefined)?.value;
    if (typeof original !== 'function' || typeof target === 'function') {
      throw new TypeError(`@Track('${event}') belongs on a method of an instance; ${String(key)} is none.`);
    }
    const property = injectClient(target, options.client);
    const tell = teller(event, options as TrackOptions, `${target.constructor.name}.${String(key)}`);
    const tracked: Method = function (...args) {
      const service = (this as Record<symbol, SegmentService | undefined>)[property];
      const call = () => (original as Method).apply(this, args);
      // Made without Nest, as in a unit test.
      return service === undefined ? call() : watched(call, (...end) => tell(service, args, ...end));
    };
    copyIdentity(original, tracked);
    descriptor.value = tracked as never;
  };
}

function checkOptions(options: TrackOptions): void {
  requireKnown(options, OPTIONS);
  for (const name of FUNCTIONS) {
    const from: unknown = options[name];
    if (from !== undefined && typeof from !== 'function') throw invalidOption(name, 'a function of the call');
  }
  const { on = 'success' } = options;
  if (!MOMENTS.includes(on)) throw invalidOption('on', MOMENTS.map((moment) => `'${moment}'`).join(', '));
}

/** Nest injects the client into a property of each instance, whatever its scope. Returns the property's name. */
function injectClient(target: object, client: string | undefined): symbol {
  const property = Symbol.for(`@companion/segment:${client ?? ''}`);
  if (!(property in target)) {
    Object.defineProperty(target, property, { value: undefined, writable: true });
    InjectSegment(client)(target, property);
  }
  return property;
}

/** Guards, interceptors and routes are metadata of the function. */
function copyIdentity(from: object, to: object): void {
  Object.defineProperty(to, 'name', { value: (from as { name: string }).name, configurable: true });
  for (const key of Reflect.getMetadataKeys(from)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, from) as unknown, to);
  }
}

/** Calls, and tells what comes of it, now or later. */
function watched(call: () => unknown, told: Told): unknown {
  let result: unknown;
  try {
    result = call();
  } catch (reason) {
    told(undefined, { reason });
    throw reason;
  }
  const kind = kindOf(result);
  if (kind === 'promise') return watchedPromise(result as Promise<unknown>, told);
  if (kind === 'observable') return watchedObservable(result as Observable<unknown>, told);
  if (kind === 'thenable' && watchThenable(result as Thenable, told)) return result;
  told(result);
  return result;
}

/** How the end of a call is known. What can't be looked at has come to its end. */
function kindOf(result: unknown): 'promise' | 'observable' | 'thenable' | undefined {
  try {
    if (isNativePromise(result)) return 'promise';
    if (isObservable(result)) return 'observable';
    return isThenable(result) ? 'thenable' : undefined;
  } catch {
    return undefined;
  }
}

/** Not one of a class of its own, which has more methods and may begin only when it is awaited. */
function isNativePromise(value: unknown): boolean {
  return value instanceof Promise && Object.getPrototypeOf(value) === Promise.prototype;
}

/**
 * The caller gets the promise that follows, so that a rejection nobody handles is still seen as one. With the members
 * that somebody has given the first.
 */
function watchedPromise(promise: Promise<unknown>, told: Told): Promise<unknown> {
  const following = promise.then(
    (result) => {
      told(result);
      return result;
    },
    (reason: unknown) => {
      told(undefined, { reason });
      throw reason;
    },
  );
  return Object.defineProperties(following, Object.getOwnPropertyDescriptors(promise));
}

/** Each subscription is a call of its own. */
function watchedObservable(observable: Observable<unknown>, told: Told): Observable<unknown> {
  return defer(() => {
    // It may come to its end in the middle of somebody else's request.
    const within = AsyncLocalStorage.snapshot();
    let last: unknown;
    return observable.pipe(
      tap({
        next: (value) => void (last = value),
        complete: () => within(told, last),
        error: (reason: unknown) => within(told, undefined, { reason }),
      }),
    );
  });
}

/**
 * Queries of databases begin when their `then` is called and have more methods than a promise: they stay the same
 * object, and are heard of when somebody awaits them. False where that is not possible.
 */
function watchThenable(thenable: Thenable, told: Told): boolean {
  const { then } = thenable;
  const within = AsyncLocalStorage.snapshot();
  let isTold = false;
  const once: Told = (...end) => {
    if (!isTold) within(told, ...end);
    isTold = true;
  };
  const watchedThen: Then = function (this: object, onFulfilled, onRejected) {
    const fulfilled = (result: unknown) => {
      once(result);
      return onFulfilled === undefined || onFulfilled === null ? result : onFulfilled(result);
    };
    const rejected = (reason: unknown) => {
      once(undefined, { reason });
      if (onRejected !== undefined && onRejected !== null) return onRejected(reason);
      throw reason;
    };
    return then.call(this, fulfilled, rejected);
  };
  // oxlint-disable-next-line unicorn/no-thenable -- it has one already
  return Reflect.defineProperty(thenable, 'then', { value: watchedThen, configurable: true, writable: true });
}

type Settled = ((value: unknown) => unknown) | null | undefined;
type Then = (this: object, onFulfilled?: Settled, onRejected?: Settled) => unknown;
interface Thenable {
  then: Then;
}

function isThenable(value: unknown): value is Thenable {
  return (
    typeof value === 'object' && value !== null && typeof (value as Partial<Thenable>).then === 'function'
  );
}

/** Tracks one call. What the options throw is logged once per method: without what they threw, which may quote data. */
function teller(event: string, options: TrackOptions, method: string) {
  let hasFailed = false;
  return (service: SegmentService, args: unknown[], result: unknown, failure?: { reason: unknown }): void => {
    const { on = 'success' } = options;
    if (on !== 'always' && (on === 'failure') !== (failure !== undefined)) return;
    try {
      const params = paramsOf(event, options, [args, result, failure?.reason]);
      if (params !== undefined) service.track(params);
    } catch (error) {
      if (hasFailed) return;
      hasFailed = true;
      const name = error instanceof Error ? error.name : typeof error;
      service.warn(
        `An option of @Track('${event}') on ${method} threw a ${name}: not tracked. This is logged once.`,
      );
    }
  };
}

type Call = Parameters<FromCall<readonly unknown[], unknown, unknown>>;

function paramsOf(event: string, options: TrackOptions, call: Call): TrackParams | undefined {
  const { properties, userId, anonymousId, context, when } = options;
  const ask = (from: FromCall<readonly unknown[], unknown, unknown> | undefined) => {
    const answer = from?.(...call);
    if (!(answer instanceof Promise)) return answer;
    hush(answer);
    throw new TypeError('An option of @Track has to answer at once.');
  };
  if (ask(when) === false) return undefined;
  const isFixed = typeof properties !== 'function';
  return {
    event,
    properties: isFixed ? properties : ask(properties as FromCall<readonly unknown[], unknown, object>),
    userId: ask(userId),
    anonymousId: ask(anonymousId),
    context: ask(context),
  } as TrackParams;
}
