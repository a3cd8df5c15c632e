/** An application with the webhook, what Commercetools tells of, and SNS as it signs it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';

import {
  CommercetoolsWebhookModule,
  WebhookHandler,
  type CommercetoolsWebhookExtras,
  type CommercetoolsWebhookOptions,
  type WebhookStats,
} from '@companion/segment/commercetools/nestjs';
import { SegmentModule } from '@companion/segment/nestjs';
import type { FakeSegment } from '@companion/segment/testing';

import {
  CapturingLogger,
  startApplication,
  startSegment,
  WRITE_KEY,
  type ApplicationOptions,
  type RunningApplication,
  type Scope,
} from './support.js';

/** What no line of the log and no answer may say. */
const PRIVATE = ['mira@example.com', 'Mira', 'Okafor', 'Elm Street', WRITE_KEY, 'live-token'];

export interface Webhook extends RunningApplication {
  readonly segment: FakeSegment;
  readonly logger: CapturingLogger;
  /** Posts to the webhook. What is no text is written as JSON. */
  post: (body: unknown, headers?: Record<string, string>, path?: string) => Promise<Answer>;
  stats: () => WebhookStats;
}

/** The status, and what the answer says. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

export const DONE = { success: true };
export const refusedWith = (message: string) => ({ success: false, error: { message } });

/** `SegmentModule`, the webhook and what the test adds. */
export async function startWebhook(
  scope: Scope,
  options: CommercetoolsWebhookOptions & CommercetoolsWebhookExtras = { authentication: 'none' },
  { root, ...others }: Partial<ApplicationOptions> = {},
): Promise<Webhook> {
  const segment = await startSegment(scope, { writeKeys: [WRITE_KEY] });
  const imports = [
    SegmentModule.forRoot({ writeKey: WRITE_KEY, host: segment.url, flushInterval: 2_147_483_647 }),
    CommercetoolsWebhookModule.forRoot(options),
  ];
  const logger = new CapturingLogger();
  const more = typeof root === 'function' ? { imports: [root] } : root;
  const running = await startApplication(scope, {
    ...others,
    logger,
    root: { ...more, imports: [...(more?.imports ?? []), ...imports] },
  });
  return webhookOf(running, segment, logger);
}

/** The same for an application that was started in another way. */
export function webhookOf(
  running: RunningApplication,
  segment: FakeSegment,
  logger: CapturingLogger,
): Webhook {
  const post: Webhook['post'] = async (body, headers, path = '/api/webhook') => {
    const response = await fetch(running.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    for (const secret of PRIVATE) assert.ok(!text.includes(secret), `the answer says ${secret}`);
    const { status } = response;
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };
  return { ...running, segment, logger, post, stats: () => running.app.get(WebhookHandler).stats() };
}

/** Its status and what it says. */
export function assertAnswer(answer: Answer, status: number, body: unknown): void {
  assert.deepEqual([answer.status, answer.body], [status, body]);
}

/** Nothing that was logged is a customer's or a secret. */
export function assertSilent({ logger }: Pick<Webhook, 'logger'>, ...secrets: string[]): void {
  for (const secret of [...PRIVATE, ...secrets]) {
    assert.ok(!logger.text.includes(secret), `the log says ${secret}`);
  }
}

/** Whom Segment knows by now. */
export function usersOf({ segment }: Pick<Webhook, 'segment'>): unknown[] {
  for (const { type } of segment.events) assert.equal(type, 'identify');
  return segment.events.map(({ userId }) => userId);
}

const ADDRESS = {
  id: 'a-1',
  streetName: 'Elm Street',
  streetNumber: '4',
  postalCode: '12345',
  city: 'Springfield',
  state: 'Oregon',
  country: 'US',
};

/** What comes of `customerCreated()`. */
export const TRAITS = {
  email: 'mira@example.com',
  firstName: 'Mira',
  lastName: 'Okafor',
  name: 'Mira Okafor',
  address: {
    street: 'Elm Street 4',
    city: 'Springfield',
    state: 'Oregon',
    postalCode: '12345',
    country: 'US',
  },
};

/** A message as Commercetools sends it, of about so many bytes. */
export function customerCreated(bytes = 0): Record<string, unknown> {
  return {
    ...about('CustomerCreated'),
    customer: {
      id: 'c-1',
      version: 1,
      createdAt: '2026-03-01T12:00:00.000Z',
      lastModifiedAt: '2026-03-01T12:00:00.000Z',
      email: TRAITS.email,
      firstName: TRAITS.firstName,
      lastName: TRAITS.lastName,
      password: '****aGg=',
      addresses: [ADDRESS],
      defaultShippingAddressId: ADDRESS.id,
      shippingAddressIds: [ADDRESS.id],
      billingAddressIds: [],
      isEmailVerified: false,
      customerGroupAssignments: [],
      stores: [],
      authenticationMode: 'Password',
      custom: { type: { typeId: 'type', id: 't-1' }, fields: { notes: 'ä"\\'.repeat(bytes / 6) } },
    },
  };
}

/** What all messages about the customer have. */
export function about(type: string): Record<string, unknown> {
  return {
    notificationType: 'Message',
    projectKey: 'shop',
    id: `message-${type}`,
    version: 1,
    sequenceNumber: 1,
    resource: { typeId: 'customer', id: 'c-1' },
    resourceVersion: 1,
    type,
    createdAt: '2026-03-01T12:00:00.000Z',
    lastModifiedAt: '2026-03-01T12:00:00.000Z',
  };
}

export function asCloudEvent(data: Record<string, unknown>): Record<string, unknown> {
  return {
    specversion: '1.0',
    id: data['id'],
    type: 'com.commercetools.customer.message.CustomerCreated',
    source: '/shop/customers',
    subject: 'c-1',
    time: data['createdAt'],
    data,
  };
}

const SNS = 'https://sns.eu-central-1.amazonaws.com';
export const TOPIC_ARN = 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-test';
export const SUBSCRIBE_URL = `${SNS}/?Action=ConfirmSubscription&TopicArn=${TOPIC_ARN}&Token=t-1`;
const CERTIFICATE_URL = `${SNS}/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem`;

/** A topic that signs with a certificate of its own making, which is its own authority too. */
export class SnsTopic {
  /** What the application has fetched. */
  readonly fetched: string[] = [];
  /** URLs behind which there is nothing. */
  readonly broken = new Set<string>();
  readonly #privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly #certificate = certificateOf('sns.amazonaws.com', this.#privateKey);

  /** The webhook's options for this topic. */
  get authentication() {
    return {
      sns: {
        topicArns: [TOPIC_ARN],
        certificateAuthorities: [this.#certificate],
        fetchBytes: async (url: string) => {
          this.fetched.push(url);
          if (this.broken.has(url)) throw new Error('not found');
          return url === CERTIFICATE_URL ? this.#certificate : '<Response/>';
        },
      },
    };
  }

  notification(message: unknown, changes: Record<string, string> = {}): Record<string, string> {
    const Message = typeof message === 'string' ? message : JSON.stringify(message);
    return this.#signed({ Type: 'Notification', Message, ...changes });
  }

  confirmation(changes: Record<string, string> = {}): Record<string, string> {
    const Message = `You have chosen to subscribe to the topic ${TOPIC_ARN}.`;
    const members = { Type: 'SubscriptionConfirmation', SubscribeURL: SUBSCRIBE_URL, Token: 't-1', Message };
    return this.#signed({ ...members, ...changes });
  }

  /** From here on the certificate can't be fetched. */
  breakCertificate(): void {
    this.broken.add(CERTIFICATE_URL);
  }

  #signed(message: Record<string, string>): Record<string, string> {
    const members = {
      MessageId: randomUUID(),
      Timestamp: new Date().toISOString(),
      TopicArn: TOPIC_ARN,
      ...message,
    };
    const lines = Object.entries(members).map(([name, value]) => `${name}\n${value}\n`);
    // By name, as their lines begin with it.
    const text = Buffer.from(lines.sort((one, other) => (one < other ? -1 : 1)).join(''));
    const signature = sign('sha256', text, this.#privateKey.privateKey);
    return {
      ...members,
      SignatureVersion: '2',
      Signature: signature.toString('base64'),
      SigningCertURL: CERTIFICATE_URL,
    };
  }
}

/** An X.509 certificate of one's own: `name`, for a day, and it may issue certificates. */
function certificateOf(name: string, keys: { publicKey: KeyObject; privateKey: KeyObject }): string {
  const algorithm = sequence(tlv(0x06, '2a8648ce3d040302'));
  const commonName = sequence(tlv(0x31, sequence(tlv(0x06, '550403'), tlv(0x0c, hexOf(name)))));
  const time = (days: number) => {
    const digits = new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+|\D/g, '');
    return tlv(0x18, hexOf(`${digits}Z`));
  };
  const isAuthority = sequence(tlv(0x06, '551d13'), tlv(0x04, sequence(tlv(0x01, 'ff'))));
  const content = sequence(
    tlv(0xa0, tlv(0x02, '02')),
    tlv(0x02, '01'),
    algorithm,
    commonName,
    sequence(time(-1), time(1)),
    commonName,
    keys.publicKey.export({ type: 'spki', format: 'der' }).toString('hex'),
    tlv(0xa3, sequence(isAuthority)),
  );
  const signature = sign('sha256', Buffer.from(content, 'hex'), keys.privateKey).toString('hex');
  const whole = sequence(content, algorithm, tlv(0x03, `00${signature}`));
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(whole, 'hex').toString('base64')}\n-----END CERTIFICATE-----\n`;
}

/** Tag, length and value of DER, in hexadecimal digits. */
function tlv(tag: number, ...contents: string[]): string {
  const value = contents.join('');
  const length = value.length / 2;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.from([tag, ...size]).toString('hex') + value;
}

const sequence = (...contents: string[]) => tlv(0x30, ...contents);
const hexOf = (text: string) => Buffer.from(text).toString('hex');
