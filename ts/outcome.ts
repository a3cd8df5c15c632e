/** From the border's numbers and texts to errors, events and callbacks. */
import { STATUS_CODES } from 'node:http';

import type { Callback } from './api.js';
import type { Context } from './context.js';
import { AnalyticsError, ValidationError, type ErrorCode } from './errors.js';
import type { Message } from './message.js';
import { EVENT_TYPES, FLAG, type Cause, type Refusal } from './native.js';
import type { SegmentEvent, SegmentEventType } from './params.js';

/** Somebody who waits for one event's fate. */
export interface Settlement {
  /** The engine has the event, under this number. */
  accepted?(sequence: number): void;
  delivered(context: Context): void;
  failed(error: unknown, context: Context): void;
  /** The context that plugins know, in the place of the one that the engine tells of. */
  context?: Context;
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
  return { delivered: (context) => call(undefined, context), failed: call };
}

/** The event of a message, for those who are told of it. */
export function eventOf(type: SegmentEventType, message: Message): SegmentEvent {
  return { type, ...message } as unknown as SegmentEvent;
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
    (settlement === undefined ? 0 : FLAG.tracked) +
    (settlement?.context === undefined ? 0 : FLAG.known)
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

/** `Not Found` */
export function statusText(status: number): string {
  return STATUS_CODES[status] ?? '';
}
