/**
 * Customers of Commercetools to Segment: a topic that Commercetools publishes to, a function that identifies them, dead
 * letters for what goes wrong on the way, alarms that tell of it.
 */
import { Annotations } from 'aws-cdk-lib';
import type { Alarm, Dashboard } from 'aws-cdk-lib/aws-cloudwatch';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { EventSourceMapping, IFunction } from 'aws-cdk-lib/aws-lambda';
import type { ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { LambdaSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.js';
import { createAlarms, createAlarmTopic, type DeadLetters, type Watched } from './alarms.js';
import { createDashboard } from './dashboard.js';
import { allowUse, createKey } from './encryption.js';
import { createSecurityGroup, logGroupNameOf, SegmentFunction } from './function.js';
import { givenFunction, letRead } from './given-function.js';
import { namesFor, type Names } from './names.js';
import {
  checkProps,
  COMMERCETOOLS_PRINCIPAL,
  functionSettings,
  queueSettings,
  type CommercetoolsSegmentProps,
} from './props.js';
import { createQueue, readQueue, subscribeQueue, type QueueMappingOptions } from './queues.js';
import { createTopic, failureLogName } from './topic.js';
import { WriteKey, type BoundWriteKey } from './write-key.js';

/** Functions at a time that redrive: the fewest that Lambda can be held to. */
const REDRIVE_CONCURRENCY = 2;

export class CommercetoolsSegment extends Construct {
  readonly key: IKey;
  readonly topic: Topic;
  /** The one that identifies: its own, or the one that was given. */
  readonly function: IFunction;
  /** Of the delivery `sqs`. */
  readonly queue: Queue | undefined;
  /** What SNS could not hand over. */
  readonly undelivered: Queue;
  /** What the function failed on: of the delivery `lambda`, if the function is its own. */
  readonly failed: Queue | undefined;
  /** What was tried too often: of the delivery `sqs`. */
  readonly deadLetters: Queue | undefined;
  /** Switched off. An operator switches one on to send its dead letters through the function again. */
  readonly redriveMappings: Readonly<Record<string, EventSourceMapping>>;
  readonly alarms: readonly Alarm[];
  readonly alarmTopic: ITopic | undefined;
  readonly dashboard: Dashboard | undefined;

  readonly #props: CommercetoolsSegmentProps;
  readonly #names: Names;

  /** @throws Error an option is wrong, or there is no addon for the architecture; one line says which */
  constructor(scope: Construct, id: string, props: CommercetoolsSegmentProps) {
    super(scope, id);
    checkProps(props);
    this.#props = props;
    this.#names = namesFor(props.environment);
    this.key = this.#key();
    this.topic = createTopic(this, {
      topicName: this.#names.topic,
      key: this.key,
      principalArn: this.#principal,
      delivery: this.#delivery,
      logRetention: functionSettings(props).logRetention,
    });
    this.undelivered = this.#deadLetterQueue('Undelivered', this.#names.undelivered);
    acknowledge(this.undelivered, {
      'AwsSolutions-SQS3':
        'It is the dead-letter queue of the subscription, which the rule does not look at.',
    });
    const way = this.#delivery === 'lambda' ? this.#invoke() : this.#enqueue();
    this.function = way.function;
    this.queue = way.queue;
    this.failed = way.failed;
    this.deadLetters = way.deadLetters;
    this.redriveMappings = way.redriveMappings;
    const watched = this.#watched();
    this.alarmTopic = this.#alarmTopic();
    this.alarms = this.alarmTopic === undefined ? [] : createAlarms(this, watched, this.alarmTopic);
    this.dashboard = props.dashboard === false ? undefined : createDashboard(this, watched, [...this.alarms]);
  }

  get #delivery() {
    return this.#props.delivery ?? 'lambda';
  }

  get #principal() {
    return this.#props.commercetoolsPrincipalArn ?? COMMERCETOOLS_PRINCIPAL;
  }

  #key(): IKey {
    const { encryptionKey, environment, alarms, alarmTopic } = this.#props;
    const key = encryptionKey ?? createKey(this, environment);
    allowUse(this, key, {
      names: this.#names,
      principalArn: this.#principal,
      logGroupNames: [
        failureLogName(this, this.#names.topic),
        logGroupNameOf(this.#names.service),
        logGroupNameOf(this.#names.redrive),
      ],
      alarms: alarms !== false && alarmTopic === undefined,
    });
    return key;
  }

  #deadLetterQueue(id: string, queueName: string): Queue {
    const { visibilityTimeout } = queueSettings(this.#props);
    return createQueue(this, id, { queueName, key: this.key, visibilityTimeout });
  }

  /** SNS invokes the function. */
  #invoke(): Way {
    const { lambdaFunction, filterPolicy } = this.#props;
    const subscribe = (fn: IFunction) =>
      this.topic.addSubscription(
        new LambdaSubscription(fn, {
          deadLetterQueue: this.undelivered,
          filterPolicyWithMessageBody: filterPolicy,
        }),
      );
    if (lambdaFunction !== undefined) {
      const fn = givenFunction(this, lambdaFunction);
      subscribe(fn);
      return { function: fn, redriveMappings: {} };
    }
    const failed = this.#deadLetterQueue('Failed', this.#names.failed);
    const shared = this.#sharedByFunctions();
    const { function: fn } = new SegmentFunction(this, 'Identify', {
      ...shared,
      entry: 'sns',
      functionName: this.#names.service,
      description: `Identifies customers of Commercetools in Segment, ${this.#props.environment}`,
      reservedConcurrency: shared.settings.reservedConcurrency,
      reads: [],
      deadLetterQueue: failed,
      asynchronous: { retryAttempts: this.#props.retryAttempts, maxEventAge: this.#props.maxEventAge },
    });
    subscribe(fn);
    const redrive = new SegmentFunction(this, 'Redrive', {
      ...shared,
      entry: 'sqs',
      functionName: this.#names.redrive,
      description: `Sends dead letters to Segment when it is switched on, ${this.#props.environment}`,
      reservedConcurrency: REDRIVE_CONCURRENCY,
      reads: [this.undelivered, failed],
    });
    const redriveMappings = {
      undelivered: this.#redrive('RedriveUndelivered', redrive, this.undelivered),
      failed: this.#redrive('RedriveFailed', redrive, failed),
    };
    return { function: fn, failed, redriveMappings };
  }

  /** SNS fills a queue that Lambda reads. */
  #enqueue(): Way {
    const { lambdaFunction, filterPolicy } = this.#props;
    const { maxReceiveCount, visibilityTimeout, poisonRecords, ...batching } = queueSettings(this.#props);
    const deadLetters = this.#deadLetterQueue('DeadLetters', this.#names.deadLetters);
    const queue = createQueue(this, 'Queue', {
      queueName: this.#names.queue,
      key: this.key,
      visibilityTimeout,
      deadLetterQueue: { queue: deadLetters, maxReceiveCount },
    });
    subscribeQueue(this, { topic: this.topic, queue, deadLetterQueue: this.undelivered, filterPolicy });
    const reads = [queue, this.undelivered];
    const reader =
      lambdaFunction === undefined
        ? { function: this.#queueFunction(reads, poisonRecords) }
        : {
            function: givenFunction(this, lambdaFunction),
            permission: letRead(this, lambdaFunction, reads, this.key),
          };
    readQueue(this, 'QueueMapping', { ...batching, ...reader, queue, enabled: true });
    const redriveMappings = { undelivered: this.#redrive('RedriveUndelivered', reader, this.undelivered) };
    return { function: reader.function, queue, deadLetters, redriveMappings };
  }

  #queueFunction(reads: Queue[], poisonRecords: 'acknowledge' | 'dead-letter'): IFunction {
    const shared = this.#sharedByFunctions();
    return new SegmentFunction(this, 'Identify', {
      ...shared,
      entry: 'sqs',
      functionName: this.#names.service,
      description: `Identifies customers of Commercetools in Segment, ${this.#props.environment}`,
      reservedConcurrency: shared.settings.reservedConcurrency,
      reads,
      poisonRecords,
    }).function;
  }

  #redrive(id: string, reader: Pick<QueueMappingOptions, 'function' | 'permission'>, queue: Queue) {
    return readQueue(this, id, { ...reader, queue, enabled: false, maxConcurrency: REDRIVE_CONCURRENCY });
  }

  /** Called once: the write key may be a construct, the security group is one. */
  #sharedByFunctions() {
    const settings = functionSettings(this.#props);
    const { vpc } = settings;
    const securityGroups = vpc && (settings.securityGroups ?? [createSecurityGroup(this, vpc)]);
    return {
      service: this.#names.service,
      settings,
      writeKey: this.#writeKey(),
      key: this.key,
      securityGroups,
    };
  }

  #writeKey(): BoundWriteKey {
    const { environment, writeKey = WriteKey.secret(`segment/${environment}/write-key`) } = this.#props;
    const bound = writeKey.bind(this);
    if (bound.isInTemplate) {
      Annotations.of(this).addWarningV2(
        'commercetools-segment:write-key-in-template',
        "The write key stands in the template and in the function's configuration. WriteKey.secret keeps it out.",
      );
    }
    return bound;
  }

  #watched(): Watched {
    const { lambdaFunction } = this.#props;
    const letters: [DeadLetters['name'], Queue | undefined][] = [
      ['undelivered', this.undelivered],
      ['failed', this.failed],
      ['dead-letters', this.deadLetters],
    ];
    return {
      names: this.#names,
      topic: this.topic,
      function: this.function,
      timeout: lambdaFunction === undefined ? functionSettings(this.#props).timeout : undefined,
      hasMetrics: lambdaFunction === undefined,
      isAsynchronous: this.failed !== undefined,
      queue: this.queue,
      deadLetterQueues: letters.flatMap(([name, queue]) => (queue === undefined ? [] : [{ name, queue }])),
    };
  }

  #alarmTopic(): ITopic | undefined {
    const { alarms, alarmTopic, alarmEmail } = this.#props;
    if (alarms === false) return undefined;
    return alarmTopic ?? createAlarmTopic(this, this.#names, this.key, alarmEmail);
  }
}

/** What a delivery is made of. */
interface Way {
  readonly function: IFunction;
  readonly queue?: Queue;
  readonly failed?: Queue;
  readonly deadLetters?: Queue;
  readonly redriveMappings: Readonly<Record<string, EventSourceMapping>>;
}
