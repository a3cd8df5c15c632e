/** From the border's numbers and texts to errors, events and callbacks. */
import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';

import type { Callback } from './api.js';
import { Context } from './context.js';
import { AnalyticsError, ValidationError, type ErrorCode } from './errors.js';
import type { Message } from './message.js';
import { EVENT_TYPES, FLAG, type Cause, type Refusal } from './native.js';
import type { SegmentEvent, SegmentEventType } from './params.js';
import { eventFrom, readableOf } from './snapshot.js';

/** Somebody who waits for one event's fate. */
export interface Settlement {
  /** The engine has the event, under this number. */
  accepted?(sequence: number): void;
  delivered(context: Context): void;
  failed(error: unknown, context: Context): void;
  /** The context that plugins know, or what was passed, in the place of what the engine tells of. */
  context?: Context;
  /** Whose turn of the application it is: what is told is told in it, as `AsyncLocalStorage` knows it. */
  scope?: AsyncResource;
  /** Only listeners are told: no event is given up sooner for it. */
  isOnlyHeard?: boolean;
  /** Characters of JSON that `context` stands for. */
  length?: number;
  /** Lets plugins see the end first. Never rejects. */
  passed?(): Promise<void>;
}

/** Stands for a callback that is no function. */
const NO_FUNCTION: Settlement = { delivered: () => {}, failed: () => {} };

/** A callback as a settlement. What it throws or rejects with harms nobody. */
export function settlementOf(
  callback: Callback | null | false | undefined,
  promised: (end: Promise<void>) => void = () => {},
): Settlement | undefined {
  // `condition && callback` leaves false where there is none.
  if (callback === undefined || callback === null || callback === false) return undefined;
  if (typeof callback !== 'function') return NO_FUNCTION;
  const call = (error: unknown, context: Context) => {
    const failed = (failure: unknown) => context.log('warn', 'Callback Error', { error: failure });
    try {
      const result = callback(error, context);
      if (result instanceof Promise) promised(result.then(() => {}, failed));
    } catch (failure) {
      failed(failure);
    }
  };
  return { delivered: (context) => call(undefined, context), failed: call, scope: scopeOfCall() };
}

/** Where a call is made from. */
export function scopeOfCall(): AsyncResource {
  return new AsyncResource('SegmentEvent');
}

/** Tells something in the scope of the call that it is about. */
export function within(scope: AsyncResource | undefined, tell: () => void): void {
  if (scope === undefined) tell();
  else scope.runInAsyncScope(tell);
}

/** The event of a call that was not accepted, with the members that an accepted one has, as far as they can be read. */
export function eventOf(type: SegmentEventType, source: object): SegmentEvent {
  const { messageId, timestamp, integrations, context, ...members } = readableOf(source);
  return {
    messageId: messageId || randomUUID(),
    timestamp: timestamp ?? new Date(),
    ...members,
    type,
    integrations: integrations ?? {},
    context: context ?? {},
  } as SegmentEvent;
}

/** Makes the event of a call that was refused, for those who want to know. */
export type Told = () => SegmentEvent;

/** {@link eventOf} for later: made here, so that no call that is accepted pays for it. */
export function telling(type: SegmentEventType, source: object): Told {
  return () => eventOf(type, source);
}

/** The context of an event whose end the engine tells: the one that is known already, or one of what the engine has. */
export function contextOf(event: object | null, attempts: number, settlement?: Settlement): Context {
  const known = settlement?.context;
  const context = known ?? new Context({} as SegmentEvent);
  context.settle(known !== undefined || event === null ? null : eventFrom(event), attempts);
  return context;
}

const TYPE_NUMBERS = Object.fromEntries(EVENT_TYPES.map((type, index) => [type, index])) as Record<
  SegmentEventType,
  number
>;

/** What the engine is to know of a text without reading it. */
export function flagsOf(type: SegmentEventType, message: Message, settlement?: Settlement): number {
  return (
    TYPE_NUMBERS[type] +
    (message.context === undefined ? 0 : FLAG.context) +
    (message.messageId === undefined ? 0 : FLAG.messageId) +
    (message.timestamp === undefined ? 0 : FLAG.timestamp) +
    (message.integrations === undefined ? 0 : FLAG.integrations) +
    (settlement === undefined || settlement.isOnlyHeard === true ? 0 : trackedBy(settlement))
  );
}

/** The error for a call that the engine refused. */
export function refusalError(refusal: Refusal, text: string): AnalyticsError {
  switch (refusal) {
    case 'event_too_large': {
      const size = Buffer.byteLength(text);
      const reason = `The event is about ${size} bytes of JSON; Segment takes 32768. Send less, or a reference to it.`;
      return new AnalyticsError('ERR_EVENT_TOO_LARGE', reason, { limit: '32768 bytes' });
    }
    case 'queue_full': {
      const reason =
        'The queue holds maxQueueBytes (or spool.maxBytes) already. Segment is unreachable or slower than you track.';
      return new AnalyticsError('ERR_QUEUE_FULL', reason);
    }
    case 'closed':
      return new AnalyticsError('ERR_CLOSED', 'The client was closed. Track before closeAndFlush().');
    case 'too_deep':
      return new AnalyticsError(
        'ERR_NOT_SERIALIZABLE',
        'The event nests more than 100 levels deep. Flatten it.',
      );
    default:
      // All that the face can't see itself: a String or Number object as context.
      return new ValidationError('.context', 'is not an object');
  }
}

/** What is wrong with a callback, once the parameters are known to be right. */
export function callbackProblem(settlement: Settlement | undefined): AnalyticsError | undefined {
  return settlement === NO_FUNCTION ? new ValidationError('callback', 'is not a function') : undefined;
}

/** The error for events that a closed client leaves to the next process. */
export function keptError(): AnalyticsError {
  const text =
    'The client was closed before this event could be delivered. The spool keeps it for the next process.';
  return new AnalyticsError('ERR_CLOSED', text);
}

/** The error for events that the engine gave up. */
export function errorOf(cause: Cause): AnalyticsError {
  const { code, message, status, attempts } = cause;
  return new AnalyticsError(code as ErrorCode, message, { status: status ?? undefined, attempts });
}

function trackedBy(settlement: Settlement): number {
  return settlement.context === undefined ? FLAG.tracked : FLAG.tracked + FLAG.known;
}

/** `Not Found` */
export function statusText(status: number): string {
  return STATUS_CODES[status] ?? '';
}
