/** What a notification came to: as a value, and as a line of the log. */
import { AnalyticsError } from '../errors.js';
import type { Log } from '../logger.js';
import { segmentErrorOf } from './integration.js';
import type { NotificationOutcome, SegmentError } from './types.js';

/** What a line of the log says beside the outcome. Never customer data. */
export type LoggedFacts = Readonly<Record<string, string | undefined>>;

/** Errors that the same event will run into again. */
const PERMANENT = new Set([
  'ERR_VALIDATION',
  'ERR_NOT_SERIALIZABLE',
  'ERR_EVENT_TOO_LARGE',
  'ERR_REJECTED',
  'ERR_OPTION_INVALID',
]);

/** Writes one line: successes at info, failures at error level, never with customer data. */
export function tell(log: Log | undefined, outcome: NotificationOutcome, facts: LoggedFacts = {}): void {
  switch (outcome.outcome) {
    case 'identified':
    case 'accepted':
      return log?.('info', 'customer identified', { messageId: outcome.messageId, ...facts });
    case 'ignored': {
      const { reason, about } = outcome;
      const level = reason === 'not-fetched' ? 'warn' : 'info';
      return log?.(level, 'notification ignored', { reason, ...about, ...facts });
    }
    case 'invalid':
      return log?.('error', 'no notification', { reason: outcome.reason, ...facts });
    case 'failed': {
      const { error, isRetryable } = outcome;
      const text = `customer not identified: ${error.message}`;
      return log?.('error', text, { code: error.code, isRetryable, ...facts });
    }
  }
}

/** The outcome of an error. */
export function failed(error: unknown): Extract<NotificationOutcome, { outcome: 'failed' }> {
  const told = toldOf(error);
  return { outcome: 'failed', error: told, isRetryable: !PERMANENT.has(told.code ?? '') };
}

/** Names and codes are words. Whatever else is not ours may quote the customer. */
const WORD = /^\w{1,50}$/;

function toldOf(error: unknown): SegmentError {
  try {
    if (error instanceof AnalyticsError) return segmentErrorOf(error);
    if (!(error instanceof Error)) return { message: 'Unknown error' };
    const { code } = error as { code?: unknown };
    const name = WORD.test(error.name) ? error.name : 'Error';
    const message = `${name} in a function of the application`;
    return typeof code === 'string' && WORD.test(code) ? { message, code } : { message };
  } catch {
    return { message: 'Unknown error' };
  }
}
