/** Alarms. Each says what to do first; docs/DEPLOY.md says the rest. */
import { Duration, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  Metric,
  Stats,
  TreatMissingData,
  type IAlarmAction,
  type IMetric,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Topic, type ITopic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

import { alarmSource } from './encryption.js';
import { METRICS_NAMESPACE, type Names } from './names.js';

/** What is watched. */
export interface Watched {
  readonly names: Names;
  readonly topic: ITopic;
  readonly function: IFunction;
  /** Unknown for a function that is given. */
  readonly timeout?: Duration;
  /** Whether the function writes this package's metrics. */
  readonly hasMetrics: boolean;
  /** Whether SNS invokes the function, and Lambda writes its dead letters. */
  readonly isAsynchronous: boolean;
  readonly queue?: IQueue;
  readonly deadLetterQueues: readonly DeadLetters[];
}

export interface DeadLetters {
  /** Part of the alarm's name, and of the title on the dashboard. */
  readonly name: 'undelivered' | 'failed' | 'dead-letters';
  readonly queue: IQueue;
}

interface AlarmOptions {
  readonly metric: IMetric;
  readonly threshold: number;
  /** Periods in a row that have to be over the threshold. @default 1 */
  readonly periods?: number;
  readonly description: string;
}

const PERIOD = Duration.minutes(5);
/** Part of the timeout, and age in the queue, that are too much. */
const SLOW = 0.8;
const OLD = Duration.minutes(15);

/** A topic that alarms of this environment may publish to. */
export function createAlarmTopic(scope: Construct, names: Names, key: IKey, email?: string): Topic {
  const topic = new Topic(scope, 'AlarmTopic', { topicName: names.alarms, masterKey: key, enforceSSL: true });
  // A policy takes the place of that which lets the whole account publish.
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: 'AlarmsPublish',
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: alarmSource(Stack.of(scope), names),
    }),
  );
  if (email !== undefined) topic.addSubscription(new EmailSubscription(email));
  return topic;
}

export function createAlarms(scope: Construct, watched: Watched, action: ITopic): Alarm[] {
  const snsAction = new SnsAction(action);
  return Object.entries(alarmsFor(watched)).map(([name, options]) =>
    createAlarm(scope, name, `${watched.names.service}-${name}`, options, snsAction),
  );
}

function createAlarm(
  scope: Construct,
  name: string,
  alarmName: string,
  { metric, threshold, periods = 1, description }: AlarmOptions,
  action: IAlarmAction,
): Alarm {
  const alarm = new Alarm(scope, `Alarm-${name}`, {
    alarmName,
    alarmDescription: `${description} See docs/DEPLOY.md, "Alarm: ${name}".`,
    metric,
    threshold,
    evaluationPeriods: periods,
    comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    treatMissingData: TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(action);
  alarm.addOkAction(action);
  return alarm;
}

/** A metric that the function writes; the dimension is that of Powertools. */
export function segmentMetric(metricName: string, { service }: Names): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { service },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}

function alarmsFor(watched: Watched): Record<string, AlarmOptions> {
  return {
    ...functionAlarms(watched),
    ...deliveryAlarms(watched),
    ...(watched.queue !== undefined && queueAlarms(watched.queue)),
    ...Object.fromEntries(
      watched.deadLetterQueues.map((letters) => [`${letters.name}-depth`, depthAlarm(letters)]),
    ),
    ...(watched.hasMetrics && segmentAlarms(watched.names)),
  };
}

function functionAlarms({ function: fn, timeout, isAsynchronous }: Watched): Record<string, AlarmOptions> {
  return {
    errors: {
      metric: fn.metricErrors({ statistic: Stats.SUM, period: PERIOD }),
      threshold: 1,
      description: 'The function failed. Look for the first line of level ERROR in its log.',
    },
    throttles: {
      metric: fn.metricThrottles({ statistic: Stats.SUM, period: PERIOD }),
      threshold: 1,
      periods: 3,
      description:
        'Lambda had no room for the function. Compare its concurrency with what is reserved for it.',
    },
    ...(timeout !== undefined && {
      duration: {
        metric: fn.metricDuration({ statistic: Stats.MAXIMUM, period: PERIOD }),
        threshold: timeout.toMilliseconds() * SLOW,
        periods: 2,
        description: 'Invocations come close to the timeout. Look whether Segment answers slowly.',
      },
    }),
    ...(isAsynchronous && {
      'dead-letter-errors': {
        metric: fn.metric('DeadLetterErrors', { statistic: Stats.SUM, period: PERIOD }),
        threshold: 1,
        description:
          'Lambda could not write a dead letter, and the notification is lost. Check role, queue and key.',
      },
    }),
  };
}

function deliveryAlarms({ topic }: Watched): Record<string, AlarmOptions> {
  return {
    'delivery-failures': {
      metric: topic.metricNumberOfNotificationsFailed({ statistic: Stats.SUM, period: PERIOD }),
      threshold: 1,
      description: 'SNS could not hand over notifications. Read the reason in the log of delivery failures.',
    },
    'redrive-failures': {
      metric: topic.metric('NumberOfNotificationsFailedToRedriveToDlq', {
        statistic: Stats.SUM,
        period: PERIOD,
      }),
      threshold: 1,
      description:
        'SNS could not write a dead letter, and the notification is lost. Check queue policy and key policy.',
    },
  };
}

function queueAlarms(queue: IQueue): Record<string, AlarmOptions> {
  return {
    'queue-age': {
      metric: queue.metricApproximateAgeOfOldestMessage({ statistic: Stats.MAXIMUM, period: PERIOD }),
      threshold: OLD.toSeconds(),
      description:
        'Notifications wait too long in the queue. Look whether the function fails or is throttled.',
    },
  };
}

function depthAlarm({ name, queue }: DeadLetters): AlarmOptions {
  return {
    metric: queue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, period: PERIOD }),
    threshold: 1,
    description: `There are dead letters (${name}). Find and remove the cause first, then redrive them.`,
  };
}

function segmentAlarms(names: Names): Record<string, AlarmOptions> {
  return {
    'identify-failed': {
      metric: segmentMetric('IdentifyFailed', names),
      threshold: 1,
      description:
        'Customers did not reach Segment. Look for the code of the error in the log of the function.',
    },
    'records-invalid': {
      metric: segmentMetric('RecordsInvalid', names),
      threshold: 1,
      description:
        'Records were no notifications of Commercetools. Find out who else publishes to the topic.',
    },
  };
}
