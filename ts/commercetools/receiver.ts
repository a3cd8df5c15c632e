/** The whole way of a notification: read, fetch if need be, transform, identify, and say what came of it. */
import { bindMembers } from '../bound.js';
import { AnalyticsError, invalidOption } from '../errors.js';
import { logTo, type Log, type LoggerLike } from '../logger.js';
import { optionNames, requireKnown, type OptionsPlace } from '../known-options.js';
import { identifyNotification } from '../native.js';
import { getSegmentClientFromEnvironment, settingAdvice, type EngineSegmentClient } from './client.js';
import { NotificationCounters, type NotificationStats } from './counters.js';
import { engineClientOf, identifyWith } from './integration.js';
import { parseNotification, textOf } from './notification.js';
import { failed, tell, type LoggedFacts } from './outcomes.js';
import { fieldNumber, transformCustomerToSegment } from './transformation.js';
import type {
  CommercetoolsCustomer,
  NotificationFacts,
  NotificationOutcome,
  ParsedNotification,
  SegmentClient,
  SegmentClientLike,
  SegmentIdentifyPayload,
  TransformOptions,
} from './types.js';

/** Options of a receiver. */
export interface ReceiverOptions extends TransformOptions {
  /** Who identifies. @default the client of the environment */
  readonly client?: SegmentClient | SegmentClientLike | undefined;
  /**
   * Fetches a customer whom a notification only names. `null`: there is none any more. Without it such notifications
   * are ignored.
   */
  readonly resolveCustomer?:
    | ((
        customerId: string,
        notification: Extract<ParsedNotification, { kind: 'needs-fetch' }>,
      ) => Promise<CommercetoolsCustomer | null> | CommercetoolsCustomer | null)
    | undefined;
  /** Successes at info, failures at error level, never with customer data. @default silent */
  readonly logger?: LoggerLike | undefined;
}

/** The names of a receiver's options. */
export const RECEIVER_OPTIONS = optionNames<ReceiverOptions>({
  client: true,
  resolveCustomer: true,
  logger: true,
  userId: true,
  mapTraits: true,
});
const RECEIVER: OptionsPlace = {
  advice: settingAdvice('createSegmentClient(writeKey, options), for client'),
};

/** What is known of a notification beside its content. */
export interface NotificationOrigin {
  /** The `messageId` of one that has none of its own (the simplified payload): the same at every delivery. */
  readonly messageId?: string | undefined;
  /** Joins what is logged: the id of the message that it came in, say. Never customer data. */
  readonly facts?: LoggedFacts | undefined;
}

/** The border's number for: only tell what there is to identify. */
const WITHOUT_CLIENT = 0;

/** Takes notifications, however they arrive. */
export class NotificationReceiver {
  readonly #options: ReceiverOptions;
  readonly #log: Log | undefined;
  readonly #counters = new NotificationCounters();
  /** Where no function of the application has to see the customer, native code goes the whole way. */
  readonly #field: number | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(given?: ReceiverOptions) {
    bindMembers(this, NotificationReceiver.prototype);
    requireKnown(given, RECEIVER_OPTIONS, RECEIVER);
    const options = given ?? {};
    const { userId = 'email', mapTraits, resolveCustomer, logger } = options;
    for (const [name, hook] of Object.entries({ mapTraits, resolveCustomer })) {
      if (hook !== undefined && typeof hook !== 'function') throw invalidOption(name, 'a function');
    }
    const field = typeof userId === 'function' ? undefined : fieldNumber(userId);
    this.#options = options;
    this.#field = mapTraits === undefined ? field : undefined;
    this.#log = logger === undefined ? undefined : logTo(logger, 'info');
  }

  /** Resolves when the customer is identified in Segment, or with why not. Never rejects. */
  async receive(raw: unknown, origin: NotificationOrigin = {}): Promise<NotificationOutcome> {
    const started = performance.now();
    const outcome = await this.#outcomeOf(raw, origin.messageId).catch(failed);
    this.#counters.count(outcome, performance.now() - started);
    tell(this.#log, outcome, origin.facts);
    return outcome;
  }

  /**
   * Hands the customer to the client's queue and returns: for whoever has a spool, or a stream of notifications that
   * can be read again. What only a fetch could tell is ignored as `not-fetched`. Never throws. Needs a client of this
   * package.
   */
  accept(raw: unknown): NotificationOutcome {
    const started = performance.now();
    let outcome: NotificationOutcome;
    try {
      outcome = this.#acceptedNatively(raw) ?? this.#accepted(this.#read(raw));
    } catch (error) {
      outcome = failed(error);
    }
    this.#counters.count(outcome, performance.now() - started);
    if (outcome.outcome !== 'accepted') tell(this.#log, outcome);
    return outcome;
  }

  /** What was received, and what came of it. */
  stats(): NotificationStats {
    return this.#counters.stats();
  }

  async #outcomeOf(raw: unknown, fallbackId: string | undefined): Promise<NotificationOutcome> {
    const prepared = await this.#prepare(raw);
    if ('outcome' in prepared) return prepared;
    const messageId = prepared.messageId ?? fallbackId;
    await identifyWith(this.#client(), messageId === undefined ? prepared : { ...prepared, messageId });
    return { outcome: 'identified', messageId };
  }

  async #prepare(raw: unknown): Promise<SegmentIdentifyPayload | NotificationOutcome> {
    const parsed = this.#read(raw);
    if ('userId' in parsed) return parsed;
    const { resolveCustomer } = this.#options;
    if (parsed.kind !== 'needs-fetch' || resolveCustomer === undefined) return this.#withoutFetch(parsed);
    const { about } = parsed;
    const customer = await resolveCustomer(about.customerId ?? '', parsed);
    return customer === null || customer === undefined
      ? { outcome: 'ignored', reason: 'not-found', about }
      : this.#transform(customer, about);
  }

  #withoutFetch(parsed: ParsedNotification): SegmentIdentifyPayload | NotificationOutcome {
    switch (parsed.kind) {
      case 'identify':
        return this.#transform(parsed.customer, parsed.about);
      case 'ignore':
        return { outcome: 'ignored', reason: parsed.reason, about: parsed.about };
      case 'needs-fetch':
        return { outcome: 'ignored', reason: 'not-fetched', about: parsed.about };
      default:
        return { outcome: 'invalid', reason: parsed.reason };
    }
  }

  /** From the notification into the queue in one step of native code; undefined where that is not possible. */
  #acceptedNatively(raw: unknown): NotificationOutcome | undefined {
    const field = this.#field;
    const text = field === undefined ? undefined : textOf(raw);
    if (field === undefined || text === undefined) return undefined;
    const taken = this.#engineClient()?.acceptNatively((handle) => identifyNotification(text, field, handle));
    if (taken === undefined) return undefined;
    const { answer, refusal } = taken;
    if (answer.startsWith('-')) return failed(refusal);
    if (!answer.startsWith('+')) return this.#accepted(JSON.parse(answer) as ParsedNotification);
    const messageId = answer.slice(1) || undefined;
    return { outcome: 'accepted', messageId };
  }

  #engineClient(): EngineSegmentClient | undefined {
    try {
      return engineClientOf(this.#client());
    } catch {
      // Missing it is told of once there is somebody to identify.
      return undefined;
    }
  }

  #accepted(parsed: SegmentIdentifyPayload | ParsedNotification): NotificationOutcome {
    const prepared = 'userId' in parsed ? parsed : this.#withoutFetch(parsed);
    if ('outcome' in prepared) return prepared;
    const client = engineClientOf(this.#client());
    if (client === undefined) throw invalidOption('client', 'one of this package for accept()');
    const refusal = client.accept(prepared);
    return refusal === undefined ? { outcome: 'accepted', messageId: prepared.messageId } : failed(refusal);
  }

  #client(): SegmentClient | SegmentClientLike {
    return this.#options.client ?? getSegmentClientFromEnvironment();
  }

  /** In one step of native code where that is possible. */
  #read(raw: unknown): SegmentIdentifyPayload | ParsedNotification {
    if (this.#field === undefined) return parseNotification(raw);
    const text = textOf(raw);
    if (text === undefined) return parseNotification(raw);
    const answer = identifyNotification(text, this.#field, WITHOUT_CLIENT);
    const isPayload = answer.startsWith('=');
    return JSON.parse(isPayload ? answer.slice(1) : answer) as SegmentIdentifyPayload | ParsedNotification;
  }

  #transform(
    customer: CommercetoolsCustomer,
    about: NotificationFacts,
  ): SegmentIdentifyPayload | NotificationOutcome {
    try {
      const { userId, mapTraits } = this.#options;
      return transformCustomerToSegment(customer, { userId, mapTraits }, about);
    } catch (error) {
      if (!(error instanceof AnalyticsError) || error.field !== 'userId') throw error;
      return { outcome: 'invalid', reason: 'missing-user-id' };
    }
  }
}
