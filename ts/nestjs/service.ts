/** What is injected: the API of `Analytics`, and no call of it can harm its caller. */
import type { BeforeApplicationShutdown, OnApplicationShutdown } from '@nestjs/common';

import type { Analytics } from '../analytics.js';
import type { Callback, Delivery, FlushParams } from '../api.js';
import { bindMembers } from '../bound.js';
import { Context } from '../context.js';
import { AnalyticsError } from '../errors.js';
import { announce } from '../metrics/sources.js';
import { EVENT_TYPES } from '../native.js';
import { settlementOf, within } from '../outcome.js';
import type { SegmentEventType } from '../params.js';
import type { DeliveryReport, Stats } from '../report.js';
import {
  checked,
  merged,
  SegmentContext,
  withAmbient,
  type AmbientContext,
  type AmbientParams,
} from './ambient-context.js';
import { callSite } from './call-site.js';
import type { NestLog } from './log.js';

const LOGGED_ONCE = 'This is logged once; stats().refused counts repeats.';

/** The six methods as promises of the event's fate. */
export type AmbientDeliver = { [Type in SegmentEventType]: (params: AmbientParams<Type>) => Delivery };

/** A client, and what its service has to know. */
export interface ServiceSetup {
  name: string;
  client: Analytics;
  log: NestLog;
  /** Calls are counted and nothing is sent. */
  isDisabled: boolean;
  /** Milliseconds. */
  shutdownTimeout: number;
  contextProvider: (() => AmbientContext | undefined) | undefined;
}

/**
 * Tracks from anywhere in a NestJS application. Calls return at once and never throw: a call that can't be accepted
 * returns `false`, is logged once per kind of mistake and counted in `stats().refused`.
 */
export class SegmentService implements BeforeApplicationShutdown, OnApplicationShutdown {
  /** `default`, or the name that the client was registered with. */
  readonly name: string;
  /** The client itself, for plugins and events. Its own methods throw on wrong parameters. */
  readonly client: Analytics;
  /** The same six methods as promises that settle when the event's fate is known. */
  readonly deliver: AmbientDeliver;
  readonly #log: NestLog;
  readonly #isDisabled: boolean;
  readonly #shutdownTimeout: number;
  readonly #contextProvider: (() => AmbientContext | undefined) | undefined;
  readonly #mistakes = new Set<string>();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor({ name, client, log, isDisabled, shutdownTimeout, contextProvider }: ServiceSetup) {
    bindMembers(this, SegmentService.prototype);
    this.name = name;
    this.client = client;
    this.#log = log;
    this.#isDisabled = isDisabled;
    this.#shutdownTimeout = shutdownTimeout;
    this.#contextProvider = contextProvider;
    this.deliver = this.#deliveries();
    client.on('call_refused', (reason, event) => this.#explain(event.type, reason));
    client.on('call_after_close', ({ type }) => this.#explainLate(type));
    announce(name, this);
  }

  /** Who the user is. True: accepted; false: refused, and the log says why. */
  identify(params: AmbientParams<'identify'>, callback?: Callback): boolean {
    return this.#call('identify', params, callback);
  }

  /** What the user did. True: accepted; false: refused, and the log says why. */
  track(params: AmbientParams<'track'>, callback?: Callback): boolean {
    return this.#call('track', params, callback);
  }

  /** A web page was seen. True: accepted; false: refused, and the log says why. */
  page(params: AmbientParams<'page'>, callback?: Callback): boolean {
    return this.#call('page', params, callback);
  }

  /** A screen of an application was seen. True: accepted; false: refused, and the log says why. */
  screen(params: AmbientParams<'screen'>, callback?: Callback): boolean {
    return this.#call('screen', params, callback);
  }

  /** Which group the user belongs to. True: accepted; false: refused, and the log says why. */
  group(params: AmbientParams<'group'>, callback?: Callback): boolean {
    return this.#call('group', params, callback);
  }

  /** Two ids are one user. True: accepted; false: refused, and the log says why. */
  alias(params: AmbientParams<'alias'>, callback?: Callback): boolean {
    return this.#call('alias', params, callback);
  }

  /**
   * Sends everything accepted before the call and resolves when all of it is settled. Rejects for nothing but its
   * options (`ERR_OPTION_INVALID`).
   */
  flush(options?: FlushParams): Promise<DeliveryReport> {
    return this.client.flush(options);
  }

  /** The counters as they are now. */
  stats(): Stats {
    return this.client.stats();
  }

  /** Whether the shutdown has begun: calls are refused from then on. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** @internal A line of `@Track` about its options. */
  warn(message: string): void {
    this.#log.each('warn', message, {});
  }

  /** Nest calls this before it closes the HTTP server, which may take its time: delivery need not wait for that. */
  beforeApplicationShutdown(): void {
    void this.client.flush();
  }

  /**
   * Delivers what was accepted, for up to `shutdownTimeout`. Nest calls this after it has closed the HTTP server and
   * after the hooks of the modules that use this one, so that all of them may track to their end.
   */
  onApplicationShutdown(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const report = await this.client.closeAndFlush({ timeout: this.#shutdownTimeout });
    if (this.#isDisabled) {
      return this.#log.each('info', 'closed; nothing was sent, the client is disabled', {
        refused: this.#refused(),
      });
    }
    const { accepted, delivered, spooled, unflushed } = report;
    const dropped = total(report.dropped);
    const level = dropped + unflushed.length > 0 ? 'warn' : 'info';
    const durationMs = Math.round(report.durationMs);
    const counts = {
      accepted,
      delivered,
      dropped,
      spooled,
      unflushed: unflushed.length,
      refused: this.#refused(),
    };
    this.#log.each(level, 'closed', { ...counts, durationMs });
  }

  #refused(): number {
    return total(this.stats().refused);
  }

  #call(type: SegmentEventType, params: unknown, callback?: Callback): boolean {
    try {
      const call = this.client[type] as (given: unknown, callback?: Callback) => boolean;
      return call(this.#inContext(type, params), callback);
    } catch (error) {
      this.#explain(type, error);
      return this.#fail(type, params, error, callback);
    }
  }

  /** As `Analytics` does for calls that it refuses without throwing. */
  #fail(type: SegmentEventType, params: unknown, reason: unknown, callback?: Callback): false {
    const context = new Context(this.client.refusedEvent(type, Object(params) as object));
    context.setFailedDelivery({ reason });
    const settlement = settlementOf(callback);
    const tell = () => settlement?.failed(reason, context);
    if (settlement !== undefined) void Promise.resolve().then(() => within(settlement.scope, tell));
    this.client.emit('error', { code: 'delivery_failure', reason, ctx: context });
    return false;
  }

  #deliveries(): AmbientDeliver {
    const deliver = (type: SegmentEventType) => (params: never) => {
      const call = this.client.deliver[type] as (given: unknown) => Delivery;
      return call(this.#inContext(type, params));
    };
    return Object.fromEntries(EVENT_TYPES.map((type) => [type, deliver(type)])) as unknown as AmbientDeliver;
  }

  #inContext(type: SegmentEventType, params: unknown): unknown {
    const ambient = this.#ambient();
    try {
      return withAmbient(type, params, ambient);
    } catch {
      // Parameters that throw when they are read: the client says what is wrong with them.
      return params;
    }
  }

  /** What goes wrong in here costs the event its context, not the event. */
  #ambient(): AmbientContext {
    const known = SegmentContext.get();
    try {
      const provided = this.#contextProvider?.();
      return provided === undefined ? known : merged(checked(provided), known);
    } catch (error) {
      this.#once('context', 'The contextProvider threw; its share of the context is left out.', error);
      return known;
    }
  }

  #explain(type: SegmentEventType, error: unknown): void {
    if (!(error instanceof AnalyticsError)) return this.#once(type, `${type}() failed.`, error);
    const { code, field, message } = error;
    // Not a mistake of one line of code: it comes and goes.
    if (code === 'ERR_QUEUE_FULL') return this.#log.write('error', `Calls are refused. ${message}`, { code });
    this.#once(
      `${type} ${code} ${field}`,
      `${type}() was refused: ${sentence(message)} ${LOGGED_ONCE}`,
      error,
    );
  }

  #explainLate(type: SegmentEventType): void {
    this.#once(`${type} late`, `${type}() was refused: the application is shutting down. ${LOGGED_ONCE}`);
  }

  /** Messages of our own errors hold no customer data; of others only the name is told. */
  #once(kind: string, message: string, error?: unknown): void {
    if (this.#mistakes.has(kind)) return;
    this.#mistakes.add(kind);
    const what = error instanceof AnalyticsError ? { code: error.code } : { error: nameOf(error) };
    this.#log.each('warn', message, { ...what, at: callSite() });
  }
}

/** The texts of validation errors are analytics-node's, and end without a full stop. */
function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function nameOf(error: unknown): string | undefined {
  try {
    return error instanceof Error ? String(error.name) : undefined;
  } catch {
    return undefined;
  }
}
