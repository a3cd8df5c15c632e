/** What Lambda hands to a function, with all the members that AWS's documentation shows, and functions to hand it to. */
import { mock } from 'node:test';

import { createHandler, createSqsHandler } from '@companion/segment/aws';
import { createSegmentClient } from '@companion/segment/commercetools';

import { startSegment } from './clients.mjs';
import { KEY, useEnvironment } from './pipeline.mjs';
import { CREATED } from './receivers.mjs';

export const TOPIC = 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-test';
const HOST = 'https://sns.eu-central-1.amazonaws.com';
const CERTIFICATE = `${HOST}/SimpleNotificationService-ac565b8b1a6c5d002d285f9598aa1d9b.pem`;
const UNSUBSCRIBE = `${HOST}/?Action=Unsubscribe&SubscriptionArn=${TOPIC}:21be56ed-a058-49f5-8c98-aedd2564c486`;

/** The customer's notification with this number. */
export const created = (number, changes) => ({ ...CREATED, id: `message-${number}`, ...changes });

/** The messageIds in Segment of the notifications from `from` to `to`. */
export const idsOf = (from, to = from) =>
  Array.from({ length: to - from + 1 }, (_, index) => `ct:shop:message-${from + index}`);

const textOf = (message) => (typeof message === 'string' ? message : JSON.stringify(message));

/** As Lambda hands it over; in queues and over HTTP two names end in `URL`. */
export const snsEnvelope = (message, { number = 1, suffix = 'Url', ...changes } = {}) => ({
  SignatureVersion: '1',
  Timestamp: '2026-01-02T12:45:07.000Z',
  Signature: 'tcc6faL2yUC6dgZdmrwh1Y4cGa==',
  [`SigningCert${suffix}`]: CERTIFICATE,
  MessageId: `sns-${number}`,
  Message: textOf(message),
  MessageAttributes: {
    Test: { Type: 'String', Value: 'TestString' },
    TestBinary: { Type: 'Binary', Value: 'TestBinary' },
  },
  Type: 'Notification',
  [`Unsubscribe${suffix}`]: UNSUBSCRIBE,
  TopicArn: TOPIC,
  Subject: 'TestInvoke',
  ...changes,
});

/** What `unwrapRecord` finds in such an envelope. */
export const opened = (message, number = 1) => ({
  message: textOf(message),
  messageId: `sns-${number}`,
  topicArn: TOPIC,
  subject: 'TestInvoke',
  timestamp: '2026-01-02T12:45:07.000Z',
  signingCertUrl: CERTIFICATE,
  unsubscribeUrl: UNSUBSCRIBE,
});

const snsRecord = (message, options) => ({
  EventVersion: '1.0',
  EventSubscriptionArn: `${TOPIC}:21be56ed-a058-49f5-8c98-aedd2564c486`,
  EventSource: 'aws:sns',
  Sns: snsEnvelope(message, options),
});

/** Records are numbered from 1: `sns-1`, `sns-2` and so on. */
export const snsEvent = (...messages) => ({
  Records: messages.map((message, index) => snsRecord(message, { number: index + 1 })),
});

export const sqsRecord = (body, { number = 1, fifo = false } = {}) => ({
  messageId: `sqs-${number}`,
  receiptHandle: 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a',
  body: textOf(body),
  attributes: {
    ApproximateReceiveCount: '1',
    SentTimestamp: '1545082649183',
    SenderId: 'AIDAIENQZJOLO23YVJ4VO',
    ApproximateFirstReceiveTimestamp: '1545082649185',
    ...(fifo && { SequenceNumber: '18849496460467696128', MessageGroupId: '1', MessageDeduplicationId: '1' }),
  },
  messageAttributes: {
    myAttribute: {
      stringValue: 'myValue',
      stringListValues: [],
      binaryListValues: [],
      dataType: 'String',
    },
  },
  md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
  eventSource: 'aws:sqs',
  eventSourceARN: `arn:aws:sqs:eu-central-1:123456789012:customers${fifo ? '.fifo' : ''}`,
  awsRegion: 'eu-central-1',
});

const sqsEventOf = (bodies, options) => ({
  Records: bodies.map((body, index) => sqsRecord(body, { number: index + 1, ...options })),
});

/** Records are numbered from 1: `sqs-1`, `sqs-2` and so on. */
export const sqsEvent = (...bodies) => sqsEventOf(bodies);

/** The same of a FIFO queue. */
export const fifoEvent = (...bodies) => sqsEventOf(bodies, { fifo: true });

/** What the queue is to deliver again. */
export const failures = (...numbers) => ({
  batchItemFailures: numbers.map((number) => ({ itemIdentifier: `sqs-${number}` })),
});

/** What Lambda leaves at the destination of a function that failed. */
export const accountOf = (event) => ({
  version: '1.0',
  timestamp: '2026-01-02T18:16:05.568Z',
  requestContext: {
    requestId: 'e4b46cbf-b738-4880-a18c-df61200e0000',
    functionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:identify:$LATEST',
    condition: 'RetriesExhausted',
    approximateInvokeCount: 3,
  },
  requestPayload: event,
  responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
  responsePayload: { errorType: 'AnalyticsError', errorMessage: 'Network timeout' },
});

/** What Lambda says of an invocation with so much time left. */
export const contextWith = (remaining) => ({
  awsRequestId: 'e4b46cbf-b738-4880-a18c-df61200e0000',
  functionName: 'identify',
  getRemainingTimeInMillis: () => remaining,
});

/** A logger with the methods of Powertools' that keeps what it is told. */
export function powertoolsLogger() {
  const lines = [];
  const line = (level) => (message, fields) => lines.push({ level, message, fields });
  const methods = ['trace', 'debug', 'info', 'warn', 'error', 'critical'];
  const logger = Object.fromEntries(methods.map((level) => [level, line(level)]));
  return { ...logger, lines, appendKeys: () => {}, createChild: () => logger };
}

/** Metrics with the methods of Powertools' that keep what was published. */
export function keepingMetrics() {
  const published = [];
  let added = {};
  return {
    published,
    addMetric: (name, unit, value) => Object.assign(added, { [name]: [unit, value] }),
    publishStoredMetrics: () => {
      published.push(added);
      added = {};
    },
  };
}

/** A function on a Segment of its own, with a logger; nothing is tried twice. */
export async function startHandler(
  t,
  { create = createHandler, environment = {}, segment: faulty, settings, ...options } = {},
) {
  useEnvironment(t, environment);
  const segment = await startSegment(t, faulty);
  const used = { host: segment.url, maxRetries: 0, ...settings };
  const logger = powertoolsLogger();
  const handler = create({ writeKey: KEY, settings: used, logger, ...options });
  // The function shares its client with whoever asks for the same one.
  t.after(() =>
    createSegmentClient(KEY, used)
      .closeAndFlush()
      .catch(() => {}),
  );
  return { segment, handler, logger };
}

/** The same for a queue. */
export const startSqsHandler = (t, options) => startHandler(t, { create: createSqsHandler, ...options });

/** The time of day, which only moves when it is told to. */
export function useClock(t) {
  mock.timers.enable({ apis: ['Date'], now: Date.now() });
  t.after(() => mock.timers.reset());
  return { pass: (milliseconds) => mock.timers.setTime(Date.now() + milliseconds) };
}
