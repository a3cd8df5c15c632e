/** The rules of cdk-nag: nothing is left in any variant, and what is introduced is found. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import {
  cdk,
  findingsIn,
  INFRA,
  infra,
  lambda,
  newApp,
  otherFunction,
  temporaryFolder,
} from './support/infra.mjs';

const require = createRequire(join(INFRA, 'package.json'));
const { Vpc } = require('aws-cdk-lib/aws-ec2');
const { PolicyStatement } = require('aws-cdk-lib/aws-iam');
const { Topic } = require('aws-cdk-lib/aws-sns');
const { Queue } = require('aws-cdk-lib/aws-sqs');
const { WriteKey } = infra;

const SECRET = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:segment-Ab12Cd';
const SECRET_KEY = 'arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555';
/** Options, some of which need a place for constructs of their own. */
const VARIANTS = {
  'nothing but the environment': () => ({}),
  'a queue': () => ({ delivery: 'sqs' }),
  'Node.js 20': () => ({ runtime: lambda.Runtime.NODEJS_20_X }),
  'Node.js 24': () => ({ runtime: lambda.Runtime.NODEJS_24_X }),
  arm64: () => ({ architecture: lambda.Architecture.ARM_64 }),
  'a queue on arm64': () => ({ delivery: 'sqs', architecture: lambda.Architecture.ARM_64 }),
  'no reserved concurrency': () => ({ reservedConcurrency: 'unreserved' }),
  'the write key in the template': () => ({ writeKey: WriteKey.environmentVariable('canary') }),
  'a secret with a key': () => ({
    writeKey: WriteKey.secret(SECRET, { encryptionKeyArn: SECRET_KEY }),
  }),
  'a parameter': () => ({ writeKey: WriteKey.parameter('/segment/write-key') }),
  'no alarms, no dashboard': () => ({ alarms: false, dashboard: false }),
  'an address for alarms': () => ({ alarmEmail: 'operators@example.com' }),
  'a function that is given': (place) => ({ lambdaFunction: otherFunction(place()) }),
  'a queue and a function that is given': (place) => ({
    delivery: 'sqs',
    lambdaFunction: otherFunction(place()),
  }),
  'a VPC': (place) => ({ vpc: new Vpc(place(), 'Vpc') }),
  'a queue and a VPC': (place) => ({ delivery: 'sqs', vpc: new Vpc(place(), 'Vpc') }),
};

/** A stack with a variant; what the variant needs is in a stack of its own, which is not ours to judge. */
function stackOf(variant) {
  const app = newApp();
  const env = { account: '123456789012', region: 'eu-central-1' };
  const place = () => new cdk.Stack(app, 'Other', { env });
  return new infra.CdkStack(app, 'Test', { env, environment: 'test', ...variant(place) });
}

describe('no finding is left with', () => {
  for (const [name, variant] of Object.entries(VARIANTS)) {
    test(name, () => {
      assert.deepEqual(findingsIn(stackOf(variant)), []);
    });
  }

  test('stacks in two regions, in a whole synthesis', () => {
    const app = infra.checkedApp({ outdir: temporaryFolder(), analyticsReporting: false });
    for (const region of ['eu-central-1', 'us-east-1']) {
      const env = { account: '123456789012', region };
      assert.ok(new infra.CdkStack(app, `Test-${region}`, { env, environment: 'test' }).segment);
    }
    assert.equal(app.synth().stacks.length, 2);
  });
});

describe('CloudFormation', () => {
  test('takes every variant', () => {
    // Without our rules: what the variants need is not ours to judge.
    const app = new cdk.App({
      outdir: temporaryFolder(),
      analyticsReporting: false,
      context: { '@aws-cdk/core:validateAgainstDefaultRules': true },
    });
    for (const [index, variant] of Object.values(VARIANTS).entries()) {
      const env = { account: '123456789012', region: 'eu-central-1' };
      const place = () => new cdk.Stack(app, `Other${index}`, { env });
      const props = { env, environment: `test-${index}`, ...variant(place) };
      assert.ok(new infra.CdkStack(app, `Test${index}`, props).segment);
    }
    const stacks = app.synth().stacks.filter(({ id }) => id.startsWith('Test'));
    assert.equal(stacks.length, Object.keys(VARIANTS).length);
  });

  test('would not take what is broken', () => {
    const app = infra.checkedApp({ outdir: temporaryFolder(), analyticsReporting: false });
    const stack = new infra.CdkStack(app, 'Test', { environment: 'test' });
    stack.segment.function.node.defaultChild.addPropertyOverride('MemorySize', 'much');
    assert.throws(() => app.synth(), { name: 'ValidationFailed' });
  });
});

describe('what is introduced is found:', () => {
  const INTRODUCED = {
    'a queue without dead letters and TLS': [
      ({ stack }) => new Queue(stack, 'Bad'),
      ['AwsSolutions-SQS3 Test/Bad/Resource', 'AwsSolutions-SQS4 Test/Bad/Resource'],
    ],
    'a topic in the clear': [
      ({ stack }) => new Topic(stack, 'Bad'),
      ['AwsSolutions-SNS3 Test/Bad/Resource', 'HIPAA.Security-SNSEncryptedKMS Test/Bad/Resource'],
    ],
    'a permission for everything': [
      ({ policy }) => policy.addStatements(new PolicyStatement({ actions: ['sns:*'], resources: ['*'] })),
      [
        'AwsSolutions-IAM5[Action::sns:*]',
        'AwsSolutions-IAM5[Resource::*]',
        'HIPAA.Security-IAMPolicyNoStatementsWithFullAccess',
      ].map((rule) => `${rule} Test/CommercetoolsSegment/Identify/Policy/Resource`),
    ],
    'a key that does not rotate': [
      ({ key }) => (key.node.defaultChild.enableKeyRotation = false),
      ['AwsSolutions-KMS5 Test/CommercetoolsSegment/Key/Resource'],
    ],
    'a function without dead letters': [
      ({ fn }) => (fn.node.defaultChild.deadLetterConfig = undefined),
      [
        'AwsSolutions-SQS3 Test/CommercetoolsSegment/Failed/Resource',
        'HIPAA.Security-LambdaDLQ Test/CommercetoolsSegment/Identify/Function/Resource',
      ],
    ],
    'an alarm without an action': [
      ({ alarm }) => {
        alarm.node.defaultChild.alarmActions = undefined;
        alarm.node.defaultChild.okActions = undefined;
      },
      ['HIPAA.Security-CloudWatchAlarmAction Test/CommercetoolsSegment/Alarm-errors/Resource'],
    ],
  };

  for (const [name, [introduce, expected]] of Object.entries(INTRODUCED)) {
    test(name, () => {
      const stack = stackOf(() => ({}));
      const { segment } = stack;
      introduce({
        stack,
        key: segment.key,
        fn: segment.function,
        alarm: segment.alarms[0],
        policy: segment.node.findChild('Identify').node.findChild('Policy'),
      });
      assert.deepEqual(findingsIn(stack).toSorted(), expected.toSorted());
    });
  }

  for (const [pack, introduce] of [
    ['AwsSolutions', ({ stack }) => new Queue(stack, 'Bad')],
    ['HIPAA.Security', INTRODUCED['an alarm without an action'][0]],
  ]) {
    test(`and ends the synthesis: ${pack}`, () => {
      const outdir = temporaryFolder();
      const app = infra.checkedApp({
        outdir,
        analyticsReporting: false,
        builtinCloudFormationValidation: false,
      });
      const stack = new infra.CdkStack(app, 'Test', { environment: 'test' });
      introduce({ stack, alarm: stack.segment.alarms[0] });
      assert.throws(() => app.synth(), { name: 'ValidationFailed' });
      const report = JSON.parse(readFileSync(join(outdir, 'validation-report.json'), 'utf8'));
      const failed = report.pluginReports.filter(({ conclusion }) => conclusion === 'failure');
      assert.deepEqual(
        failed.map(({ pluginName }) => pluginName),
        [pack],
      );
    });
  }
});

describe('a finding is acknowledged', () => {
  test('with a reason, and only where it says so', () => {
    const stack = stackOf(() => ({}));
    const acknowledged = stack.node
      .findAll()
      .flatMap(({ node }) =>
        node.metadata
          .filter(({ type }) => type === cdk.Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
          .flatMap(({ data }) => Object.entries(data).map(([id, reason]) => [node.path, id, reason])),
      );
    const places = acknowledged.map(([path, id]) => `${id.replace(/^annotation::/i, '')} ${path}`);
    const segment = 'Test/CommercetoolsSegment';
    assert.deepEqual(
      places.toSorted(),
      [
        `AwsSolutions-SQS3 ${segment}/Undelivered`,
        `AwsSolutions-L1 ${segment}/Identify`,
        `HIPAA.Security-LambdaInsideVPC ${segment}/Identify`,
        `AwsSolutions-L1 ${segment}/Redrive`,
        `HIPAA.Security-LambdaInsideVPC ${segment}/Redrive`,
        `HIPAA.Security-LambdaDLQ ${segment}/Redrive`,
      ].toSorted(),
    );
    for (const [path, id, reason] of acknowledged) assert.ok(reason.length > 40, `${path} ${id}`);
  });
});
