/** The types of the public API that are not parameters, settings or reports. */
import type { Context } from './context.js';
import type { AnalyticsError } from './errors.js';
import type { ShownSettings } from './options.js';
import type { MethodParams, SegmentEvent, SegmentEventType } from './params.js';

/** Told what became of one event: an error, or nothing and the context. */
export type Callback = (error: unknown, context: Context) => unknown;

/** What `deliver.*` resolves with. */
export interface Receipt {
  messageId: string;
  /** Requests that carried the event. */
  attempts: number;
}

/** What `error` listeners get. `reason.code` is one of the stable codes. */
export type DeliveryFailure =
  | { code: 'delivery_failure'; reason: unknown; ctx: Context }
  | { code: 'unknown'; reason: unknown; ctx?: undefined };

/** A request about to be sent, without write key and authorization. */
export interface HttpRequestEvent {
  url: string;
  method: string;
  headers: Record<string, string>;
  /** JSON, uncompressed. */
  body: string;
}

/** An answer, with the body of its request. */
export interface HttpResponseEvent {
  status: number;
  statusText: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** What can be listened to, with the arguments of listeners. */
export type AnalyticsEvents = Record<SegmentEventType, [context: Context]> & {
  initialize: [settings: ShownSettings];
  register: [names: string[]];
  deregister: [names: string[]];
  error: [failure: DeliveryFailure];
  http_request: [request: HttpRequestEvent];
  http_response: [response: HttpResponseEvent];
  drained: [];
  call_after_close: [event: SegmentEvent];
  /** A call returned `false` for another reason; `error` listeners hear of it too. */
  call_refused: [reason: AnalyticsError, event: SegmentEvent];
};

/** The promise of a receipt. */
export interface Delivery extends Promise<Receipt> {
  /**
   * Resolves once the event is in the spool: at once with `durability: 'process'`, after a group commit with
   * `'power'`. Rejects with `ERR_SPOOL` when it is in memory only, or with the reason for which it was refused.
   */
  readonly persisted: Promise<void>;
}

/** The six methods as promises of the event's fate. */
export type Deliver = { [Type in SegmentEventType]: (params: MethodParams[Type]) => Delivery };

/** Options of `flush()`. */
export interface FlushParams {
  /** Milliseconds after which it resolves with what there is. @default none; 75 s when closing */
  timeout?: number | undefined;
  /** Accept nothing more. @default false */
  close?: boolean | undefined;
}

/** Options of `closeAndFlush()`. */
export type CloseAndFlushParams = Pick<FlushParams, 'timeout'>;
