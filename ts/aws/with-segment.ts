/** Any Lambda function: what it tracks is delivered before it is stopped. */
import { Analytics } from '../analytics.js';
import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import { settingAdvice } from '../commercetools/client.js';
import { logTo, type LoggerLike } from '../logger.js';
import type { LambdaContext } from './events.js';
import { Standstill } from './standstill.js';

/** A client, or what holds one (the service of the NestJS module). */
export type LambdaClient = Analytics | { readonly client: Analytics };

/** Options of {@link withSegment}. */
export interface WithSegmentOptions {
  /** Whose events are delivered. Made once, outside the handler. */
  readonly client: LambdaClient | readonly LambdaClient[];
  /**
   * Milliseconds that delivery leaves of the function's time, so that the answer still gets out.
   * @default 500
   */
  readonly reserve?: number | undefined;
  /**
   * Milliseconds between two invocations from which on connections are opened anew. 0: at every invocation.
   * @default 4000
   */
  readonly maxIdle?: number | undefined;
  /** Is told when time runs out. @default silent */
  readonly logger?: LoggerLike | undefined;
}

const OPTIONS = optionNames<WithSegmentOptions>({ client: true, reserve: true, maxIdle: true, logger: true });

export const RESERVE_MS = 500;

/**
 * Wraps an async handler. Before its answer or error goes back, what was tracked is delivered, within the time that is
 * left less `reserve`; what is not delivered by then stays in the queue for the next invocation. Delivery changes neither
 * the answer nor the error.
 *
 * @throws AnalyticsError `ERR_OPTION_INVALID`, also for a handler with a callback: Node.js 24 on Lambda calls none
 */
export function withSegment<Event, Context extends LambdaContext, Result>(
  handler: (event: Event, context: Context) => Promise<Result> | Result,
  options: WithSegmentOptions,
): (event: Event, context: Context) => Promise<Result> {
  if (typeof handler !== 'function' || handler.length > 2) {
    throw invalidOption('handler', 'an async function of (event, context), without a callback');
  }
  requireKnown(options, OPTIONS, { advice: settingAdvice('new Analytics(), for client') });
  const clients = clientsOf(options?.client);
  const reserve = reserveOf(options.reserve);
  const standstill = new Standstill(options.maxIdle);
  const log = options.logger === undefined ? undefined : logTo(options.logger, 'info');
  return async (event, context) => {
    standstill.begin(clients);
    try {
      return await handler(event, context);
    } finally {
      const timeout = timeLeft(context, reserve);
      const reports = await Promise.all(clients.map((client) => client.flush({ timeout })));
      const pending = reports.reduce((sum, report) => sum + report.pending, 0);
      if (pending > 0) log?.('warn', 'time ran out; events wait for the next invocation', { pending });
      standstill.end();
    }
  };
}

/** Milliseconds that are left for delivery. */
export function timeLeft(context: LambdaContext | undefined, reserve: number): number {
  // Whoever calls the handler in a test may leave the context out.
  const remaining = context?.getRemainingTimeInMillis?.();
  return typeof remaining === 'number' ? Math.max(0, remaining - reserve) : Infinity;
}

export function reserveOf(reserve: unknown = RESERVE_MS): number {
  if (typeof reserve === 'number' && reserve >= 0) return reserve;
  throw invalidOption('reserve', 'a number of milliseconds from 0');
}

function clientsOf(given: WithSegmentOptions['client']): readonly Analytics[] {
  const list = Array.isArray(given) ? given : [given];
  const clients = list.map((item: unknown) => {
    const client = item instanceof Analytics ? item : (item as { client?: unknown } | undefined)?.client;
    if (client instanceof Analytics) return client;
    throw invalidOption('client', 'an Analytics of this package, or a list of them');
  });
  if (clients.length === 0) throw invalidOption('client', 'an Analytics of this package, or a list of them');
  return clients;
}
