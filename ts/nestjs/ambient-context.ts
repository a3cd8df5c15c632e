/** What is known of a call beside its parameters: whose request it belongs to, and where that came from. */
import { AsyncLocalStorage } from 'node:async_hooks';

import { isBlank } from '../blank.js';
import type { ExtraContext, MethodParams, SegmentEventType } from '../params.js';

/** Added to calls that do not say it themselves. */
export interface AmbientContext {
  userId?: string | undefined;
  anonymousId?: string | undefined;
  context?: ExtraContext | undefined;
}

/** The parameters of a call whose ids may come from its context. */
export type AmbientParams<Type extends SegmentEventType> = WithoutIds<MethodParams[Type]> & {
  userId?: string | null | undefined;
  anonymousId?: string | null | undefined;
};
type WithoutIds<Params> = Params extends unknown ? Omit<Params, 'userId' | 'anonymousId'> : never;

/** Read at each call, because guards learn who the user is after the request has begun. */
export interface Scope {
  read(): AmbientContext;
}

const storage = new AsyncLocalStorage<Scope>();

/** Runs the callback, and all that it starts, within the scope. What is known around it stays known. */
export function runWithin<Result>(scope: Scope, callback: () => Result): Result {
  const outer = storage.getStore();
  if (outer === undefined) return storage.run(scope, callback);
  return storage.run({ read: () => merged(outer.read(), scope.read()) }, callback);
}

/** Facts for all calls of a request, a job or a message, however deep. */
export class SegmentContext {
  /** Calls within `callback`, and in whatever it starts, get these values. Nested runs add to the outer ones. */
  static run<Result>(values: AmbientContext, callback: () => Result): Result {
    return runWithin({ read: () => checked(values) }, callback);
  }

  /** Calls within `callback`, and in whatever it starts, get nothing of what is known around it. */
  static exit<Result>(callback: () => Result): Result {
    return storage.exit(callback);
  }

  /** What a call made here would get. */
  static get(): AmbientContext {
    return storage.getStore()?.read() ?? {};
  }
}

/** What there is to it; whatever else a function of the application gave is nothing. */
export function checked(values: unknown): AmbientContext {
  if (!isObject(values)) return {};
  const { userId, anonymousId, context } = values as Record<string, unknown>;
  return { userId: idOf(userId), anonymousId: idOf(anonymousId), context: contextOf(context) };
}

/** An id, as text. */
export function idOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value === 'string' && !isBlank(value)) return value;
  hush(value);
  return undefined;
}

/** A context, if it is one. */
export function contextOf(value: unknown): ExtraContext | undefined {
  return isObject(value) ? (value as ExtraContext) : undefined;
}

/** Both, where they differ the second. */
export function merged(outer: AmbientContext, inner: AmbientContext): AmbientContext {
  return {
    userId: inner.userId ?? outer.userId,
    anonymousId: inner.anonymousId ?? outer.anonymousId,
    context: mergedContext(outer.context, inner.context),
  };
}

/** The parameters of a call with what they leave open. The caller's objects are not changed. */
export function withAmbient(type: SegmentEventType, params: unknown, ambient: AmbientContext): unknown {
  if (typeof params !== 'object' || params === null) return params;
  const given = params as AmbientContext;
  const context = isObject(given.context ?? {})
    ? mergedContext(ambient.context, given.context)
    : given.context;
  return { ...given, ...identity(type, given, ambient), ...(context !== undefined && { context }) };
}

/**
 * The ids that the call leaves open. Those of the request are left out when the call names somebody else: an
 * administrator who identifies a customer must not become one user with him.
 */
function identity(type: SegmentEventType, given: AmbientContext, ambient: AmbientContext): AmbientContext {
  const userId = given.userId ?? undefined;
  const anonymousId = given.anonymousId ?? undefined;
  const ids: AmbientContext = {};
  if (userId === undefined && (anonymousId === undefined || anonymousId === ambient.anonymousId)) {
    if (ambient.userId !== undefined) ids.userId = ambient.userId;
  }
  const isSameUser = userId === undefined || ambient.userId === undefined || userId === ambient.userId;
  if (type !== 'alias' && anonymousId === undefined && isSameUser) {
    if (ambient.anonymousId !== undefined) ids.anonymousId = ambient.anonymousId;
  }
  return ids;
}

function mergedContext(
  outer: ExtraContext | undefined,
  inner: ExtraContext | null | undefined,
): ExtraContext | undefined {
  if (inner === undefined || inner === null) return outer;
  return outer === undefined ? inner : { ...outer, ...inner };
}

function isObject(value: unknown): boolean {
  hush(value);
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Promise);
}

/** A function that is async by mistake: its rejection must not end the process. */
export function hush(value: unknown): void {
  if (value instanceof Promise) value.catch(() => {});
}
