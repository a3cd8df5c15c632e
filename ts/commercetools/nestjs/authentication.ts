/** Who may post to the webhook. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { invalidOption } from '../../errors.js';
import { requireKnown } from '../../known-options.js';
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

const WAYS = ['sns', 'secret', 'basic'] as const;
/** What may stand in each of the ways. */
const MEMBERS = { sns: ['sns'], secret: ['secret', 'header'], basic: ['basic'], none: [] } as const;
const HEADER_NAME = /^[\w-]+$/;
/** What arrives in a header as it was sent. */
const HEADER_VALUE = /^[!-~](?:[ -~]*[!-~])?$/;

/** Decides on requests. */
export class Gatekeeper {
  /** Where SNS sends. */
  readonly verifier: SnsVerifier | undefined;
  /** What a request without credentials is told to come with. */
  readonly challenge: string | undefined;
  readonly #credentials: Credentials | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` for anything but one of the ways */
  constructor(authentication: WebhookAuthentication) {
    const way = wayOf(authentication);
    const given = Object(authentication) as Record<string, unknown>;
    if (way !== 'none') requireKnown(given, MEMBERS[way], { path: 'authentication' });
    if (way === 'sns') this.verifier = new SnsVerifier(given['sns'] as SnsVerifierOptions);
    if (way === 'basic') this.challenge = 'Basic realm="webhook"';
    if (way === 'basic') this.#credentials = basicOf(Object(given['basic']) as Record<string, unknown>);
    if (way === 'secret') this.#credentials = secretOf(given);
  }

  /** `body` is the parsed envelope where SNS sends. Never throws. */
  async admit(headers: IncomingHttpHeaders, body: unknown): Promise<Admission> {
    if (this.verifier !== undefined) {
      const verified = await this.verifier.verify(body);
      return typeof verified === 'string' ? { refusal: verified } : { message: verified };
    }
    if (this.#credentials === undefined) return { open: true };
    const { header, digest } = this.#credentials;
    const given = headers[header];
    if (typeof given !== 'string') return { refusal: 'credentials-missing' };
    // Digests have one length, and comparing them takes the same time wherever they differ.
    return timingSafeEqual(hashOf(given), digest) ? { open: true } : { refusal: 'credentials-wrong' };
  }
}

/** The header, and the digest of what it has to say. */
interface Credentials {
  readonly header: string;
  readonly digest: Buffer;
}

function wayOf(authentication: unknown): (typeof WAYS)[number] | 'none' {
  if (authentication === 'none') return 'none';
  const given = Object(authentication) as Record<string, unknown>;
  const [way, ...others] = WAYS.filter((name) => given[name] !== undefined && given[name] !== null);
  // Two at once: either, or both? Better asked than guessed.
  if (way === undefined || others.length > 0) {
    const ways = "{ sns: { topicArns } }, { secret }, { basic: { username, password } } or 'none'";
    throw invalidOption('authentication', `one of ${ways}`);
  }
  return way;
}

function secretOf({ secret, header = 'x-webhook-secret' }: Record<string, unknown>): Credentials {
  if (typeof secret !== 'string' || !HEADER_VALUE.test(secret)) {
    throw invalidOption(
      'authentication.secret',
      'text of ASCII characters, without spaces or line ends around it',
    );
  }
  if (typeof header !== 'string' || !HEADER_NAME.test(header)) {
    throw invalidOption('authentication.header', 'the name of a header');
  }
  return { header: header.toLowerCase(), digest: hashOf(secret) };
}

function basicOf(given: Record<string, unknown>): Credentials {
  const { username, password } = given;
  const areTexts = typeof username === 'string' && typeof password === 'string';
  if (!areTexts || username.includes(':') || password === '') {
    throw invalidOption('authentication.basic', '{ username, password }, without a colon in the username');
  }
  requireKnown(given, ['username', 'password'], { path: 'authentication.basic' });
  const encoded = Buffer.from(`${username}:${password}`).toString('base64');
  return { header: 'authorization', digest: hashOf(`Basic ${encoded}`) };
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
