/**
 * Whether a message over HTTP is from SNS, from a topic of ours, fresh and new (AWS: "Verifying the signatures of Amazon
 * SNS messages").
 */
import { createHash, verify, type X509Certificate } from 'node:crypto';

import { invalidOption } from '../errors.js';
import { issuedByTrusted, type FetchBytes } from './certificates.js';

/** What SNS posts. */
export interface SnsMessage {
  readonly Type: 'Notification' | 'SubscriptionConfirmation' | 'UnsubscribeConfirmation';
  readonly MessageId: string;
  readonly TopicArn: string;
  readonly Subject?: string | null;
  readonly Message: string;
  readonly Timestamp: string;
  readonly SignatureVersion: string;
  readonly Signature: string;
  readonly SigningCertURL: string;
  readonly SubscribeURL?: string;
  readonly Token?: string;
}

/** Why a message is refused. */
export type SnsRefusal =
  | 'malformed'
  | 'foreign-topic'
  | 'signature-version'
  | 'certificate-url'
  | 'certificate'
  | 'signature'
  | 'expired'
  | 'replayed';

/** Options of a verifier. */
export interface SnsVerifierOptions {
  /** The topics that may send. */
  readonly topicArns: readonly string[];
  /** `'2'` is SHA-256; `'1'` is SHA-1, which AWS advises against. @default ['2'] */
  readonly signatureVersions?: readonly ('1' | '2')[] | undefined;
  /** Milliseconds after which a message is too old, and before it too far in the future. @default 3600000 (1 h) */
  readonly maxAge?: number | undefined;
  /** PEM of the authorities that may have issued the signing certificate. @default those of Node */
  readonly certificateAuthorities?: readonly string[] | undefined;
  /** Fetches certificates and confirms subscriptions. @default `fetch`, for at most 5 s, without redirects */
  readonly fetchBytes?: FetchBytes | undefined;
  /** The time in milliseconds, for tests. @default Date.now */
  readonly now?: (() => number) | undefined;
}

const SNS_HOST = /^sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?$/;
const HASHES = { '1': 'RSA-SHA1', '2': 'RSA-SHA256' } as const;
const SIGNED_NOTIFICATION = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'] as const;
const SIGNED_CONFIRMATION = [
  'Message',
  'MessageId',
  'SubscribeURL',
  'Timestamp',
  'Token',
  'TopicArn',
  'Type',
] as const;
const TYPES: ReadonlySet<unknown> = new Set([
  'Notification',
  'SubscriptionConfirmation',
  'UnsubscribeConfirmation',
]);
const MAX_AGE_MS = 3_600_000;
const MAX_CERTIFICATE_BYTES = 64 * 1024;
/** More messages than a webhook sees within their age; beyond it the oldest is forgotten. */
const MAX_REMEMBERED = 100_000;
const MAX_CERTIFICATES = 16;

/** Verifies the messages of one endpoint, and remembers which it has seen. */
export class SnsVerifier {
  readonly #options: SnsVerifierOptions;
  readonly #maxAge: number;
  readonly #now: () => number;
  readonly #fetchBytes: FetchBytes;
  readonly #certificates = new Map<string, Promise<X509Certificate>>();
  /** Digests of messages that were done, with their time. */
  readonly #done = new Map<string, number>();

  /** @throws AnalyticsError `ERR_OPTION_INVALID` without topics */
  constructor(options: SnsVerifierOptions) {
    if (!Array.isArray(options.topicArns) || options.topicArns.length === 0) {
      throw invalidOption('topicArns', 'a list of the ARNs of your topics');
    }
    this.#options = options;
    this.#maxAge = options.maxAge ?? MAX_AGE_MS;
    this.#now = options.now ?? Date.now;
    this.#fetchBytes = options.fetchBytes ?? fetchBytes;
  }

  /** The message if it is genuine, or why it is not. Never throws. */
  async verify(envelope: unknown): Promise<SnsMessage | SnsRefusal> {
    const message = messageOf(envelope);
    if (message === undefined) return 'malformed';
    if (!this.#options.topicArns.includes(message.TopicArn)) return 'foreign-topic';
    const hash = this.#hashOf(message.SignatureVersion);
    if (hash === undefined) return 'signature-version';
    const url = certificateUrl(message);
    if (url === undefined) return 'certificate-url';
    const age = Math.abs(this.#now() - Date.parse(message.Timestamp));
    if (!(age <= this.#maxAge)) return 'expired';
    const certificate = await this.#certificate(url).catch(() => undefined);
    if (certificate === undefined || !isValidAt(certificate, this.#now())) return 'certificate';
    if (!isSigned(message, hash, certificate)) return 'signature';
    return this.#done.has(digest(message)) ? 'replayed' : message;
  }

  /** From now on this message is a replay. */
  markDone(message: SnsMessage): void {
    this.#done.set(digest(message), Date.parse(message.Timestamp));
    const tooOld = this.#now() - this.#maxAge;
    for (const [id, time] of this.#done) {
      if (time >= tooOld && this.#done.size <= MAX_REMEMBERED) break;
      this.#done.delete(id);
    }
  }

  /** The message failed: SNS may send it again. */
  forget(message: SnsMessage): void {
    this.#done.delete(digest(message));
  }

  /** Tells SNS that the endpoint wants the topic's messages. Of a verified message only. */
  async confirm(message: SnsMessage): Promise<boolean> {
    const url = safeUrl(message.SubscribeURL);
    // The host that has signed, and no other.
    if (url === undefined || url.host !== safeUrl(message.SigningCertURL)?.host) return false;
    return this.#fetchBytes(url.href).then(
      () => true,
      () => false,
    );
  }

  #hashOf(version: string): string | undefined {
    const { signatureVersions = ['2'] } = this.#options;
    return signatureVersions.find((allowed) => allowed === version) && HASHES[version as '1' | '2'];
  }

  /** Fetched once; a failure is not remembered. */
  #certificate(url: string): Promise<X509Certificate> {
    const known = this.#certificates.get(url);
    if (known !== undefined) return known;
    const fetched = this.#fetchCertificate(url);
    this.#certificates.set(url, fetched);
    fetched.catch(() => this.#certificates.delete(url));
    const [oldest] = this.#certificates.keys();
    if (this.#certificates.size > MAX_CERTIFICATES && oldest !== undefined) this.#certificates.delete(oldest);
    return fetched;
  }

  async #fetchCertificate(url: string): Promise<X509Certificate> {
    const pem = await this.#fetchBytes(url);
    const { certificateAuthorities } = this.#options;
    const certificate = await issuedByTrusted(pem, certificateAuthorities, this.#fetchBytes, this.#now());
    if (certificate === undefined)
      throw new Error('The signing certificate is not issued by a trusted authority.');
    return certificate;
  }
}

/** The message, if it has the members that a message has. */
function messageOf(envelope: unknown): SnsMessage | undefined {
  if (typeof envelope !== 'object' || envelope === null) return undefined;
  const given = envelope as Record<string, unknown>;
  // Lambda and some relays write Url.
  const message = {
    ...given,
    SigningCertURL: given['SigningCertURL'] ?? given['SigningCertUrl'],
    SubscribeURL: given['SubscribeURL'] ?? given['SubscribeUrl'],
  } as Record<string, unknown>;
  const required = [
    'MessageId',
    'TopicArn',
    'Message',
    'Timestamp',
    'Signature',
    'SignatureVersion',
    'SigningCertURL',
  ];
  const isConfirmation = message['Type'] !== 'Notification';
  const texts = isConfirmation ? [...required, 'SubscribeURL', 'Token'] : required;
  const isMessage = texts.every((name) => typeof message[name] === 'string') && TYPES.has(message['Type']);
  const { Subject } = message;
  const hasSubject = Subject === undefined || Subject === null || typeof Subject === 'string';
  return isMessage && hasSubject ? (message as unknown as SnsMessage) : undefined;
}

/** Only from a host of SNS, in the topic's region: anybody can put a certificate elsewhere. */
function certificateUrl(message: SnsMessage): string | undefined {
  const url = safeUrl(message.SigningCertURL);
  const region = message.TopicArn.split(':')[3];
  const isOfTopic = url?.hostname.split('.')[1] === region;
  return url !== undefined && isOfTopic && url.pathname.endsWith('.pem') ? url.href : undefined;
}

function safeUrl(text: string | undefined): URL | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isSns =
    url.protocol === 'https:' && SNS_HOST.test(url.hostname) && url.port === '' && url.username === '';
  return isSns ? url : undefined;
}

function isValidAt(certificate: X509Certificate, time: number): boolean {
  return Date.parse(certificate.validFrom) <= time && time <= Date.parse(certificate.validTo);
}

function isSigned(message: SnsMessage, hash: string, certificate: X509Certificate): boolean {
  try {
    const signature = Buffer.from(message.Signature, 'base64');
    return verify(hash, Buffer.from(signedText(message)), certificate.publicKey, signature);
  } catch {
    return false;
  }
}

/** Name and value of what is signed, each on a line. */
function signedText(message: SnsMessage): string {
  const names = message.Type === 'Notification' ? SIGNED_NOTIFICATION : SIGNED_CONFIRMATION;
  return names
    .filter((name) => message[name] !== undefined && message[name] !== null)
    .map((name) => `${name}\n${message[name]}\n`)
    .join('');
}

function digest(message: SnsMessage): string {
  return createHash('sha256').update(signedText(message)).digest('base64');
}

/** https only, no redirects, bounded in time and size. */
async function fetchBytes(url: string): Promise<Buffer> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error(`The answer was ${response.status}.`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    size += bytes.length;
    if (size > MAX_CERTIFICATE_BYTES) throw new Error('The answer is too large.');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
