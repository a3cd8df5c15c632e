/** Every option of the construct, and what is said of wrong ones. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';

import {
  Annotations,
  arnOf,
  cdk,
  constructIn as construct,
  functionNamed,
  INFRA,
  infra,
  lambda,
  Match,
  only,
  otherFunction,
  permissionsOf,
  queueNamed,
  statementsOf,
  synthesize,
  temporaryFolder,
} from './support/infra.mjs';

const require = createRequire(join(INFRA, 'package.json'));
const { Vpc } = require('aws-cdk-lib/aws-ec2');
const { Key } = require('aws-cdk-lib/aws-kms');
const { RetentionDays } = require('aws-cdk-lib/aws-logs');
const { Secret } = require('aws-cdk-lib/aws-secretsmanager');
const { FilterOrPolicy, SubscriptionFilter, Topic } = require('aws-cdk-lib/aws-sns');
const { StringParameter } = require('aws-cdk-lib/aws-ssm');

const { WriteKey } = infra;
const { Duration } = cdk;
const SERVICE = 'commercetools-segment-test';
const TOPIC = 'commercetools-webhook-test';
const KEY = 'write-key-canary';
const SECRET_ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:segment-Ab12Cd';
const KEY_ARN = 'arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555';

const propertiesOf = (template, name = SERVICE) => functionNamed(template, name)[1].Properties;
const variablesOf = (template, name) => propertiesOf(template, name).Environment.Variables;

const warningsOf = (stack) => Annotations.fromStack(stack).findWarning('*', Match.anyValue());

describe('the write key', () => {
  test('of a secret is named by its whole ARN, with a field, and may be decrypted', () => {
    const writeKey = WriteKey.secret(SECRET_ARN, { field: 'writeKey', encryptionKeyArn: KEY_ARN });
    const { template } = synthesize({ writeKey });
    for (const name of [SERVICE, `${SERVICE}-redrive`]) {
      const variables = variablesOf(template, name);
      assert.equal(variables.SEGMENT_WRITE_KEY_SECRET_ARN, SECRET_ARN);
      assert.equal(variables.SEGMENT_WRITE_KEY_SECRET_FIELD, 'writeKey');
      const { ReadWriteKey, DecryptWriteKey } = permissionsOf(template, name);
      assert.equal(ReadWriteKey.Action, 'secretsmanager:GetSecretValue');
      assert.equal(ReadWriteKey.Resource, SECRET_ARN);
      assert.equal(DecryptWriteKey.Action, 'kms:Decrypt');
      assert.equal(DecryptWriteKey.Resource, KEY_ARN);
    }
  });

  test('of a secret of the same stack is read and decrypted with its key', () => {
    const { template } = construct((stack) => {
      const encryptionKey = new Key(stack, 'TheirKey');
      return { writeKey: WriteKey.secret(new Secret(stack, 'Secret', { encryptionKey })) };
    });
    const [secret] = only(template, 'AWS::SecretsManager::Secret');
    const [key] = only(template, 'AWS::KMS::Key', ({ Properties }) => Properties.Description === undefined);
    const { ReadWriteKey, DecryptWriteKey } = permissionsOf(template, SERVICE);
    assert.deepEqual(ReadWriteKey.Resource, { Ref: secret });
    assert.deepEqual(DecryptWriteKey.Resource, arnOf(key));
    assert.deepEqual(variablesOf(template).SEGMENT_WRITE_KEY_SECRET_ARN, { Ref: secret });
  });

  test('of a parameter is named, and may be read', () => {
    const { template } = synthesize({ writeKey: WriteKey.parameter('/segment/test/write-key') });
    assert.equal(variablesOf(template).SEGMENT_WRITE_KEY_PARAMETER, '/segment/test/write-key');
    const { ReadWriteKey, DecryptWriteKey } = permissionsOf(template, SERVICE);
    assert.equal(ReadWriteKey.Action, 'ssm:GetParameter');
    assert.match(JSON.stringify(ReadWriteKey.Resource), /:parameter\/segment\/test\/write-key"/);
    assert.equal(DecryptWriteKey, undefined);
  });

  test('of a parameter construct is named, and may be decrypted', () => {
    const { template } = construct((stack) => {
      const parameter = StringParameter.fromSecureStringParameterAttributes(stack, 'Parameter', {
        parameterName: 'write-key',
      });
      return { writeKey: WriteKey.parameter(parameter, { encryptionKeyArn: KEY_ARN }) };
    });
    assert.equal(variablesOf(template).SEGMENT_WRITE_KEY_PARAMETER, 'write-key');
    const { ReadWriteKey, DecryptWriteKey } = permissionsOf(template, SERVICE);
    assert.match(JSON.stringify(ReadWriteKey.Resource), /:parameter\/write-key"/);
    assert.equal(DecryptWriteKey.Resource, KEY_ARN);
  });

  test('in the environment is encrypted with the key, and warned of', () => {
    const { template, stack } = synthesize({ writeKey: WriteKey.environmentVariable(KEY) });
    assert.equal(variablesOf(template).SEGMENT_WRITE_KEY, KEY);
    assert.deepEqual(propertiesOf(template).KmsKeyArn, arnOf(only(template, 'AWS::KMS::Key')[0]));
    assert.ok(permissionsOf(template, `${SERVICE}-redrive`).UseKey.Action.includes('kms:Decrypt'));
    assert.match(warningsOf(stack)[0].entry.data, /^The write key stands in the template/);
  });

  test('of a secret or parameter is in no template, and nothing is warned of', () => {
    for (const writeKey of [undefined, WriteKey.secret(SECRET_ARN), WriteKey.parameter('/key')]) {
      const { template, stack } = synthesize({ writeKey });
      assert.equal(variablesOf(template).SEGMENT_WRITE_KEY, undefined);
      assert.deepEqual(warningsOf(stack), []);
    }
  });

  test('may not be empty', () => {
    const message = 'Write key cannot be empty or whitespace only';
    for (const key of ['', ' \t']) assert.throws(() => WriteKey.environmentVariable(key), { message });
  });
});

describe('the function', () => {
  for (const name of ['NODEJS_20_X', 'NODEJS_22_X', 'NODEJS_24_X']) {
    test(`runs ${name}`, () => {
      const { template } = synthesize({ runtime: lambda.Runtime[name] });
      assert.equal(propertiesOf(template).Runtime, lambda.Runtime[name].name);
      assert.equal(propertiesOf(template, `${SERVICE}-redrive`).Runtime, lambda.Runtime[name].name);
    });
  }

  test('has other code for each architecture', () => {
    const keys = ['ARM_64', 'X86_64'].map((name) => {
      const { template } = synthesize({ architecture: lambda.Architecture[name] });
      assert.deepEqual(propertiesOf(template).Architectures, [lambda.Architecture[name].name]);
      return propertiesOf(template).Code.S3Key;
    });
    assert.notEqual(keys[0], keys[1]);
  });

  test('has the same code in every app and region', () => {
    const env = { account: '123456789012', region: 'us-east-1' };
    const [one, other] = [synthesize(), synthesize({ environment: 'other' }, { env })];
    assert.equal(
      propertiesOf(one.template).Code.S3Key,
      propertiesOf(other.template, 'commercetools-segment-other').Code.S3Key,
    );
  });

  test('has the memory, time, copies and log that it is given', () => {
    const { template } = synthesize({
      memorySize: 512,
      timeout: Duration.seconds(60),
      reservedConcurrency: 3,
      logRetention: RetentionDays.ONE_YEAR,
    });
    const { MemorySize, Timeout, ReservedConcurrentExecutions } = propertiesOf(template);
    assert.deepEqual([MemorySize, Timeout, ReservedConcurrentExecutions], [512, 60, 3]);
    template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 365 });
    assert.equal(queueNamed(template, `${TOPIC}-failed`)[1].Properties.VisibilityTimeout, 360);
  });

  test('shares the copies of the account, if it is told to', () => {
    const { template } = synthesize({ reservedConcurrency: 'unreserved' });
    assert.equal(propertiesOf(template).ReservedConcurrentExecutions, undefined);
  });

  test('knows where and what to send', () => {
    const { template } = synthesize({
      userId: 'customerId',
      segmentHost: 'https://segment.example.com',
      segmentRegion: 'eu',
    });
    for (const name of [SERVICE, `${SERVICE}-redrive`]) {
      const { SEGMENT_USER_ID, SEGMENT_HOST, SEGMENT_REGION } = variablesOf(template, name);
      assert.deepEqual(
        [SEGMENT_USER_ID, SEGMENT_HOST, SEGMENT_REGION],
        ['customerId', 'https://segment.example.com', 'eu'],
      );
    }
  });

  test('is tried again as often and as long as is said', () => {
    const { template } = synthesize({ retryAttempts: 1, maxEventAge: Duration.hours(1) });
    template.resourceCountIs('AWS::Lambda::EventInvokeConfig', 1);
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      MaximumRetryAttempts: 1,
      MaximumEventAgeInSeconds: 3600,
    });
  });

  test('goes into private subnets, with a way out for HTTPS only', () => {
    const { template } = construct((stack) => ({ vpc: new Vpc(stack, 'Vpc') }));
    const [group, { Properties }] = only(template, 'AWS::EC2::SecurityGroup');
    assert.equal(Properties.SecurityGroupIngress, undefined);
    const [egress, ...others] = Properties.SecurityGroupEgress;
    assert.deepEqual(others, []);
    assert.deepEqual([egress.IpProtocol, egress.FromPort, egress.ToPort], ['tcp', 443, 443]);
    for (const name of [SERVICE, `${SERVICE}-redrive`]) {
      const { SecurityGroupIds, SubnetIds } = propertiesOf(template, name).VpcConfig;
      assert.deepEqual(SecurityGroupIds, [{ 'Fn::GetAtt': [group, 'GroupId'] }]);
      assert.equal(SubnetIds.length, 2);
      for (const { Ref } of SubnetIds) assert.match(Ref, /PrivateSubnet/);
      assert.ok(permissionsOf(template, name).UseVpc.Action.includes('ec2:CreateNetworkInterface'));
    }
  });

  test('may be made of modules of somebody else', () => {
    const own = { sns: join(INFRA, 'lambda', 'sqs.ts') };
    const [theirs, ours] = [synthesize({ entries: own }), synthesize()].map(({ template }) =>
      [SERVICE, `${SERVICE}-redrive`].map((name) => propertiesOf(template, name).Code.S3Key),
    );
    assert.deepEqual(theirs, [ours[1], ours[1]]);
    assert.throws(
      () => synthesize({ entries: { sns: join(INFRA, 'lambda', 'none.ts') } }),
      /There is no .*none\.ts/,
    );
  });

  test('may have an addon from elsewhere, which is checked', () => {
    const addon = join(INFRA, '..', 'npm', 'linux-x64-gnu', 'companion-segment.linux-x64-gnu.node');
    const architecture = lambda.Architecture.ARM_64;
    assert.throws(() => synthesize({ addon, architecture }), {
      name: 'BundleError',
      message: /is for x86_64/,
    });
    const other = join(temporaryFolder(), basename(addon));
    writeFileSync(other, Buffer.concat([readFileSync(addon), Buffer.from('a build of our own')]));
    const [theirs, ours] = [{ addon: other }, {}].map((props) => propertiesOf(synthesize(props).template));
    assert.notEqual(theirs.Code.S3Key, ours.Code.S3Key);
  });
});

describe('the queue', () => {
  test('has the settings that it is given', () => {
    const { template } = synthesize({
      delivery: 'sqs',
      maxReceiveCount: 3,
      visibilityTimeout: Duration.minutes(10),
      batchSize: 100,
      maxBatchingWindow: Duration.seconds(5),
      maxConcurrency: 4,
      poisonRecords: 'dead-letter',
    });
    const [id, { Properties }] = queueNamed(template, TOPIC);
    assert.equal(Properties.VisibilityTimeout, 600);
    assert.equal(Properties.RedrivePolicy.maxReceiveCount, 3);
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      EventSourceArn: arnOf(id),
      BatchSize: 100,
      MaximumBatchingWindowInSeconds: 5,
      ScalingConfig: { MaximumConcurrency: 4 },
    });
    assert.equal(variablesOf(template).SEGMENT_POISON_RECORDS, 'dead-letter');
  });

  test('hides a message six times the timeout, and as long as a batch may wait', () => {
    const timing = { timeout: Duration.seconds(20), maxBatchingWindow: Duration.seconds(15) };
    const { template } = synthesize({ delivery: 'sqs', ...timing });
    assert.equal(queueNamed(template, TOPIC)[1].Properties.VisibilityTimeout, 135);
  });

  test('is read without a bound by a function with one copy, or without one', () => {
    for (const reservedConcurrency of [1, 'unreserved']) {
      const { template } = synthesize({ delivery: 'sqs', reservedConcurrency });
      template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
        Enabled: true,
        ScalingConfig: Match.absent(),
      });
    }
  });
});

describe('the topic', () => {
  for (const delivery of ['lambda', 'sqs']) {
    test(`filters by the body: ${delivery}`, () => {
      const type = FilterOrPolicy.filter(SubscriptionFilter.stringFilter({ allowlist: ['CustomerCreated'] }));
      const { template } = synthesize({ delivery, filterPolicy: { type } });
      template.hasResourceProperties('AWS::SNS::Subscription', {
        FilterPolicyScope: 'MessageBody',
        FilterPolicy: { type: ['CustomerCreated'] },
      });
    });
  }

  test('takes another publisher, who may use the key too', () => {
    const commercetoolsPrincipalArn = 'arn:aws:iam::123456789012:role/publisher';
    const { template } = synthesize({ commercetoolsPrincipalArn });
    const [topic] = only(template, 'AWS::SNS::Topic', ({ Properties }) => Properties.TopicName === TOPIC);
    const [, policy] = only(
      template,
      'AWS::SNS::TopicPolicy',
      ({ Properties }) => Properties.Topics[0].Ref === topic,
    );
    for (const statements of [statementsOf(policy), statementsOf(only(template, 'AWS::KMS::Key')[1])]) {
      assert.deepEqual(statements.CommercetoolsPublishes.Principal, { AWS: commercetoolsPrincipalArn });
    }
  });
});

describe('the key', () => {
  test('that is given is extended and used', () => {
    const { template, stack } = construct((scope) => ({ encryptionKey: new Key(scope, 'Ours') }));
    const [id, key] = only(template, 'AWS::KMS::Key');
    assert.ok('CommercetoolsPublishes' in statementsOf(key));
    template.allResourcesProperties('AWS::SQS::Queue', { KmsMasterKeyId: arnOf(id) });
    assert.deepEqual(warningsOf(stack), []);
  });

  test('that is imported can not be extended, and that is warned of', () => {
    const { template, stack } = construct((scope) => ({
      encryptionKey: Key.fromKeyArn(scope, 'Theirs', KEY_ARN),
    }));
    template.resourceCountIs('AWS::KMS::Key', 0);
    template.allResourcesProperties('AWS::SQS::Queue', { KmsMasterKeyId: KEY_ARN });
    assert.match(warningsOf(stack)[0].entry.data, /docs\/DEPLOY\.md, "Encryption"/);
  });
});

describe('a wrong option is refused', () => {
  const sqs = { delivery: 'sqs' };
  const seconds = (count) => Duration.seconds(count);
  for (const [props, message] of [
    [{ environment: '' }, /^environment must be 1 to 30 letters, digits and "-", not ""\.$/],
    [{ environment: 'a_b' }, /^environment must be /],
    [{ environment: 'x'.repeat(31) }, /^environment must be /],
    [{ environment: undefined }, /^environment must be /],
    [{ delivery: 'http' }, /^delivery must be "lambda" or "sqs", not "http"\.$/],
    [{ commercetoolsPrincipalArn: '*' }, /^commercetoolsPrincipalArn must be the ARN of an IAM user or role/],
    [
      { runtime: lambda.Runtime.NODEJS_18_X },
      /^runtime must be one of nodejs20\.x, nodejs22\.x, nodejs24\.x/,
    ],
    [{ runtime: lambda.Runtime.PYTHON_3_12 }, /^runtime must be one of /],
    [
      { architecture: lambda.Architecture.custom('riscv64') },
      /^architecture must be arm64 or x86_64, not riscv64\.$/,
    ],
    [{ memorySize: 127 }, /^memorySize must be a whole number, 128 to 10240, not 127\.$/],
    [{ timeout: seconds(901) }, /^timeout must be a whole number, 1 to 900, not 901\.$/],
    [{ reservedConcurrency: 0 }, /^reservedConcurrency must be a whole number, 1 or more, not 0\.$/],
    [{ batchSize: 10 }, /^batchSize is for the delivery "sqs"\.$/],
    [{ ...sqs, retryAttempts: 1 }, /^retryAttempts is for the delivery "lambda"\.$/],
    [
      { ...sqs, visibilityTimeout: seconds(179) },
      /^visibilityTimeout must be a whole number, 180 to 43200, not 179\.$/,
    ],
    [{ ...sqs, batchSize: 11 }, /^batchSize must be a whole number, 1 to 10, not 11\.$/],
    [
      { ...sqs, maxBatchingWindow: seconds(301) },
      /^maxBatchingWindow must be a whole number, 0 to 300, not 301\.$/,
    ],
    [{ ...sqs, maxReceiveCount: 0 }, /^maxReceiveCount must be a whole number, 1 to 1000, not 0\.$/],
    [{ ...sqs, maxConcurrency: 11 }, /^maxConcurrency must be a whole number, 2 to 10, not 11\.$/],
    [{ ...sqs, maxConcurrency: 1 }, /^maxConcurrency must be a whole number, 2 to 10, not 1\.$/],
    [{ alarms: false, alarmEmail: 'a@example.com' }, /^alarmEmail needs alarms\.$/],
  ]) {
    test(String(message).slice(2, -2), () => {
      assert.throws(() => synthesize(props), { message });
    });
  }

  test('with a function that is given: those of the function', () => {
    for (const props of [
      { writeKey: WriteKey.parameter('/key') },
      { memorySize: 512 },
      { userId: 'email' },
    ]) {
      const [name] = Object.keys(props);
      assert.throws(() => construct((scope) => ({ lambdaFunction: otherFunction(scope), ...props })), {
        message: `${name} belongs to the function of lambdaFunction.`,
      });
    }
  });

  test('with a topic of alarms that is given: the address', () => {
    assert.throws(
      () => construct((scope) => ({ alarmTopic: new Topic(scope, 'Ours'), alarmEmail: 'a@example.com' })),
      { message: 'alarmEmail is for the own topic of alarms, not alarmTopic.' },
    );
  });
});
