/** What a function on Lambda is made of, beside the types of AWS and of Powertools. Compiled, never run. */
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import type { Analytics } from '@companion/segment';
import {
  createHandler,
  createSqsHandler,
  unwrapRecord,
  withSegment,
  type AwsMessage,
  type HandlerOptions,
  type LambdaClient,
  type LambdaContext,
  type MetricsLike,
  type RecordsReport,
  type SnsEvent,
  type SnsHandler,
  type SqsBatchResponse,
  type SqsEvent,
  type SqsHandler,
  type SqsHandlerOptions,
  type WithSegmentOptions,
  type WriteKeySource,
} from '@companion/segment/aws';
import type { SegmentService } from '@companion/segment/nestjs';
import type {
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2,
  Context,
  Handler,
  SNSEvent,
  SQSBatchResponse,
  SQSEvent,
  SQSHandler,
} from 'aws-lambda';

declare const context: Context;
declare const snsEvent: SNSEvent;
declare const sqsEvent: SQSEvent;
declare const service: SegmentService;
declare const analytics: Analytics;

// What is exported fits what AWS calls a handler.
export const onNotification: Handler<SNSEvent, RecordsReport> = createHandler();
export const onBatch: SQSHandler = createSqsHandler();
export const onQueue: Handler<SQSEvent, SQSBatchResponse> = createSqsHandler();
// @ts-expect-error an event of SNS is none of SQS
const swapped: Handler<SNSEvent, SQSBatchResponse> = createSqsHandler();
// @ts-expect-error an event of SQS is none of SNS
const swappedToo: SQSHandler = createHandler();

// What AWS hands over fits what is asked for.
const ownSnsEvent: SnsEvent = snsEvent;
const ownSqsEvent: SqsEvent = sqsEvent;
const ownContext: LambdaContext = context;
const snsHandler: SnsHandler = createHandler();
const sqsHandler: SqsHandler = createSqsHandler();
const report: Promise<RecordsReport> = snsHandler(snsEvent, context);
const response: Promise<SqsBatchResponse> = sqsHandler(sqsEvent, context);
const awsResponse: Promise<SQSBatchResponse> = sqsHandler(sqsEvent);
// @ts-expect-error there is no event
void snsHandler();
// @ts-expect-error an event of SQS is none of SNS
void snsHandler(sqsEvent);
// @ts-expect-error an event of SNS is none of SQS
void sqsHandler(snsEvent);
void report.then(
  ({ identified, ignored, invalid, failed }): number => identified + ignored + invalid + failed,
);

// Powertools fit.
const logger = new Logger({ serviceName: 'identify' });
const metrics = new Metrics({ namespace: 'shop' });
const ownMetrics: MetricsLike = metrics;
const full: Required<SqsHandlerOptions> = {
  logger,
  metrics,
  writeKey: async () => 'key',
  settings: { host: 'https://segment.example', maxRetries: 3, spool: undefined },
  reserve: 500,
  maxIdle: 4_000,
  poison: 'dead-letter',
  client: service,
  userId: ({ customerNumber }) => customerNumber,
  mapTraits: ({ email }, { id }) => ({ email, id }),
  resolveCustomer: async (id, { about }) => (about.projectKey === 'shop' ? { id } : null),
};
export const made = [
  createHandler(full),
  createSqsHandler(full),
  createHandler({ logger: console, client: analytics, userId: 'customerId' }),
  createHandler({ writeKey: 'key', metrics: undefined, logger: undefined, maxIdle: undefined }),
];
const sources: WriteKeySource[] = ['key', () => 'key', async () => 'key'];

const wrong: HandlerOptions[] = [
  // @ts-expect-error a key is text
  { writeKey: 5 },
  // @ts-expect-error and so is what a function finds
  { writeKey: () => undefined },
  // @ts-expect-error the key has an option of its own
  { settings: { writeKey: 'key' } },
  // @ts-expect-error milliseconds are a number
  { reserve: '500' },
  // @ts-expect-error milliseconds are a number
  { maxIdle: null },
  // @ts-expect-error metrics have methods
  { metrics: {} },
  // @ts-expect-error a logger has levels
  { logger: { info: () => {} } },
  // @ts-expect-error there is no such field
  { userId: 'phone' },
  // @ts-expect-error there is no such option
  { topic: 'arn' },
  // @ts-expect-error only a queue has poison records
  { poison: 'acknowledge' },
];
// @ts-expect-error there are two ways
void createSqsHandler({ poison: 'drop' });

// Any function can be wrapped, and stays what it is.
const answer = async (event: APIGatewayProxyEventV2, { awsRequestId }: Context) => {
  analytics.track({ userId: event.rawPath, event: awsRequestId });
  return { statusCode: 204 };
};
export const onRequest: Handler<APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2> = withSegment(
  answer,
  {
    client: service,
    logger,
    reserve: 500,
    maxIdle: 0,
  },
);
export const onSchedule: Handler<unknown, void> = withSegment(() => {}, { client: [analytics, service] });
const wrappedNotification: Handler<SNSEvent, RecordsReport> = withSegment(createHandler(), {
  client: analytics,
});
const clients: LambdaClient[] = [analytics, service, { client: analytics }];

// @ts-expect-error Node.js 24 on Lambda calls no callback
withSegment((_event: unknown, _context: Context, _callback: () => void) => {}, { client: analytics });
// @ts-expect-error there is no client
withSegment(answer, {});
// @ts-expect-error there are no options
withSegment(answer);
// @ts-expect-error it is no Analytics
withSegment(answer, { client: { flush: () => {} } });
// @ts-expect-error there is no such option
const wrongWrapping: WithSegmentOptions = { client: analytics, timeout: 500 };
// @ts-expect-error the event is that of the handler
void onRequestLike(snsEvent, context);
declare const onRequestLike: (
  ...parameters: Parameters<ReturnType<typeof withSegment<APIGatewayProxyEventV2, Context, void>>>
) => Promise<void>;

// Whatever it is, it may be a record.
for (const record of [
  snsEvent.Records[0],
  sqsEvent.Records[0],
  snsEvent,
  '',
  5,
  null,
  undefined,
  Symbol('x'),
]) {
  const messages: AwsMessage[] = unwrapRecord(record);
  for (const { message, messageId, topicArn, subject, timestamp } of messages) {
    const known: string = message;
    const unknown: (string | undefined)[] = [messageId, topicArn, subject, timestamp];
    void [known, unknown];
  }
}

void [swapped, swappedToo, ownSnsEvent, ownSqsEvent, ownContext, response, awsResponse, ownMetrics];
void [sources, wrong, wrappedNotification, clients, wrongWrapping];
