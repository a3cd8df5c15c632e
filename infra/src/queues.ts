/** Queues, encrypted and for TLS only. */
import { Duration } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { EventSourceMapping, type IFunction } from 'aws-cdk-lib/aws-lambda';
import { Subscription, SubscriptionProtocol, type FilterOrPolicy, type ITopic } from 'aws-cdk-lib/aws-sns';
import { Queue, QueueEncryption, type DeadLetterQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct, IDependable } from 'constructs';

/** The longest that SQS keeps anything. */
const RETENTION = Duration.days(14);

export interface SegmentQueueOptions {
  readonly queueName: string;
  readonly key: IKey;
  readonly visibilityTimeout: Duration;
  readonly deadLetterQueue?: DeadLetterQueue;
}

export function createQueue(scope: Construct, id: string, options: SegmentQueueOptions): Queue {
  const { key, ...others } = options;
  return new Queue(scope, id, {
    ...others,
    encryption: QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
    retentionPeriod: RETENTION,
  });
}

export interface QueueSubscriptionOptions {
  readonly topic: ITopic;
  readonly queue: Queue;
  readonly deadLetterQueue: Queue;
  readonly filterPolicy?: Readonly<Record<string, FilterOrPolicy>>;
}

/**
 * `SqsSubscription` of the CDK would let the key refer to the topic, which refers to the key; the key's policy has its
 * statement already.
 */
export function subscribeQueue(scope: Construct, options: QueueSubscriptionOptions): Subscription {
  const { topic, queue, deadLetterQueue, filterPolicy } = options;
  const { policyDependable } = queue.addToResourcePolicy(
    new PolicyStatement({
      sid: 'TopicDelivers',
      principals: [new ServicePrincipal('sns.amazonaws.com')],
      actions: ['sqs:SendMessage'],
      resources: [queue.queueArn],
      conditions: { ArnEquals: { 'aws:SourceArn': topic.topicArn } },
    }),
  );
  const subscription = new Subscription(scope, 'QueueSubscription', {
    topic,
    protocol: SubscriptionProtocol.SQS,
    endpoint: queue.queueArn,
    rawMessageDelivery: true,
    deadLetterQueue,
    filterPolicyWithMessageBody: filterPolicy,
  });
  if (policyDependable !== undefined) subscription.node.addDependency(policyDependable);
  return subscription;
}

export interface QueueMappingOptions {
  readonly function: IFunction;
  readonly queue: Queue;
  readonly enabled: boolean;
  readonly batchSize?: number;
  readonly maxBatchingWindow?: Duration;
  readonly maxConcurrency?: number;
  /** What lets the function read, if it does not come with the function. */
  readonly permission?: IDependable;
}

/** Lets Lambda read a queue for a function. What a batch fails on stays, the rest of it does not come again. */
export function readQueue(scope: Construct, id: string, options: QueueMappingOptions): EventSourceMapping {
  const { function: target, queue, permission, ...others } = options;
  const mapping = new EventSourceMapping(scope, id, {
    target,
    eventSourceArn: queue.queueArn,
    reportBatchItemFailures: true,
    ...others,
  });
  if (permission !== undefined) mapping.node.addDependency(permission);
  return mapping;
}
