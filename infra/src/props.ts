/** Options of the construct, their defaults, and what is wrong with them. */
import { Duration, Token } from 'aws-cdk-lib';
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Architecture, Runtime, type IFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { FilterOrPolicy, ITopic } from 'aws-cdk-lib/aws-sns';

import { ENVIRONMENT } from './names.js';
import type { WriteKey } from './write-key.js';

/** The IAM user that Commercetools publishes with. Source: its documentation of subscriptions to SNS. */
export const COMMERCETOOLS_PRINCIPAL = 'arn:aws:iam::362576667341:user/subscriptions';

/** How the notification comes from the topic to the function. */
export type Delivery = 'lambda' | 'sqs';

/** Options of the function, which are no options when there is one already. */
export interface SegmentFunctionProps {
  /** @default the secret named `segment/{environment}/write-key` */
  readonly writeKey?: WriteKey;
  /** Node.js 20, 22 or 24. @default Runtime.NODEJS_22_X */
  readonly runtime?: Runtime;
  /**
   * The default is what this package's own tests run on. `ARM_64` costs less per second.
   *
   * @default Architecture.X86_64
   */
  readonly architecture?: Architecture;
  /**
   * Paths of modules that export a `handler` of `createHandler` (`sns`) or `createSqsHandler` (`sqs`) with options of
   * your own. The delivery `lambda` needs both: `sqs` redrives.
   *
   * @default those that come with the construct
   */
  readonly entries?: { readonly sns?: string; readonly sqs?: string };
  /** Path of the addon for that architecture. @default the installed one, or that of the checkout */
  readonly addon?: string;
  /** In MiB. @default 256 */
  readonly memorySize?: number;
  /** Of one invocation; `identify` gives up after 12 s. @default 30 s */
  readonly timeout?: Duration;
  /** Copies of the function at a time, taken from those of the account; `'unreserved'`: no bound. @default 10 */
  readonly reservedConcurrency?: number | 'unreserved';
  /** Puts the function into private subnets, which need a way out to Segment. @default no VPC */
  readonly vpc?: IVpc;
  /** @default the private subnets with a way out */
  readonly vpcSubnets?: SubnetSelection;
  /** @default one of its own, which lets HTTPS out and nothing in */
  readonly securityGroups?: ISecurityGroup[];
  /** @default RetentionDays.THREE_MONTHS */
  readonly logRetention?: RetentionDays;
  /** What becomes the `userId`. @default 'email' */
  readonly userId?: 'email' | 'customerId' | 'customerNumber' | 'externalId';
  /** Where to send instead of Segment. */
  readonly segmentHost?: string;
  /** Segment's region; the wrong one loses events in silence. @default 'us' */
  readonly segmentRegion?: 'us' | 'eu';
}

/** Options of the queue, for the delivery `sqs`. */
export interface SegmentQueueProps {
  /** How often a notification is tried. @default 5 */
  readonly maxReceiveCount?: number;
  /** At least six times the function's timeout. @default six times the timeout and the window */
  readonly visibilityTimeout?: Duration;
  /** Notifications per invocation. @default 10 */
  readonly batchSize?: number;
  /** How long a batch may wait to be full. @default 0 s */
  readonly maxBatchingWindow?: Duration;
  /** Invocations at a time, 2 to 1000. @default the reserved concurrency, if that is 2 or more */
  readonly maxConcurrency?: number;
  /** What becomes of a record that is no notification: it is logged, or kept as a dead letter. @default 'acknowledge' */
  readonly poisonRecords?: 'acknowledge' | 'dead-letter';
}

export interface CommercetoolsSegmentProps extends SegmentFunctionProps, SegmentQueueProps {
  /** Part of all names: 1 to 30 letters, digits and `-`. */
  readonly environment: string;
  /** @default 'lambda' */
  readonly delivery?: Delivery;
  /**
   * A function that there is already, in this stack or another one: it is subscribed instead of one of its own, and its
   * stack is deployed first. It needs a handler for the delivery; with `sqs` its role must be known.
   */
  readonly lambdaFunction?: IFunction;
  /** Who may publish. @default the user of Commercetools */
  readonly commercetoolsPrincipalArn?: string;
  /** Encrypts topic, queues, dead letters and logs. Its policy is extended. @default one of its own, with rotation */
  readonly encryptionKey?: IKey;
  /** Lets only some notifications through, by fields of the message's body. @default all */
  readonly filterPolicy?: Readonly<Record<string, FilterOrPolicy>>;
  /** Times that Lambda tries again after the first time, 0 to 2; for the delivery `lambda`. @default 2 */
  readonly retryAttempts?: number;
  /** How long Lambda keeps a notification that it can't run the function for, up to 6 h. @default 6 h */
  readonly maxEventAge?: Duration;
  /** @default true */
  readonly alarms?: boolean;
  /** Where alarms go. @default a topic of its own */
  readonly alarmTopic?: ITopic;
  /** Subscribed to the construct's own topic of alarms; the address has to confirm. */
  readonly alarmEmail?: string;
  /** @default true */
  readonly dashboard?: boolean;
}

export type FunctionSettings = SegmentFunctionProps &
  Required<
    Pick<
      SegmentFunctionProps,
      | 'runtime'
      | 'architecture'
      | 'memorySize'
      | 'timeout'
      | 'reservedConcurrency'
      | 'logRetention'
      | 'userId'
    >
  >;

export type QueueSettings = Required<Omit<SegmentQueueProps, 'maxConcurrency'>> &
  Pick<SegmentQueueProps, 'maxConcurrency'>;

const RUNTIMES = [Runtime.NODEJS_20_X, Runtime.NODEJS_22_X, Runtime.NODEJS_24_X].map(({ name }) => name);
const MIN_VISIBILITY_FACTOR = 6;
/** Without a batching window SQS gives no more at a time. */
const MAX_BATCH_WITHOUT_WINDOW = 10;

const FUNCTION_PROPS: readonly (keyof CommercetoolsSegmentProps)[] = [
  'writeKey',
  'runtime',
  'architecture',
  'entries',
  'addon',
  'memorySize',
  'timeout',
  'reservedConcurrency',
  'vpc',
  'vpcSubnets',
  'securityGroups',
  'userId',
  'segmentHost',
  'segmentRegion',
  'poisonRecords',
];
const QUEUE_PROPS: readonly (keyof CommercetoolsSegmentProps)[] = [
  'maxReceiveCount',
  'visibilityTimeout',
  'batchSize',
  'maxBatchingWindow',
  'maxConcurrency',
  'poisonRecords',
];
const ASYNCHRONOUS_PROPS: readonly (keyof CommercetoolsSegmentProps)[] = ['retryAttempts', 'maxEventAge'];

export function functionSettings(props: SegmentFunctionProps): FunctionSettings {
  return {
    ...props,
    runtime: props.runtime ?? Runtime.NODEJS_22_X,
    architecture: props.architecture ?? Architecture.X86_64,
    memorySize: props.memorySize ?? 256,
    timeout: props.timeout ?? Duration.seconds(30),
    reservedConcurrency: props.reservedConcurrency ?? 10,
    logRetention: props.logRetention ?? RetentionDays.THREE_MONTHS,
    userId: props.userId ?? 'email',
  };
}

export function queueSettings(props: CommercetoolsSegmentProps): QueueSettings {
  const { timeout, reservedConcurrency } = functionSettings(props);
  const maxBatchingWindow = props.maxBatchingWindow ?? Duration.seconds(0);
  const reserved =
    typeof reservedConcurrency === 'number' && reservedConcurrency >= 2 ? reservedConcurrency : undefined;
  const seconds =
    MIN_VISIBILITY_FACTOR * timeoutOf(props, timeout).toSeconds() + maxBatchingWindow.toSeconds();
  return {
    maxReceiveCount: props.maxReceiveCount ?? 5,
    visibilityTimeout: props.visibilityTimeout ?? Duration.seconds(seconds),
    batchSize: props.batchSize ?? 10,
    maxBatchingWindow,
    maxConcurrency: props.maxConcurrency ?? (props.lambdaFunction === undefined ? reserved : undefined),
    poisonRecords: props.poisonRecords ?? 'acknowledge',
  };
}

/** The timeout of a function that is given may be known. */
function timeoutOf({ lambdaFunction }: CommercetoolsSegmentProps, own: Duration): Duration {
  const given = (lambdaFunction as { timeout?: Duration } | undefined)?.timeout;
  return lambdaFunction === undefined ? own : (given ?? own);
}

/** @throws Error what is wrong, in one line */
export function checkProps(props: CommercetoolsSegmentProps): void {
  const { environment, delivery = 'lambda', lambdaFunction, commercetoolsPrincipalArn: principal } = props;
  if (typeof environment !== 'string' || !ENVIRONMENT.test(environment)) {
    throw new Error(`environment must be 1 to 30 letters, digits and "-", not "${String(environment)}".`);
  }
  if (delivery !== 'lambda' && delivery !== 'sqs') {
    throw new Error(`delivery must be "lambda" or "sqs", not "${String(delivery)}".`);
  }
  if (principal !== undefined && !Token.isUnresolved(principal) && !isPrincipal(principal)) {
    throw new Error(`commercetoolsPrincipalArn must be the ARN of an IAM user or role, not "${principal}".`);
  }
  if (lambdaFunction !== undefined)
    refuse(props, FUNCTION_PROPS, 'belongs to the function of lambdaFunction');
  if (delivery === 'lambda') refuse(props, QUEUE_PROPS, 'is for the delivery "sqs"');
  else refuse(props, ASYNCHRONOUS_PROPS, 'is for the delivery "lambda"');
  if (props.alarms === false) refuse(props, ['alarmTopic', 'alarmEmail'], 'needs alarms');
  if (props.alarmTopic !== undefined)
    refuse(props, ['alarmEmail'], 'is for the own topic of alarms, not alarmTopic');
  checkFunction(functionSettings(props));
  if (delivery === 'sqs') checkQueue(props);
}

function isPrincipal(arn: string): boolean {
  return /^arn:aws[a-z-]*:iam::\d{12}:(?:user|role)\/.+$/.test(arn);
}

function refuse(
  props: CommercetoolsSegmentProps,
  names: readonly (keyof CommercetoolsSegmentProps)[],
  reason: string,
): void {
  const name = names.find((candidate) => props[candidate] !== undefined);
  if (name !== undefined) throw new Error(`${name} ${reason}.`);
}

function checkFunction({
  runtime,
  memorySize,
  timeout,
  reservedConcurrency,
  architecture,
}: FunctionSettings): void {
  if (!RUNTIMES.includes(runtime.name)) {
    throw new Error(`runtime must be one of ${RUNTIMES.join(', ')}, not ${runtime.name}.`);
  }
  if (architecture.name !== 'arm64' && architecture.name !== 'x86_64') {
    throw new Error(`architecture must be arm64 or x86_64, not ${architecture.name}.`);
  }
  checkNumber('memorySize', memorySize, 128, 10_240);
  checkNumber('timeout', timeout.toSeconds(), 1, 900);
  if (reservedConcurrency !== 'unreserved') checkNumber('reservedConcurrency', reservedConcurrency, 1);
}

function checkQueue(props: CommercetoolsSegmentProps): void {
  const { maxReceiveCount, visibilityTimeout, batchSize, maxBatchingWindow, maxConcurrency } =
    queueSettings(props);
  const { timeout, reservedConcurrency } = functionSettings(props);
  const minimum =
    MIN_VISIBILITY_FACTOR * timeoutOf(props, timeout).toSeconds() + maxBatchingWindow.toSeconds();
  checkNumber('maxReceiveCount', maxReceiveCount, 1, 1000);
  checkNumber('visibilityTimeout', visibilityTimeout.toSeconds(), minimum, 43_200);
  checkNumber('maxBatchingWindow', maxBatchingWindow.toSeconds(), 0, 300);
  checkNumber(
    'batchSize',
    batchSize,
    1,
    maxBatchingWindow.toSeconds() > 0 ? 10_000 : MAX_BATCH_WITHOUT_WINDOW,
  );
  if (maxConcurrency === undefined) return;
  const bound =
    props.lambdaFunction === undefined && reservedConcurrency !== 'unreserved' ? reservedConcurrency : 1000;
  checkNumber('maxConcurrency', maxConcurrency, 2, Math.min(bound, 1000));
}

function checkNumber(name: string, value: number, minimum: number, maximum = Number.MAX_SAFE_INTEGER): void {
  if (Token.isUnresolved(value) || (Number.isInteger(value) && value >= minimum && value <= maximum)) return;
  const range = maximum === Number.MAX_SAFE_INTEGER ? `${minimum} or more` : `${minimum} to ${maximum}`;
  throw new Error(`${name} must be a whole number, ${range}, not ${value}.`);
}
