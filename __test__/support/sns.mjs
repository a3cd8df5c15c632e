/** A topic of SNS: the certificate of its region, and messages as it signs and posts them. */
import { randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { issue, newRsaKey } from './certificates.mjs';

const REGION = 'eu-central-1';
const SNS = `https://sns.${REGION}.amazonaws.com`;
const UNSIGNED = new Set([
  'Signature',
  'SignatureVersion',
  'SigningCertURL',
  'SigningCertUrl',
  'UnsubscribeURL',
]);

export const TOPIC_ARN = `arn:aws:sns:${REGION}:123456789012:commercetools-webhook-test`;
export const CERTIFICATE_URL = `${SNS}/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem`;
export const SUBSCRIBE_URL = `${SNS}/?Action=ConfirmSubscription&TopicArn=${TOPIC_ARN}&Token=2336412f37fb687f5d51`;

export class SnsTopic {
  /** Who has issued the certificate: what a verifier has to trust. */
  authority = issue('Authority of the tests', { isAuthority: true });
  /** What the messages are signed with. */
  certificate = issue('sns.amazonaws.com', { issuer: this.authority, privateKey: newRsaKey() });
  #now;

  constructor(now = Date.now) {
    this.#now = now;
  }

  /** `changes` are made before it is signed. */
  notification(message, changes) {
    return this.signed({
      Type: 'Notification',
      MessageId: randomUUID(),
      Message: typeof message === 'string' ? message : JSON.stringify(message),
      UnsubscribeURL: `${SNS}/?Action=Unsubscribe&SubscriptionArn=${TOPIC_ARN}:1`,
      ...changes,
    });
  }

  confirmation(changes) {
    return this.signed({
      Type: 'SubscriptionConfirmation',
      MessageId: randomUUID(),
      Message: `You have chosen to subscribe to the topic ${TOPIC_ARN}.`,
      SubscribeURL: SUBSCRIBE_URL,
      Token: '2336412f37fb687f5d51',
      ...changes,
    });
  }

  /** Every member that is not of the signature itself is signed, in the order of their names. */
  signed(message) {
    const whole = {
      TopicArn: TOPIC_ARN,
      Timestamp: new Date(this.#now()).toISOString(),
      SignatureVersion: '2',
      SigningCertURL: CERTIFICATE_URL,
      ...message,
    };
    const signed = Object.entries(whole).filter(([name, value]) => !UNSIGNED.has(name) && value !== null);
    const lines = signed.sort().map(([name, value]) => `${name}\n${value}\n`);
    const hash = whole.SignatureVersion === '1' ? 'RSA-SHA1' : 'RSA-SHA256';
    const signature = sign(hash, Buffer.from(lines.join('')), this.certificate.privateKey);
    return { ...whole, Signature: signature.toString('base64') };
  }
}

/**
 * SNS itself, on loopback: publishes the topic's certificate, and takes confirmations.
 *
 * @returns {Promise<{ topic: SnsTopic, url: string, confirmations: string[], close: () => Promise<void> }>}
 */
export async function startSns() {
  const topic = new SnsTopic();
  const confirmations = [];
  const server = http.createServer(({ url }, response) => {
    if (SNS + url === CERTIFICATE_URL) return response.end(topic.certificate.pem);
    if (SNS + url === SUBSCRIBE_URL) confirmations.push(url);
    else response.statusCode = 404;
    return response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  return { topic, url: `http://127.0.0.1:${server.address().port}`, confirmations, close };
}

/** Posts a message as SNS does; resolves with the answer. */
export function post(endpoint, message) {
  return fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'text/plain; charset=UTF-8',
      'user-agent': 'Amazon Simple Notification Service Agent',
      'x-amz-sns-message-type': message.Type,
      'x-amz-sns-topic-arn': message.TopicArn,
    },
    body: JSON.stringify(message),
  });
}
