/** The topic that Commercetools publishes to, and the log of what SNS could not deliver. */
import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { ArnPrincipal, ManagedPolicy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { LoggingProtocol, Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

import type { Delivery } from './props.js';

export interface WebhookTopicOptions {
  readonly topicName: string;
  readonly key: IKey;
  readonly principalArn: string;
  readonly delivery: Delivery;
  readonly logRetention: RetentionDays;
}

export function createTopic(scope: Construct, options: WebhookTopicOptions): Topic {
  const topic = new Topic(scope, 'Topic', {
    topicName: options.topicName,
    masterKey: options.key,
    enforceSSL: true,
    signatureVersion: '2',
    loggingConfigs: [
      {
        protocol: options.delivery === 'lambda' ? LoggingProtocol.LAMBDA : LoggingProtocol.SQS,
        failureFeedbackRole: failureLog(scope, options),
      },
    ],
  });
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: 'CommercetoolsPublishes',
      principals: [new ArnPrincipal(options.principalArn)],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
    }),
  );
  return topic;
}

/** SNS chooses the name. Source: its documentation, "Message delivery status". */
export function failureLogName(scope: Construct, topicName: string): string {
  const { region, account } = Stack.of(scope);
  return `sns/${region}/${account}/${topicName}/Failure`;
}

/** Made here, not by SNS: so it is encrypted and does not grow for ever. It has no message in it. */
function failureLog(scope: Construct, { topicName, key, logRetention }: WebhookTopicOptions): Role {
  const log = new LogGroup(scope, 'DeliveryFailures', {
    logGroupName: failureLogName(scope, topicName),
    retention: logRetention,
    encryptionKey: key,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const policy = new ManagedPolicy(scope, 'DeliveryFailuresPolicy', {
    description: `How SNS logs what the topic ${topicName} could not deliver`,
    statements: [
      new PolicyStatement({
        sid: 'WriteLogs',
        actions: [
          'logs:CreateLogGroup',
          'logs:CreateLogStream',
          'logs:PutLogEvents',
          'logs:PutMetricFilter',
          'logs:PutRetentionPolicy',
        ],
        resources: [log.logGroupArn],
      }),
    ],
  });
  return new Role(scope, 'DeliveryFailuresRole', {
    description: `Of SNS, for the topic ${topicName}`,
    assumedBy: new ServicePrincipal('sns.amazonaws.com'),
    managedPolicies: [policy],
  });
}
