/** What both kinds of function share: a client that outlives invocations, and the way of one record. */
import type { AnalyticsSettings } from '../options.js';
import { createSegmentClient, inTime } from '../commercetools/client.js';
import { engineClientOf } from '../commercetools/integration.js';
import { failed, tell } from '../commercetools/outcomes.js';
import { NotificationReceiver, type ReceiverOptions } from '../commercetools/receiver.js';
import type { NotificationOutcome, SegmentClient, SegmentClientLike } from '../commercetools/types.js';
import { logTo, type Log } from '../logger.js';
import type { LambdaContext } from './events.js';
import { publish, reportOf, type MetricsLike, type RecordsReport } from './metrics.js';
import { unwrapRecord, type AwsMessage } from './records.js';
import { Standstill } from './standstill.js';
import { reserveOf, timeLeft } from './with-segment.js';
import { WriteKey, type WriteKeySource } from './write-key.js';

/** Options of {@link createHandler} and {@link createSqsHandler}. All may be left out. */
export interface HandlerOptions extends ReceiverOptions {
  /**
   * The write key, or a function that gets it.
   * @default `SEGMENT_WRITE_KEY`, the secret `SEGMENT_WRITE_KEY_SECRET_ARN` (the field `SEGMENT_WRITE_KEY_SECRET_FIELD`
   * of it, if it is JSON), or the parameter `SEGMENT_WRITE_KEY_PARAMETER` of Systems Manager
   */
  readonly writeKey?: WriteKeySource | undefined;
  /** Settings of the client that is made; `SEGMENT_HOST` and `SEGMENT_REGION` do the same. */
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

/** Identifies the customers in records, with a client that is kept from invocation to invocation. */
export class RecordReceiver {
  readonly #options: HandlerOptions;
  readonly #writeKey: WriteKey;
  readonly #standstill: Standstill;
  readonly #reserve: number;
  readonly #log: Log | undefined;
  #session: Session | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(options: HandlerOptions) {
    const { client, logger, writeKey, maxIdle, reserve } = options;
    const userId = options.userId ?? (process.env['SEGMENT_USER_ID'] as 'email' | undefined);
    this.#options = { ...options, userId: userId || undefined };
    this.#log = logger === undefined ? undefined : logTo(logger, 'info');
    this.#writeKey = new WriteKey(writeKey, this.#log);
    this.#standstill = new Standstill(maxIdle);
    this.#reserve = reserveOf(reserve);
    // What is wrong with the options shows when the function is loaded.
    const receiver = new NotificationReceiver(this.#options);
    if (client !== undefined) this.#session = { client, receiver };
    // Before the first event Lambda gives a function more CPU than later: time to read the key and load the engine.
    else this.#current().catch(() => {});
  }

  /** Never rejects: what went wrong is in the outcomes. */
  async receive(records: readonly unknown[], context: LambdaContext | undefined): Promise<RecordResult[]> {
    const timeout = timeLeft(context, this.#reserve);
    const session = this.#current().then((current) => {
      const client = engineClientOf(current.client);
      if (client !== undefined) this.#standstill.begin([client]);
      return current;
    });
    const results = await Promise.all(records.map((record) => this.#receiveOne(record, session, timeout)));
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
    const messages = unwrapRecord(record);
    const outcomes = messages.map((message) => this.#outcomeOf(message, session, timeout));
    return { record, outcomes: await Promise.all(outcomes) };
  }

  async #outcomeOf(
    { message, messageId: snsMessageId, topicArn }: AwsMessage,
    session: Promise<Session>,
    timeout: number,
  ): Promise<NotificationOutcome> {
    const facts = { snsMessageId, topicArn };
    const received = session.then(({ receiver }) => receiver.receive(message, facts));
    try {
      return await (timeout === Infinity ? received : inTime(received, timeout));
    } catch (error) {
      // Nobody else tells of it: there is no client, or no time.
      const outcome = failed(error);
      tell(this.#log, outcome, facts);
      return outcome;
    }
  }

  async #current(): Promise<Session> {
    const { client: given, settings } = this.#options;
    if (given !== undefined && this.#session !== undefined) return this.#session;
    const writeKey = await this.#writeKey.current();
    if (this.#session?.writeKey === writeKey) return this.#session;
    const { SEGMENT_HOST: host, SEGMENT_REGION: region } = process.env;
    const environment = { host: host || undefined, region: region as AnalyticsSettings['region'] };
    const client = createSegmentClient(writeKey, { ...environment, ...settings });
    const former = this.#session?.client;
    this.#session = { writeKey, client, receiver: new NotificationReceiver({ ...this.#options, client }) };
    if (former !== undefined) (former as SegmentClient).closeAndFlush().catch(() => {});
    return this.#session;
  }
}
