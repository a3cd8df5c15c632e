/** The key that encrypts everything on its way, and who may use it. */
import { Annotations, ArnFormat, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { ArnPrincipal, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key, type IKey } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

import type { Names } from './names.js';

/** A key of its own. It stays when the stack goes: without it nobody can read what is still encrypted with it. */
export function createKey(scope: Construct, environment: string): Key {
  return new Key(scope, 'Key', {
    description: `Commercetools notifications on their way to Segment, ${environment}`,
    enableKeyRotation: true,
    removalPolicy: RemovalPolicy.RETAIN,
  });
}

export interface KeyUse {
  readonly names: Names;
  readonly principalArn: string;
  readonly logGroupNames: readonly string[];
  readonly alarms: boolean;
}

/** Extends the key's policy. An imported key has a policy that can't be extended; a warning tells of it. */
export function allowUse(scope: Construct, key: IKey, use: KeyUse): void {
  const extended = statementsFor(scope, use).map(
    (statement) => key.addToResourcePolicy(statement).statementAdded,
  );
  if (extended.includes(false)) {
    Annotations.of(scope).addWarningV2(
      'commercetools-segment:key-policy',
      'The policy of the given encryptionKey can not be extended here. Add the statements of docs/DEPLOY.md, "Encryption".',
    );
  }
}

/**
 * Resources are named by their ARN, not referred to: they refer to the key. Sources: the documentation of SNS ("Key
 * management"), of CloudWatch Logs ("Encrypt log data") and of CloudWatch ("Notifying users on alarm changes").
 */
function statementsFor(
  scope: Construct,
  { names, principalArn, logGroupNames, alarms }: KeyUse,
): PolicyStatement[] {
  const stack = Stack.of(scope);
  const topicArn = stack.formatArn({ service: 'sns', resource: names.topic });
  const statements = [
    new PolicyStatement({
      sid: 'CommercetoolsPublishes',
      principals: [new ArnPrincipal(principalArn)],
      actions: ['kms:GenerateDataKey*', 'kms:Decrypt'],
      resources: ['*'],
      conditions: { StringEquals: { 'kms:EncryptionContext:aws:sns:topicArn': topicArn } },
    }),
    new PolicyStatement({
      sid: 'TopicDeliversToQueues',
      principals: [new ServicePrincipal('sns.amazonaws.com')],
      actions: ['kms:GenerateDataKey*', 'kms:Decrypt'],
      resources: ['*'],
      conditions: { ArnEquals: { 'aws:SourceArn': topicArn } },
    }),
    new PolicyStatement({
      sid: 'LogsAreEncrypted',
      principals: [new ServicePrincipal(`logs.${stack.region}.amazonaws.com`)],
      actions: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
      resources: ['*'],
      conditions: { ArnEquals: { 'kms:EncryptionContext:aws:logs:arn': logGroupArns(stack, logGroupNames) } },
    }),
  ];
  if (alarms) statements.push(alarmsPublish(stack, names));
  return statements;
}

function alarmsPublish(stack: Stack, names: Names): PolicyStatement {
  return new PolicyStatement({
    sid: 'AlarmsPublish',
    principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
    actions: ['kms:GenerateDataKey*', 'kms:Decrypt'],
    resources: ['*'],
    conditions: alarmSource(stack, names),
  });
}

/** Only the alarms of this environment. */
export function alarmSource(stack: Stack, names: Names): Record<string, Record<string, string>> {
  const alarms = {
    service: 'cloudwatch',
    resource: 'alarm',
    resourceName: `${names.service}-*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  };
  return {
    StringEquals: { 'aws:SourceAccount': stack.account },
    ArnLike: { 'aws:SourceArn': stack.formatArn(alarms) },
  };
}

function logGroupArns(stack: Stack, names: readonly string[]): string[] {
  return names.map((name) =>
    stack.formatArn({
      service: 'logs',
      resource: 'log-group',
      resourceName: name,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    }),
  );
}
