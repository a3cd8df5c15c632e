/** Who may post to the webhook. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { invalidOption } from '../../errors.js';
import { SnsVerifier, type SnsMessage, type SnsRefusal, type SnsVerifierOptions } from '../sns-verifier.js';

/** How senders prove who they are. */
export type WebhookAuthentication =
  /** SNS, by its signature, from these topics. */
  | { readonly sns: SnsVerifierOptions }
  /** Whoever sends the secret in a header. */
  | { readonly secret: string; /** @default 'x-webhook-secret' */ readonly header?: string | undefined }
  /** HTTP Basic, as in `https://user:password@host/api/webhook`. */
  | { readonly basic: { readonly username: string; readonly password: string } }
  /** Anybody. Only behind something that keeps strangers out. */
  | 'none';

/** Why a request is refused. */
export type WebhookRefusal = SnsRefusal | 'credentials-missing' | 'credentials-wrong';

/** What is known of an admitted request. */
export type Admission =
  { readonly refusal: WebhookRefusal } | { readonly message: SnsMessage } | { readonly open: true };

/** Decides on requests. */
export class Gatekeeper {
  /** Where SNS sends. */
  readonly verifier: SnsVerifier | undefined;
  readonly #header: string;
  readonly #expected: Buffer | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` for anything but one of the ways */
  constructor(authentication: WebhookAuthentication) {
    const limit = "{ sns: { topicArns } }, { secret }, { basic: { username, password } } or 'none'";
    const way = authentication as unknown;
    if (way !== 'none' && (typeof way !== 'object' || way === null))
      throw invalidOption('authentication', limit);
    const { sns, secret, basic, header } = Object(way) as Record<string, unknown>;
    this.verifier = sns === undefined ? undefined : new SnsVerifier(sns as SnsVerifierOptions);
    const secretHeader = typeof header === 'string' ? header.toLowerCase() : 'x-webhook-secret';
    this.#header = basic === undefined ? secretHeader : 'authorization';
    const expected = basic === undefined ? secret : basicOf(basic as Record<string, unknown>);
    if (way !== 'none' && sns === undefined && (typeof expected !== 'string' || expected === '')) {
      throw invalidOption('authentication', limit);
    }
    this.#expected = typeof expected === 'string' ? hashOf(expected) : undefined;
  }

  /** `body` is the parsed envelope where SNS sends. Never throws. */
  async admit(headers: IncomingHttpHeaders, body: unknown): Promise<Admission> {
    if (this.verifier !== undefined) {
      const verified = await this.verifier.verify(body);
      return typeof verified === 'string' ? { refusal: verified } : { message: verified };
    }
    if (this.#expected === undefined) return { open: true };
    const given = headers[this.#header];
    if (typeof given !== 'string') return { refusal: 'credentials-missing' };
    // Digests have one length, and comparing them takes the same time wherever they differ.
    return timingSafeEqual(hashOf(given), this.#expected) ? { open: true } : { refusal: 'credentials-wrong' };
  }
}

function basicOf({ username, password }: Record<string, unknown>): string | undefined {
  if (typeof username !== 'string' || typeof password !== 'string' || password === '') return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
