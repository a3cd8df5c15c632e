/** A function with a role, a policy and a log group of its own. */
import { RemovalPolicy } from 'aws-cdk-lib';
import { Port, Peer, SecurityGroup, SubnetType, type ISecurityGroup, type IVpc } from 'aws-cdk-lib/aws-ec2';
import { ManagedPolicy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Function as LambdaFunction, type Code } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

import { acknowledge, acknowledgeFunction } from './acknowledge.js';
import { segmentCode } from './code.js';
import { entryPath, type Entry } from './entries.js';
import { METRICS_NAMESPACE } from './names.js';
import type { CommercetoolsSegmentProps, FunctionSettings } from './props.js';
import type { BoundWriteKey } from './write-key.js';

export interface SegmentFunctionOptions {
  readonly entry: Entry;
  readonly functionName: string;
  readonly description: string;
  /** `service` of log lines and metrics. */
  readonly service: string;
  readonly settings: FunctionSettings;
  readonly writeKey: BoundWriteKey;
  readonly key: IKey;
  readonly reservedConcurrency: number | 'unreserved';
  readonly securityGroups?: ISecurityGroup[];
  /** Queues that it reads. */
  readonly reads: readonly IQueue[];
  /** Where Lambda puts what it gave up on, when it is invoked asynchronously. */
  readonly deadLetterQueue?: IQueue;
  readonly asynchronous?: Pick<CommercetoolsSegmentProps, 'retryAttempts' | 'maxEventAge'>;
  readonly poisonRecords?: 'acknowledge' | 'dead-letter';
}

export class SegmentFunction extends Construct {
  readonly function: LambdaFunction;

  constructor(scope: Construct, id: string, options: SegmentFunctionOptions) {
    super(scope, id);
    const { settings, key, deadLetterQueue, writeKey, reservedConcurrency, functionName } = options;
    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: logGroupNameOf(functionName),
      retention: settings.logRetention,
      encryptionKey: key,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.function = new LambdaFunction(this, 'Function', {
      functionName,
      description: options.description,
      code: codeOf(options),
      handler: 'index.handler',
      runtime: settings.runtime,
      architecture: settings.architecture,
      memorySize: settings.memorySize,
      timeout: settings.timeout,
      environment: environmentOf(options),
      // What is no secret is encrypted with the key of AWS.
      ...(writeKey.isInTemplate && { environmentEncryption: key }),
      ...(reservedConcurrency !== 'unreserved' && { reservedConcurrentExecutions: reservedConcurrency }),
      role: this.#role(options, logGroup),
      logGroup,
      ...(deadLetterQueue !== undefined && { deadLetterQueue, ...options.asynchronous }),
      ...networkOf(options),
    });
    acknowledgeFunction(this, {
      runtime: settings.runtime,
      isInVpc: settings.vpc !== undefined,
      hasReservedConcurrency: reservedConcurrency !== 'unreserved',
      readsQueue: options.reads.length > 0,
    });
  }

  /** Everything that the function may do is in one policy: nothing else adds to it. */
  #role(options: SegmentFunctionOptions, logGroup: ILogGroup) {
    const policy = new ManagedPolicy(this, 'Policy', {
      description: `What the function ${options.functionName} may do`,
      statements: statementsOf(options, logGroup),
    });
    if (options.settings.vpc !== undefined) {
      acknowledge(policy, {
        'AwsSolutions-IAM5[Resource::*]': 'Network interfaces of Lambda have no ARN before they exist.',
      });
    }
    const role = new Role(this, 'Role', {
      description: `Of the function ${options.functionName}`,
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      managedPolicies: [policy],
    });
    return role.withoutPolicyUpdates();
  }
}

function codeOf({ entry, settings: { entries, architecture, addon } }: SegmentFunctionOptions): Code {
  // Other names are refused with the options.
  const name = architecture.name === 'arm64' ? 'arm64' : 'x86_64';
  return segmentCode(entries?.[entry] ?? entryPath(entry), name, addon);
}

export function logGroupNameOf(functionName: string): string {
  return `/aws/lambda/${functionName}`;
}

/** Lets HTTPS out and nothing in. */
export function createSecurityGroup(scope: Construct, vpc: IVpc): SecurityGroup {
  const group = new SecurityGroup(scope, 'SecurityGroup', {
    vpc,
    description: 'Functions that send customers of Commercetools to Segment',
    allowAllOutbound: false,
  });
  group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'Segment and endpoints of AWS');
  return group;
}

function environmentOf({
  settings,
  writeKey,
  service,
  poisonRecords,
}: SegmentFunctionOptions): Record<string, string> {
  return {
    ...writeKey.environment,
    SEGMENT_USER_ID: settings.userId,
    ...(settings.segmentHost !== undefined && { SEGMENT_HOST: settings.segmentHost }),
    ...(settings.segmentRegion !== undefined && { SEGMENT_REGION: settings.segmentRegion }),
    ...(poisonRecords !== undefined && { SEGMENT_POISON_RECORDS: poisonRecords }),
    POWERTOOLS_SERVICE_NAME: service,
    POWERTOOLS_METRICS_NAMESPACE: METRICS_NAMESPACE,
  };
}

function networkOf({ settings, securityGroups }: SegmentFunctionOptions) {
  if (settings.vpc === undefined) return {};
  const vpcSubnets = settings.vpcSubnets ?? { subnetType: SubnetType.PRIVATE_WITH_EGRESS };
  return { vpc: settings.vpc, vpcSubnets, securityGroups };
}

function statementsOf(options: SegmentFunctionOptions, logGroup: ILogGroup): PolicyStatement[] {
  const { key, reads, deadLetterQueue, writeKey, settings } = options;
  const statements = [
    new PolicyStatement({
      sid: 'WriteLogs',
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    }),
    ...writeKey.statements,
  ];
  if (reads.length > 0) statements.push(...readQueues(reads));
  if (deadLetterQueue !== undefined) {
    statements.push(
      new PolicyStatement({
        sid: 'WriteDeadLetters',
        actions: ['sqs:SendMessage'],
        resources: [deadLetterQueue.queueArn],
      }),
    );
  }
  const keyActions = [
    ...(reads.length > 0 || deadLetterQueue !== undefined || writeKey.isInTemplate ? ['kms:Decrypt'] : []),
    ...(deadLetterQueue !== undefined ? ['kms:GenerateDataKey'] : []),
  ];
  if (keyActions.length > 0) {
    statements.push(new PolicyStatement({ sid: 'UseKey', actions: keyActions, resources: [key.keyArn] }));
  }
  if (settings.vpc !== undefined) statements.push(networkInterfaces());
  return statements;
}

/** What Lambda needs to read queues for a function. */
export function readQueues(queues: readonly IQueue[]): PolicyStatement[] {
  return [
    new PolicyStatement({
      sid: 'ReadQueues',
      actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
      resources: queues.map(({ queueArn }) => queueArn),
    }),
  ];
}

/** As in AWSLambdaVPCAccessExecutionRole, without its permission to write all logs. */
function networkInterfaces(): PolicyStatement {
  return new PolicyStatement({
    sid: 'UseVpc',
    actions: [
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
    ],
    resources: ['*'],
  });
}
