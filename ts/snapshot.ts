/**
 * Copies of what callers pass, for those who are shown events: what is changed in a copy changes nothing of the caller's,
 * and the other way round. Unlike JSON they keep Dates, undefined members, functions, Maps and classes.
 */
import { types } from 'node:util';

import type { Message } from './message.js';
import type { SegmentEvent, SegmentEventType } from './params.js';

type Members = Record<string, unknown>;

/** Deeper than any event that can be sent: of a cycle, too, the end is found. */
const DEEPEST = 200;

/**
 * A copy of a message or event, of which `JSON.stringify` makes what it makes of the original. Members that are undefined
 * are left out, but not those of members.
 *
 * @throws what the caller's getters and `toJSON` throw; a RangeError when it has no end
 */
export function snapshotOf(message: Message | SegmentEvent): Members {
  const event: Members = {};
  for (const [name, value] of Object.entries(message)) {
    if (value !== undefined) define(event, name, copyOf(value, name, 0));
  }
  return event;
}

/**
 * The same, or what JSON makes of it where it can't be copied: nothing is refused for that.
 *
 * @throws what `JSON.stringify` throws
 */
export function copyOfMessage(message: Message): Members {
  try {
    return snapshotOf(message);
  } catch {
    return JSON.parse(JSON.stringify(message)) as Members;
  }
}

/** Makes such a copy an event, with the members that every event has. */
export function eventWith(type: SegmentEventType, copy: Members): SegmentEvent {
  copy['type'] = type;
  copy['timestamp'] = momentFrom(copy['timestamp']);
  copy['integrations'] ??= {};
  copy['context'] ??= {};
  return copy as unknown as SegmentEvent;
}

/** An event as JSON has it, with the moment as a `Date` for whoever reads it: where it was written of one. */
export function eventFrom(told: object): SegmentEvent {
  const event = told as SegmentEvent;
  const timestamp = momentFrom(event.timestamp) as Date;
  return timestamp === event.timestamp ? event : { ...event, timestamp };
}

function momentFrom(timestamp: unknown): unknown {
  if (typeof timestamp !== 'string') return timestamp;
  const moment = new Date(timestamp);
  return !Number.isNaN(moment.getTime()) && moment.toISOString() === timestamp ? moment : timestamp;
}

/** The same of anything, without the members that can't be read. */
export function readableOf(source: object): Members {
  const members: Members = {};
  for (const name of namesOf(source)) {
    try {
      const value = (source as Members)[name];
      if (value !== undefined) define(members, name, copyOf(value, name, 0));
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

/** As `JSON.stringify` goes through it: everything of the caller's is read and asked once, and in the same order. */
function copyOf(value: unknown, name: string, depth: number): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON !== 'function') return typeof value === 'function' ? value : copyOfObject(value, depth);
  if (keepsItsClass(value, toJSON)) return copyOfObject(value, depth);
  // It says itself how it is to be read; a copy of it may not be able to any more.
  const told: unknown = toJSON.call(value, name);
  if (typeof told !== 'object' || told === null) return told;
  const copy = copyOfObject(told, depth);
  // It is asked once, whatever comes of it.
  if (hasJson(copy)) define(copy, 'toJSON', undefined, false);
  return copy;
}

function copyOfObject(value: object, depth: number): object {
  if (depth > DEEPEST) throw new RangeError('It nests too deep.');
  if (Array.isArray(value)) {
    const { length } = value;
    const list: unknown[] = [];
    for (let index = 0; index < length; index += 1) {
      list.push(copyOf((value as unknown[])[index], String(index), depth + 1));
    }
    return list;
  }
  return isPlain(value) ? withMembers({}, value, depth) : copyOfOther(value, depth);
}

/** What is neither data nor a list. */
function copyOfOther(value: object, depth: number): object {
  if (types.isDate(value)) {
    const moment = new Date(Date.prototype.getTime.call(value));
    return withMembers(inClassOf(value, moment), value, depth);
  }
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (types.isTypedArray(value)) return value.slice();
  if (types.isMap(value)) {
    const entries = [...value].map(([key, held]) => [key, copyOf(held, '', depth + 1)] as const);
    return withMembers(inClassOf(value, new Map(entries)), value, depth);
  }
  if (types.isSet(value)) {
    const members = [...value].map((held) => copyOf(held, '', depth + 1));
    return withMembers(inClassOf(value, new Set(members)), value, depth);
  }
  const isError = types.isNativeError(value);
  // All of such a one is what only its class can see, as of a URLSearchParams.
  const isSealed = Object.prototype.toString.call(value) !== '[object Object]' && !isError;
  if (types.isBoxedPrimitive(value) || (isSealed && Object.keys(value).length === 0)) return value;
  const copy = Object.create(Object.getPrototypeOf(value) as object | null) as object;
  if (isError) for (const name of ERROR_TEXTS) define(copy, name, value[name], false);
  return withMembers(copy, value, depth);
}

/** Whether a copy of it says of itself what it says: Dates and Buffers that do so as all do, and what nobody can change. */
function keepsItsClass(value: object, toJSON: unknown): boolean {
  if (types.isDate(value)) {
    let own = Object.getPrototypeOf(value) as Date | null;
    while (own !== null && !Object.hasOwn(own, 'setUTCFullYear'))
      own = Object.getPrototypeOf(own) as Date | null;
    return toJSON === own?.toJSON && value.toISOString === own?.toISOString;
  }
  if (Buffer.isBuffer(value)) return toJSON === (Buffer.prototype as Buffer).toJSON;
  return Object.prototype.toString.call(value).startsWith('[object Temporal.');
}

/** What an error has that is no enumerable member. */
const ERROR_TEXTS = ['message', 'stack', 'cause'] as const;

function withMembers(copy: object, value: object, depth: number): object {
  for (const name of Object.keys(value)) {
    define(copy, name, copyOf((value as Members)[name], name, depth + 1));
  }
  return copy;
}

/** Sets a member of its own, `__proto__` included, and past the setters of its class. */
export function define(target: object, name: string, value: unknown, enumerable = true): void {
  // Most are new to all of the object's classes, and an assignment costs a fraction.
  if (enumerable && !(name in target)) (target as Members)[name] = value;
  else Object.defineProperty(target, name, { value, configurable: true, enumerable, writable: true });
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
  return Object.getPrototypeOf(copy) === prototype
    ? copy
    : (Object.setPrototypeOf(copy, prototype) as object);
}
