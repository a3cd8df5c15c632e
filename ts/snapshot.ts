/**
 * Copies of what callers pass, for those who are shown events: what is changed in a copy changes nothing of the caller's,
 * and the other way round. Unlike JSON they keep Dates, undefined members, functions, Maps and classes.
 */
import { types } from 'node:util';

import type { Message } from './message.js';
import type { SegmentEvent } from './params.js';

type Members = Record<string, unknown>;

/** Deeper than any event that can be sent: of a cycle, too, the end is found. */
const DEEPEST = 200;

/** A copy of a message as the event that it is. Members that are undefined are left out, but not those of members. */
export function snapshotOf(message: Message | SegmentEvent): SegmentEvent {
  const event: Members = {};
  for (const [name, value] of Object.entries(message)) {
    if (value !== undefined) define(event, name, copyOf(value));
  }
  return event as unknown as SegmentEvent;
}

/** The same of anything, without the members that can't be read. */
export function readableOf(source: object): Members {
  const members: Members = {};
  for (const name of namesOf(source)) {
    try {
      const value = (source as Members)[name];
      if (value !== undefined) define(members, name, copyOf(value));
    } catch {
      // A getter or toJSON() that throws, or a cycle.
    }
  }
  return members;
}

function namesOf(source: object): string[] {
  try {
    return Object.keys(source);
  } catch {
    // A Proxy that nobody can look into.
    return [];
  }
}

function copyOf(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) {
    return typeof value === 'function' && hasJson(value) ? copyOf(value.toJSON(), depth + 1) : value;
  }
  if (depth > DEEPEST) throw new RangeError('It nests too deep.');
  if (Array.isArray(value)) {
    const list: unknown[] = [];
    for (const member of value as unknown[]) list.push(copyOf(member, depth + 1));
    return list;
  }
  if (!isPlain(value) || hasJson(value)) return copyOfOther(value, depth);
  const copy: Members = {};
  for (const name of Object.keys(value)) {
    const member = copyOf((value as Members)[name], depth + 1);
    if (name === '__proto__') define(copy, name, member);
    else copy[name] = member;
  }
  return copy;
}

/** What is neither data nor a list. */
function copyOfOther(value: object, depth: number): unknown {
  if (types.isDate(value)) return withMembers(inClassOf(value, new Date(value.getTime())), value, depth);
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (types.isTypedArray(value)) return value.slice();
  if (types.isBoxedPrimitive(value)) return value.valueOf();
  const kind = Object.prototype.toString.call(value);
  // Nobody can change one of these.
  if (kind.startsWith('[object Temporal.')) return value;
  // It says itself how it is to be read; a copy of it may not be able to any more.
  if (hasJson(value)) return copyOf(value.toJSON(), depth + 1);
  if (types.isMap(value)) return withMembers(inClassOf(value, new Map(value)), value, depth);
  if (types.isSet(value)) return withMembers(inClassOf(value, new Set(value)), value, depth);
  const isError = types.isNativeError(value);
  // All of such a one is what only its class can see.
  if (kind !== '[object Object]' && !isError && Object.keys(value).length === 0) return value;
  const copy = Object.create(Object.getPrototypeOf(value) as object | null) as object;
  if (isError) for (const name of ERROR_TEXTS) define(copy, name, value[name], false);
  return withMembers(copy, value, depth);
}

/** What an error has that is no enumerable member. */
const ERROR_TEXTS = ['message', 'stack', 'cause'] as const;

function withMembers(copy: object, value: object, depth: number): object {
  for (const name of Object.keys(value)) define(copy, name, copyOf((value as Members)[name], depth + 1));
  return copy;
}

/** Sets a member of its own, `__proto__` included, and past the setters of its class. */
function define(target: object, name: string, value: unknown, enumerable = true): void {
  Object.defineProperty(target, name, { value, configurable: true, enumerable, writable: true });
}

/** Data, also of another realm: its prototype has none. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

function hasJson(value: object): value is { toJSON(): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function';
}

function inClassOf(value: object, copy: object): object {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return Object.getPrototypeOf(copy) === prototype ? copy : (Object.setPrototypeOf(copy, prototype) as object);
}
