/** What both kinds of function share: a client that outlives invocations, and the way of one record. */
import { settingsFromEnvironment, type AnalyticsSettings } from '../options.js';
import {
  CLIENT_OPTIONS,
  createSegmentClient,
  inTime,
  keyAdvice,
  settingAdvice,
} from '../commercetools/client.js';
import { engineClientOf } from '../commercetools/integration.js';
import { failed, tell } from '../commercetools/outcomes.js';
import {
  NotificationReceiver,
  RECEIVER_OPTIONS,
  type NotificationOrigin,
  type ReceiverOptions,
} from '../commercetools/receiver.js';
import type { NotificationOutcome, SegmentClient, SegmentClientLike } from '../commercetools/types.js';
import { optionNames, requireKnown, type OptionsPlace } from '../known-options.js';
import { logTo, type Log, type LoggerLike } from '../logger.js';
import type { LambdaContext } from './events.js';
import { publish, reportOf, type MetricsLike, type RecordsReport } from './metrics.js';
import { unwrapRecord, type AwsMessage } from './records.js';
import { Standstill } from './standstill.js';
import { reserveOf, timeLeft } from './with-segment.js';
import { WriteKey, type WriteKeySource } from './write-key.js';

/**
 * Options of {@link createHandler} and {@link createSqsHandler}. All may be left out. Without a `logger`, errors and
 * warnings go to the console, which is Lambda's log.
 */
export interface HandlerOptions extends ReceiverOptions {
  /**
   * The write key, or a function that gets it.
   * @default `SEGMENT_WRITE_KEY`, the secret `SEGMENT_WRITE_KEY_SECRET_ARN` (the field `SEGMENT_WRITE_KEY_SECRET_FIELD`
   * of it, if it is JSON), or the parameter `SEGMENT_WRITE_KEY_PARAMETER` of Systems Manager
   */
  readonly writeKey?: WriteKeySource | undefined;
  /** Settings of the client that is made, beside `SEGMENT_HOST`, `SEGMENT_REGION` and `SEGMENT_DISABLE`. */
  readonly settings?: Omit<AnalyticsSettings, 'writeKey'> | undefined;
  /** `Metrics` of Powertools: `IdentifySent`, `IdentifyFailed`, `RecordsIgnored`, `RecordsInvalid`. */
  readonly metrics?: MetricsLike | undefined;
  /**
   * Milliseconds of the function's time that are kept for its answer. Whatever is not delivered by then has failed.
   * @default 500
   */
  readonly reserve?: number | undefined;
  /**
   * Milliseconds between two invocations from which on connections are opened anew. 0: at every invocation.
   * @default 4000
   */
  readonly maxIdle?: number | undefined;
}

/** The names of a function's options. */
export const HANDLER_OPTIONS = [
  ...RECEIVER_OPTIONS,
  ...optionNames<Omit<HandlerOptions, keyof ReceiverOptions>>({
    writeKey: true,
    settings: true,
    metrics: true,
    reserve: true,
    maxIdle: true,
  }),
];
/** What is said of other names. */
export const HANDLER: OptionsPlace = { advice: settingAdvice('the client: { settings: { ... } }') };

/** A record, and what became of the messages in it: most have one. */
export interface RecordResult {
  readonly record: unknown;
  readonly outcomes: readonly NotificationOutcome[];
}

/** A client, and who uses it. */
interface Session {
  readonly writeKey?: string;
  readonly client: SegmentClient | SegmentClientLike;
  readonly receiver: NotificationReceiver;
}

/** What Lambda writes to its log. Without it, records that fail would leave no trace of why. */
const CONSOLE: LoggerLike = {
  // oxlint-disable-next-line no-console
  error: (...line: unknown[]) => console.error(...line),
  // oxlint-disable-next-line no-console
  warn: (...line: unknown[]) => console.warn(...line),
  info: () => {},
};

/** Identifies the customers in records, with a client that is kept from invocation to invocation. */
export class RecordReceiver {
  readonly #options: HandlerOptions;
  readonly #receiverOptions: Omit<ReceiverOptions, 'client'>;
  readonly #writeKey: WriteKey;
  readonly #standstill: Standstill;
  readonly #reserve: number;
  readonly #log: Log;
  #session: Session | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(options: HandlerOptions) {
    const { client, logger = CONSOLE, writeKey, maxIdle, reserve } = options;
    const userId = options.userId ?? (process.env['SEGMENT_USER_ID'] as 'email' | undefined);
    const { settings, resolveCustomer, mapTraits } = options;
    requireKnown(settings, CLIENT_OPTIONS, { path: 'settings', advice: keyAdvice });
    this.#options = { ...options, logger, userId: userId || undefined };
    this.#receiverOptions = { resolveCustomer, mapTraits, logger, userId: this.#options.userId };
    this.#log = logTo(logger, 'info');
    this.#writeKey = new WriteKey(writeKey, this.#log);
    this.#standstill = new Standstill(maxIdle);
    this.#reserve = reserveOf(reserve);
    // What is wrong with the options shows when the function is loaded.
    const receiver = new NotificationReceiver({ ...this.#receiverOptions, client });
    if (client !== undefined) this.#session = { client, receiver };
    // Before the first event Lambda gives a function more CPU than later: time to read the key and load the engine.
    else this.#current().catch(() => {});
  }

  /**
   * All at once, or, where there is an order to keep, one after the other up to the one that `isLast` says. Never rejects:
   * what went wrong is in the outcomes.
   */
  async receive(
    records: readonly unknown[],
    context: LambdaContext | undefined,
    isLast?: (result: RecordResult) => boolean,
  ): Promise<RecordResult[]> {
    const session = this.#current().then((current) => {
      const client = engineClientOf(current.client);
      if (client !== undefined) this.#standstill.begin([client]);
      return current;
    });
    // An event without records waits for no client.
    session.catch(() => {});
    const receive = (record: unknown) => this.#receiveOne(record, session, timeLeft(context, this.#reserve));
    const results =
      isLast === undefined
        ? await Promise.all(records.map(receive))
        : await inOrder(records, receive, isLast);
    this.#standstill.end();
    return results;
  }

  /** Counts and publishes what the records came to. */
  report(results: readonly RecordResult[]): RecordsReport {
    const report = reportOf(results.flatMap(({ outcomes }) => outcomes));
    publish(this.#options.metrics, report, this.#log);
    return report;
  }

  async #receiveOne(record: unknown, session: Promise<Session>, timeout: number): Promise<RecordResult> {
    const outcomes = unwrapRecord(record).map((message) =>
      this.#outcomeOf(message, originOf(record, message), session, timeout),
    );
    return { record, outcomes: await Promise.all(outcomes) };
  }

  async #outcomeOf(
    { message }: AwsMessage,
    origin: NotificationOrigin,
    session: Promise<Session>,
    timeout: number,
  ): Promise<NotificationOutcome> {
    const received = session.then(({ receiver }) => receiver.receive(message, origin));
    try {
      return await (timeout === Infinity ? received : inTime(received, timeout));
    } catch (error) {
      // Nobody else tells of it: there is no client, or no time. Neither is the record's fault: it must not be lost.
      const outcome = { ...failed(error), isRetryable: true };
      tell(this.#log, outcome, origin.facts);
      return outcome;
    }
  }

  async #current(): Promise<Session> {
    const { client: given, settings } = this.#options;
    if (given !== undefined && this.#session !== undefined) return this.#session;
    const writeKey = await this.#writeKey.current();
    if (this.#session?.writeKey === writeKey) return this.#session;
    const { writeKey: _key, ...environment } = settingsFromEnvironment(
      { ...settings, writeKey },
      process.env,
    );
    const client = createSegmentClient(writeKey, environment);
    const former = this.#session?.client;
    this.#session = {
      writeKey,
      client,
      receiver: new NotificationReceiver({ ...this.#receiverOptions, client }),
    };
    if (former !== undefined) (former as SegmentClient).closeAndFlush().catch(() => {});
    return this.#session;
  }
}

async function inOrder(
  records: readonly unknown[],
  receive: (record: unknown) => Promise<RecordResult>,
  isLast: (result: RecordResult) => boolean,
): Promise<RecordResult[]> {
  const results: RecordResult[] = [];
  for (const record of records) {
    const result = await receive(record);
    results.push(result);
    if (isLast(result)) break;
  }
  return results;
}

/** A notification without an id of its own has that of SNS, or else of SQS: the same at every delivery. */
function originOf(record: unknown, { messageId: snsMessageId, topicArn }: AwsMessage): NotificationOrigin {
  const { messageId: sqsMessageId } = Object(record) as { messageId?: unknown };
  const messageId = snsMessageId === undefined ? idOf('sqs', sqsMessageId) : idOf('sns', snsMessageId);
  const facts = {
    ...(snsMessageId !== undefined && { snsMessageId }),
    ...(typeof sqsMessageId === 'string' && { sqsMessageId }),
    ...(topicArn !== undefined && { topicArn }),
  };
  return { messageId, facts };
}

/** Segment takes ids of up to 100 characters; those of AWS have 36. */
function idOf(service: string, id: unknown): string | undefined {
  return typeof id === 'string' && id !== '' && id.length <= 90 ? `${service}:${id}` : undefined;
}
