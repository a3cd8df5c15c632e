/** The engine as the face sees it. */
import type { OptionProblem } from '../index.js';
import { loadAddon } from './addon.js';
import { AnalyticsError, type ErrorCode } from './errors.js';
import { nodeTrust } from './trust.js';

const {
  NativeClient,
  checkOptions: checkNatively,
  drainClients,
  enqueue,
  exportSegment,
  identifyCustomer,
  identifyNotification,
  inspectSegment,
  letGo,
  listSpool,
  parseNotification,
  trustForProcess,
  unwrapRecord,
} = loadAddon();

/** Bits that {@link Engine.enqueue} adds to the index of the event type. */
export const FLAG = {
  context: 8,
  messageId: 16,
  timestamp: 32,
  integrations: 64,
  tracked: 128,
  known: 256,
  /** It does not leave before {@link Engine.letGo}. */
  held: 512,
} as const;

/** Bits of {@link Engine.setInterest}. */
export const INTEREST = {
  delivered: 1,
  dropped: 2,
  requests: 4,
  responses: 8,
  drained: 16,
  persisted: 32,
} as const;

type Heard = (typeof EVENT_TYPES)[number] | 'error' | 'http_request' | 'http_response' | 'drained';

/** What to ask the engine to tell, given what is listened to. */
export function interestIn(hears: (event: Heard) => boolean): number {
  const delivered = EVENT_TYPES.some((type) => hears(type)) ? INTEREST.delivered : 0;
  return (
    delivered |
    // The end of an event that a listener is shown as it was passed has to be told, whatever end it is.
    (hears('error') || delivered !== 0 ? INTEREST.dropped : 0) |
    (hears('http_request') ? INTEREST.requests : 0) |
    (hears('http_response') ? INTEREST.responses : 0) |
    (hears('drained') ? INTEREST.drained : 0)
  );
}

/** Bits of {@link StartEngine}: the requests that come as mail instead of being sent. */
export const CALLBACK_FOR = { batches: 1, tokens: 2 } as const;

/** Event types in the order of their numbers at the border. */
export const EVENT_TYPES = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const;

/** Reasons of refusal in the order of their numbers at the border, which start at 1. */
export const REFUSALS = [
  'event_too_large',
  'too_deep',
  'malformed',
  'queue_full',
  'closed',
  'not_serializable',
  'invalid',
  'cancelled',
] as const;

export type Refusal = (typeof REFUSALS)[number];

/** What an engine can do. The native one does it off this thread; a test double may do it in memory. */
export interface Engine {
  /** The number by which native functions know it; 0 for one that they don't. */
  handle(): number;
  /** Returns a sequence number from 1, or minus the number of a {@link Refusal}. */
  enqueue(text: string, flags: number): number;
  refuse(reason: number): void;
  /** The turn of the event loop is over: held events may leave. */
  letGo(): void;
  /** Takes held events back, oldest first, as if they had not been accepted: a JSON array of {@link Numbered}. */
  recall(): string;
  /** Its report comes as mail; a negative timeout means none. */
  flush(id: number, timeoutMs: number, closes: boolean): void;
  /** Milliseconds that a way out of the process may wait. */
  exitTimeout(): number;
  /** Bytes that the queue may hold. */
  maxQueueBytes(): number;
  /** Whether an accepted event is safe on disk: 1 yes, 0 no, -1 when mail will tell. */
  isPersisted(sequence: number): number;
  /** Blocks until everything is settled or the time is up; how many events are not. For the exit handler only. */
  drain(timeoutMs: number): number;
  /** Everything was told: `wake` is not called any more. */
  end(): void;
  stats(): string;
  setInterest(bits: number): void;
  /** The next request goes over a new connection. */
  reconnect(): void;
  /** A JSON array of {@link Notice}, as much as one turn of the event loop has time for. */
  takeMail(): string;
  /** `statusText` of null: the usual one of the status. */
  answer(
    number: number,
    status: number,
    statusText: string | null,
    headers: string,
    timedOut: boolean,
    body?: string,
  ): void;
}

/** Makes an engine. `wake` says that there is mail; `usesCallback` is of {@link CALLBACK_FOR}. */
export type StartEngine = (
  options: string,
  wake: () => void,
  logLevel: number,
  usesCallback: number,
) => Engine;

/** A delivered or dropped event under its sequence number. */
export type Numbered = [sequence: number, event: Record<string, unknown>];

/** The same; `null` where whoever waits for it has it still. */
export type NumberedOrKnown = [sequence: number, event: Record<string, unknown> | null];

/** Why events were given up. */
export interface Cause {
  code: string;
  reason: string;
  status: number | null;
  attempts: number;
  message: string;
}

/** What the engine has to say. */
export type Notice =
  | { type: 'delivered'; attempts: number; events: NumberedOrKnown[] }
  | { type: 'dropped'; cause: Cause; events: Numbered[] }
  /** Part of what the flush of this id, which is told of next, has left over. */
  | { type: 'unflushed'; id: number; events: Numbered[] }
  | { type: 'flushed'; id: number; durationMs: number; stats: object }
  | { type: 'request'; url: string; headers: Record<string, string>; body: string }
  | {
      type: 'response';
      url: string;
      status: number;
      statusText: string | null;
      headers: Record<string, string>;
      body: string;
    }
  | {
      type: 'send';
      number: number;
      url: string;
      headers: Record<string, string>;
      body: string;
      timeoutMs: number;
      isForToken: boolean;
    }
  | { type: 'log'; level: string; message: string; fields: Record<string, unknown> }
  | { type: 'kept'; events: Numbered[] }
  | { type: 'persisted'; persisted: boolean; upTo: number }
  | { type: 'trouble'; code: string; message: string; status: number | null }
  | { type: 'drained' }
  /** There is more mail. */
  | { type: 'more' };

/** The native engine. */
class NativeEngine extends NativeClient implements Engine {
  readonly #handle = super.handle();

  override handle(): number {
    return this.#handle;
  }

  enqueue(text: string, flags: number): number {
    return enqueue(this.#handle, text, flags);
  }

  letGo(): void {
    letGo(this.#handle);
  }
}

let hasTrust = false;

/** Like Node, once; but who loads the package and makes no client waits for no file. Before the engine's first connections. */
function tellTrust(): void {
  if (hasTrust) return;
  hasTrust = true;
  const trust = nodeTrust();
  if (trust !== undefined) trustForProcess(trust.pem, !trust.isInstead);
}

/** What is wrong with options, as far as the engine has to know them; null for nothing. */
export function checkOptions(options: string): OptionProblem | null {
  tellTrust();
  return checkNatively(options);
}

/** @throws AnalyticsError `ERR_RESOURCES` when the machine refuses the engine a thread or descriptors */
export const startNative: StartEngine = (...settings) => {
  try {
    return new NativeEngine(...settings);
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const isOurs = String(code).startsWith('ERR_');
    const text = isOurs
      ? String(message)
      : `The engine could not start (${String(message)}). Please report this.`;
    throw new AnalyticsError(isOurs ? (code as ErrorCode) : 'ERR_INTERNAL', text);
  }
};

export {
  drainClients,
  exportSegment,
  identifyCustomer,
  identifyNotification,
  inspectSegment,
  listSpool,
  parseNotification,
  unwrapRecord,
  type OptionProblem,
};
