/** From a request to its answer. Knows nothing of Nest, Express or Fastify. */
import type { IncomingHttpHeaders } from 'node:http';

import { bindMembers } from '../../bound.js';
import { logTo, type Log, type LoggerLike } from '../../logger.js';
import type { NotificationStats } from '../counters.js';
import { textOf } from '../notification.js';
import type { NotificationReceiver } from '../receiver.js';
import type { SnsMessage } from '../sns-verifier.js';
import type { NotificationOutcome } from '../types.js';
import { Gatekeeper, type WebhookAuthentication, type WebhookRefusal } from './authentication.js';

/** What the sender is told: whether, never why. */
export interface WebhookAnswer {
  readonly status: 200 | 400 | 401 | 403 | 500;
  readonly body: { readonly success: boolean; readonly error?: { readonly message: string } };
  readonly headers?: Readonly<Record<string, string>>;
}

/** What was received over HTTP, and what came of it. */
export interface WebhookStats extends NotificationStats {
  /** Requests that were refused, by reason. */
  refused: Record<string, number>;
  /** Subscriptions that were confirmed. */
  confirmed: number;
}

const DONE: WebhookAnswer = { status: 200, body: { success: true } };
const INVALID = answer(400, 'Invalid payload');
const UNAUTHORIZED = answer(401, 'Unauthorized');
const FORBIDDEN = answer(403, 'Forbidden');
const FAILED = answer(500, 'Internal server error');

/** Handles the requests of one webhook. */
export class WebhookHandler {
  readonly #receiver: NotificationReceiver;
  readonly #gatekeeper: Gatekeeper;
  readonly #log: Log;
  readonly #refused = new Map<WebhookRefusal, number>();
  #confirmed = 0;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(receiver: NotificationReceiver, authentication: WebhookAuthentication, logger: LoggerLike) {
    bindMembers(this, WebhookHandler.prototype);
    this.#receiver = receiver;
    this.#gatekeeper = new Gatekeeper(authentication);
    this.#log = logTo(logger, 'info');
  }

  /** Never rejects. `body` is text, bytes or already parsed. */
  async handle(headers: IncomingHttpHeaders, body: unknown): Promise<WebhookAnswer> {
    const envelope = this.#gatekeeper.verifier === undefined ? undefined : parsed(body);
    const admission = await this.#gatekeeper.admit(headers, envelope);
    if ('refusal' in admission) return this.#refuse(admission.refusal);
    if ('message' in admission) return this.#handleMessage(admission.message);
    return answerTo(await this.#receiver.receive(body));
  }

  stats(): WebhookStats {
    return {
      ...this.#receiver.stats(),
      refused: Object.fromEntries(this.#refused),
      confirmed: this.#confirmed,
    };
  }

  async #handleMessage(message: SnsMessage): Promise<WebhookAnswer> {
    const result = await this.#process(message);
    // SNS sends it again: that is no replay.
    if (result.status === 500) this.#gatekeeper.verifier?.forget(message);
    return result;
  }

  async #process(message: SnsMessage): Promise<WebhookAnswer> {
    switch (message.Type) {
      case 'SubscriptionConfirmation':
        return this.#confirm(message);
      case 'UnsubscribeConfirmation':
        return DONE;
      default:
        return answerTo(
          await this.#receiver.receive(message.Message, { messageId: `sns:${message.MessageId}` }),
        );
    }
  }

  async #confirm(message: SnsMessage): Promise<WebhookAnswer> {
    const isConfirmed = (await this.#gatekeeper.verifier?.confirm(message)) === true;
    if (isConfirmed) this.#confirmed += 1;
    const text = isConfirmed ? 'subscription confirmed' : 'a subscription could not be confirmed';
    this.#log(isConfirmed ? 'info' : 'error', text, { topic: message.TopicArn });
    return isConfirmed ? DONE : FAILED;
  }

  #refuse(refusal: WebhookRefusal): WebhookAnswer {
    this.#refused.set(refusal, (this.#refused.get(refusal) ?? 0) + 1);
    this.#log('warn', 'webhook request refused', { reason: refusal });
    switch (refusal) {
      case 'credentials-missing': {
        const { challenge } = this.#gatekeeper;
        return { ...UNAUTHORIZED, ...(challenge && { headers: { 'www-authenticate': challenge } }) };
      }
      // Not the sender's fault: SNS tries again after a 5xx, and never after a 4xx.
      case 'certificate-unavailable':
        return FAILED;
      default:
        return FORBIDDEN;
    }
  }
}

function answerTo({ outcome }: NotificationOutcome): WebhookAnswer {
  switch (outcome) {
    case 'identified':
    case 'ignored':
      return DONE;
    case 'invalid':
      return INVALID;
    default:
      return FAILED;
  }
}

function answer(status: WebhookAnswer['status'], message: string): WebhookAnswer {
  return { status, body: { success: false, error: { message } } };
}

function parsed(body: unknown): unknown {
  if (typeof body === 'object' && !(body instanceof Uint8Array)) return body;
  try {
    return JSON.parse(textOf(body) ?? '');
  } catch {
    return undefined;
  }
}
