/** Lambda functions that take notifications of Commercetools. */
import { AnalyticsError, invalidOption, type ErrorCode } from '../errors.js';
import { requireKnown } from '../known-options.js';
import type { LambdaContext, SnsEvent, SqsBatchResponse, SqsEvent, SqsRecord } from './events.js';
import type { RecordsReport } from './metrics.js';
import {
  HANDLER,
  HANDLER_OPTIONS,
  RecordReceiver,
  type HandlerOptions,
  type RecordResult,
} from './record-receiver.js';

/** A function that SNS invokes. */
export type SnsHandler = (event: SnsEvent, context?: LambdaContext) => Promise<RecordsReport>;

/** A function that takes batches of a queue. */
export type SqsHandler = (event: SqsEvent, context?: LambdaContext) => Promise<SqsBatchResponse>;

/** Options of {@link createSqsHandler}. */
export interface SqsHandlerOptions extends HandlerOptions {
  /**
   * What becomes of a record that will never be delivered (no notification, or refused by Segment): it is logged and
   * taken off the queue, or it goes back until the queue hands it to its dead-letter queue.
   * @default `SEGMENT_POISON_RECORDS`, or else 'acknowledge'
   */
  readonly poison?: 'acknowledge' | 'dead-letter' | undefined;
}

/**
 * For SNS -> Lambda. Every record is processed; ignored and invalid ones are logged and harm nobody. If a delivery failed
 * that may succeed later, the function fails once, at the end: Lambda then repeats the whole event (after 1 and 2 minutes)
 * and hands it to the dead-letter queue. What was delivered has the same messageId again, so Segment drops the repeats.
 *
 * @throws AnalyticsError `ERR_OPTION_INVALID`
 */
export function createHandler(options?: HandlerOptions): SnsHandler {
  requireKnown(options, HANDLER_OPTIONS, HANDLER);
  const receiver = new RecordReceiver(options ?? {});
  return async (event, context) => {
    const results = await receiver.receive(recordsOf(event), context);
    const report = receiver.report(results);
    const retryable = results.filter(isRetryable);
    if (retryable.length > 0) throw undelivered(retryable, results.length);
    return report;
  };
}

/**
 * For SNS -> SQS -> Lambda, with or without raw message delivery, and for the dead-letter queues of both ways. Answers
 * with the records that are to be delivered again: the event source mapping needs `ReportBatchItemFailures`. In a FIFO
 * queue nothing overtakes a record that failed.
 *
 * @throws AnalyticsError `ERR_OPTION_INVALID`
 */
export function createSqsHandler(options?: SqsHandlerOptions): SqsHandler {
  requireKnown(options, [...HANDLER_OPTIONS, 'poison'], HANDLER);
  const poison = options?.poison ?? (process.env['SEGMENT_POISON_RECORDS'] || 'acknowledge');
  if (poison !== 'acknowledge' && poison !== 'dead-letter') {
    throw invalidOption('poison', "'acknowledge' or 'dead-letter'");
  }
  const receiver = new RecordReceiver(options ?? {});
  const isToRepeat = (result: RecordResult) =>
    isRetryable(result) || (poison === 'dead-letter' && result.outcomes.some(isPoison));
  return async (event, context) => {
    const records = sqsRecordsOf(event);
    const results = await receiver.receive(records, context, isFifo(records) ? isToRepeat : undefined);
    receiver.report(results);
    const settled = new Set(results.filter((result) => !isToRepeat(result)).map(({ record }) => record));
    const failed = records.filter((record) => !settled.has(record));
    return { batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) };
  };
}

/** A notification by itself counts as a record: a test event of the console, or an invocation by hand. */
function recordsOf(event: unknown): readonly unknown[] {
  const { Records: records } = Object(event) as { Records?: unknown };
  return Array.isArray(records) ? records : [event];
}

/** Another kind of event has no way to repeat single records: to answer it like this would lose them. */
function sqsRecordsOf(event: unknown): readonly SqsRecord[] {
  const records = recordsOf(event);
  const isOfQueue = records.every(
    (record) => typeof (Object(record) as { messageId?: unknown }).messageId === 'string',
  );
  if (isOfQueue) return records as readonly SqsRecord[];
  const text =
    'This is no event of SQS. For SNS -> Lambda use createHandler() instead of createSqsHandler().';
  throw new AnalyticsError('ERR_VALIDATION', text, { field: 'event' });
}

function isFifo(records: readonly SqsRecord[]): boolean {
  return records.some(({ eventSourceARN }) => String(eventSourceARN).endsWith('.fifo'));
}

function isRetryable({ outcomes }: RecordResult): boolean {
  return outcomes.some((outcome) => outcome.outcome === 'failed' && outcome.isRetryable);
}

function isPoison(outcome: RecordResult['outcomes'][number]): boolean {
  return outcome.outcome === 'invalid' || outcome.outcome === 'failed';
}

function undelivered(retryable: readonly RecordResult[], total: number): Error {
  const failures = retryable.flatMap(({ outcomes }) =>
    outcomes.flatMap((outcome) =>
      outcome.outcome === 'failed' && outcome.isRetryable ? [outcome.error] : [],
    ),
  );
  const [first] = failures;
  const text = `${retryable.length} of ${total} records could not be delivered: ${first?.message}`;
  // Errors of the application may have no code.
  return first?.code === undefined ? new Error(text) : new AnalyticsError(first.code as ErrorCode, text);
}
