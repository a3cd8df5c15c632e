/**
 * Whether a message over HTTP is from SNS, from a topic of ours, fresh and new (AWS: "Verifying the signatures of Amazon
 * SNS messages").
 */
import { createHash, verify, type X509Certificate } from 'node:crypto';

import { bindMembers } from '../bound.js';
import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import { authoritiesOf, issuedByTrusted, isValidAt, type FetchBytes } from './certificates.js';

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
  | 'expired'
  /** It could not be fetched: the same message may pass later. */
  | 'certificate-unavailable'
  /** Not one of SNS, not of a trusted authority, or not valid now. */
  | 'certificate'
  | 'signature'
  | 'replayed';

/** Options of a verifier. */
export interface SnsVerifierOptions {
  /** The topics that may send. */
  readonly topicArns: readonly string[];
  /** `'2'` is SHA-256; `'1'` is SHA-1, which AWS advises against. @default ['2'] */
  readonly signatureVersions?: readonly ('1' | '2')[] | undefined;
  /** Milliseconds after which a message is too old, and before it too far in the future. @default 3600000 (1 h) */
  readonly maxAge?: number | undefined;
  /** Messages that are remembered for as long, to tell replays; beyond it the oldest is forgotten. @default 100000 */
  readonly maxRemembered?: number | undefined;
  /** PEM of the authorities that may have issued the signing certificate. @default those of Node */
  readonly certificateAuthorities?: readonly string[] | undefined;
  /** Fetches certificates and confirms subscriptions. @default `fetch`, for at most 5 s, without redirects */
  readonly fetchBytes?: FetchBytes | undefined;
  /** The time in milliseconds, for tests. @default Date.now */
  readonly now?: (() => number) | undefined;
}

const OPTIONS = optionNames<SnsVerifierOptions>({
  topicArns: true,
  signatureVersions: true,
  maxAge: true,
  maxRemembered: true,
  certificateAuthorities: true,
  fetchBytes: true,
  now: true,
});
const TOPIC_ARN = /^arn:aws[a-z-]*:sns:[a-z0-9-]+:[^\s:]+:[^\s:]+$/;
/** As SNS writes it, and nothing more: its answer to a query may have text of the asker's in it. */
const CERTIFICATE_URL =
  /^https:\/\/sns\.(?<region>[a-z0-9-]+)\.(?<domain>amazonaws\.com(?:\.cn)?)\/[\w-]+\.pem$/;
const HASHES: Readonly<Record<string, string>> = { '1': 'RSA-SHA1', '2': 'RSA-SHA256' };
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
/** More messages than a webhook sees within their age. */
const MAX_REMEMBERED = 100_000;
const MAX_CERTIFICATES = 16;

/** Where the certificate of a message is, and the names it may be issued to. */
interface CertificateSource {
  readonly url: string;
  readonly names: readonly string[];
}

/** Verifies the messages of one endpoint, and remembers which have passed. */
export class SnsVerifier {
  readonly #topicArns: ReadonlySet<string>;
  readonly #signatureVersions: ReadonlySet<string>;
  readonly #maxAge: number;
  readonly #maxRemembered: number;
  readonly #authorities: readonly X509Certificate[];
  readonly #fetchBytes: FetchBytes;
  readonly #now: () => number;
  readonly #certificates = new Map<string, X509Certificate>();
  readonly #fetches = new Map<string, Promise<X509Certificate | undefined>>();
  /** Digests of messages that have passed, with their time. */
  readonly #passed = new Map<string, number>();

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(options: SnsVerifierOptions) {
    bindMembers(this, SnsVerifier.prototype);
    const { topicArns, signatureVersions = ['2'] } = options;
    const { maxAge = MAX_AGE_MS, maxRemembered = MAX_REMEMBERED } = options;
    if (!isListOf(topicArns, (arn) => TOPIC_ARN.test(arn))) {
      throw invalidOption('topicArns', 'a list of the ARNs of your topics');
    }
    requireKnown(options, OPTIONS);
    if (!isListOf(signatureVersions, (version) => Object.hasOwn(HASHES, version))) {
      throw invalidOption('signatureVersions', "['2'], or ['1', '2']");
    }
    if (!isAtLeastOne(maxAge)) throw invalidOption('maxAge', 'milliseconds, 1 or more');
    if (!isAtLeastOne(maxRemembered)) throw invalidOption('maxRemembered', 'a number of messages, 1 or more');
    this.#topicArns = new Set(topicArns);
    this.#signatureVersions = new Set(signatureVersions);
    this.#maxAge = maxAge;
    this.#maxRemembered = maxRemembered;
    this.#authorities = authoritiesOf(options.certificateAuthorities);
    this.#fetchBytes = options.fetchBytes ?? fetchBytes;
    this.#now = options.now ?? Date.now;
  }

  /** The message if it is genuine, or why it is not. Once it has passed it is a replay. Never throws. */
  async verify(envelope: unknown): Promise<SnsMessage | SnsRefusal> {
    const message = messageOf(envelope);
    if (message === undefined) return 'malformed';
    if (!this.#topicArns.has(message.TopicArn)) return 'foreign-topic';
    if (!this.#signatureVersions.has(message.SignatureVersion)) return 'signature-version';
    const source = sourceOf(message);
    if (source === undefined) return 'certificate-url';
    const age = Math.abs(this.#now() - Date.parse(message.Timestamp));
    if (!(age <= this.#maxAge)) return 'expired';
    let certificate: X509Certificate | undefined;
    try {
      certificate = await this.#certificate(source);
    } catch {
      return 'certificate-unavailable';
    }
    if (certificate === undefined || !isValidAt(certificate, this.#now())) return 'certificate';
    if (!isSigned(message, certificate)) return 'signature';
    return this.#isReplay(message) ? 'replayed' : message;
  }

  /** The message failed: SNS may send it again. */
  forget(message: SnsMessage): void {
    this.#passed.delete(digest(message));
  }

  /** Tells SNS that the endpoint wants the topic's messages. Of a verified message only. */
  async confirm({ SubscribeURL, SigningCertURL }: SnsMessage): Promise<boolean> {
    // The host that has signed, and no other.
    const isSafe =
      CERTIFICATE_URL.test(SigningCertURL) &&
      SubscribeURL?.startsWith(`${new URL(SigningCertURL).origin}/`) === true;
    if (!isSafe) return false;
    try {
      await this.#fetchBytes(SubscribeURL);
      return true;
    } catch {
      return false;
    }
  }

  /** Looks and notes in one step: of copies that come at the same time, one passes. */
  #isReplay(message: SnsMessage): boolean {
    const id = digest(message);
    if (this.#passed.has(id)) return true;
    this.#passed.set(id, Date.parse(message.Timestamp));
    const tooOld = this.#now() - this.#maxAge;
    for (const [oldest, time] of this.#passed) {
      if (time >= tooOld && this.#passed.size <= this.#maxRemembered) break;
      this.#passed.delete(oldest);
    }
    return false;
  }

  /** Fetched once for all who wait. Only one that is trusted is kept. Rejects as the fetch does. */
  async #certificate(source: CertificateSource): Promise<X509Certificate | undefined> {
    const { url } = source;
    const known = this.#certificates.get(url);
    if (known !== undefined) return known;
    const fetched = this.#fetches.get(url) ?? this.#fetch(source).finally(() => this.#fetches.delete(url));
    this.#fetches.set(url, fetched);
    return fetched;
  }

  async #fetch({ url, names }: CertificateSource): Promise<X509Certificate | undefined> {
    const pem = await this.#fetchBytes(url);
    const certificate = await issuedByTrusted(pem, this.#authorities, this.#fetchBytes, this.#now());
    if (certificate === undefined || !names.some((name) => isIssuedTo(certificate, name))) return undefined;
    this.#certificates.set(url, certificate);
    const [oldest] = this.#certificates.keys();
    if (this.#certificates.size > MAX_CERTIFICATES && oldest !== undefined) this.#certificates.delete(oldest);
    return certificate;
  }
}

function isListOf(values: unknown, isGood: (value: string) => boolean): boolean {
  const isText = (value: unknown) => typeof value === 'string' && isGood(value);
  return Array.isArray(values) && values.length > 0 && values.every(isText);
}

function isAtLeastOne(value: unknown): boolean {
  return typeof value === 'number' && value >= 1;
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

/** Only of a host of SNS, in the topic's region: anybody can put a certificate elsewhere. */
function sourceOf({ SigningCertURL: url, TopicArn }: SnsMessage): CertificateSource | undefined {
  const { region = '', domain = '' } = CERTIFICATE_URL.exec(url)?.groups ?? {};
  if (region === '' || region !== TopicArn.split(':')[3]) return undefined;
  // SNS has one certificate for most regions, and those of its own for others.
  const names = [`sns.${domain}`, `sns.${region}.${domain}`, `sns-signing.${region}.${domain}`];
  const shared = region.startsWith('us-gov-') ? 'us-gov-west-1' : region;
  return { url, names: [...names, `sns-${shared}.${domain}`] };
}

function isIssuedTo(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { wildcards: false }) !== undefined;
}

function isSigned(message: SnsMessage, certificate: X509Certificate): boolean {
  try {
    const signature = Buffer.from(message.Signature, 'base64');
    const text = Buffer.from(signedText(message));
    return verify(HASHES[message.SignatureVersion], text, certificate.publicKey, signature);
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

/** Without redirects, bounded in time and size. */
async function fetchBytes(url: string): Promise<Buffer> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(5_000) });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    size += bytes.length;
    if (size > MAX_CERTIFICATE_BYTES) throw new Error('The answer is too large.');
    chunks.push(bytes);
  }
  if (!response.ok) throw new Error(`The answer was ${response.status}.`);
  return Buffer.concat(chunks);
}
