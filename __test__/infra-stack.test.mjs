/** What a stack is made of, as story 19 lists it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  arnOf,
  functionNamed,
  Match,
  only,
  permissionsOf,
  queueNamed,
  statementsOf,
  synthesize,
} from './support/infra.mjs';

const PRINCIPAL = 'arn:aws:iam::362576667341:user/subscriptions';
const TOPIC = 'commercetools-webhook-test';
const SERVICE = 'commercetools-segment-test';
const ENVIRONMENT = { env: { account: '123456789012', region: 'eu-central-1' } };
const TOPIC_ARN = `arn:aws:sns:eu-central-1:123456789012:${TOPIC}`;

const direct = synthesize({}, ENVIRONMENT);
const queued = synthesize({ delivery: 'sqs' }, ENVIRONMENT);
const topicOf = (template) =>
  only(template, 'AWS::SNS::Topic', ({ Properties }) => Properties.TopicName === TOPIC);
const keyOf = (template) => only(template, 'AWS::KMS::Key');
/** The policy of a topic or queue. */
const policyOf = (template, type, id) =>
  only(template, type, ({ Properties }) => (Properties.Topics ?? Properties.Queues)[0].Ref === id)[1];
const resolved = (stack, value) => stack.resolve(value);
/** The CDK leaves the partition to CloudFormation. */
const arn = (rest) => ({ 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, `:${rest}`]] });

for (const [delivery, { template }] of Object.entries({ lambda: direct, sqs: queued })) {
  describe(`the topic, with the delivery ${delivery}`, () => {
    test('is encrypted, signs with SHA-256 and is named after the environment', () => {
      template.hasResourceProperties('AWS::SNS::Topic', {
        TopicName: TOPIC,
        SignatureVersion: '2',
        KmsMasterKeyId: arnOf(keyOf(template)[0]),
      });
    });

    test('lets Commercetools publish to it, and nobody without TLS', () => {
      const [id] = topicOf(template);
      const statements = statementsOf(policyOf(template, 'AWS::SNS::TopicPolicy', id));
      assert.deepEqual(Object.keys(statements).toSorted(), [
        'AllowPublishThroughSSLOnly',
        'CommercetoolsPublishes',
      ]);
      assert.deepEqual(statements.CommercetoolsPublishes, {
        Sid: 'CommercetoolsPublishes',
        Effect: 'Allow',
        Principal: { AWS: PRINCIPAL },
        Action: 'sns:Publish',
        Resource: { Ref: id },
      });
      assert.deepEqual(statements.AllowPublishThroughSSLOnly.Condition, {
        Bool: { 'aws:SecureTransport': 'false' },
      });
      assert.equal(statements.AllowPublishThroughSSLOnly.Effect, 'Deny');
    });

    test('logs what it can not deliver to an encrypted group with an end', () => {
      const [, { Properties: topic }] = topicOf(template);
      const [{ Protocol: protocol, FailureFeedbackRoleArn: role }] = topic.DeliveryStatusLogging;
      assert.equal(protocol, delivery);
      const { AssumeRolePolicyDocument: trust, ManagedPolicyArns: policies } =
        template.toJSON().Resources[role['Fn::GetAtt'][0]].Properties;
      assert.deepEqual(trust.Statement[0].Principal, { Service: 'sns.amazonaws.com' });
      const [log, group] = only(
        template,
        'AWS::Logs::LogGroup',
        ({ Properties }) => Properties.LogGroupName === `sns/eu-central-1/123456789012/${TOPIC}/Failure`,
      );
      assert.equal(group.Properties.RetentionInDays, 90);
      assert.deepEqual(group.Properties.KmsKeyId, arnOf(keyOf(template)[0]));
      const { WriteLogs } = statementsOf(template.toJSON().Resources[policies[0].Ref]);
      assert.deepEqual(WriteLogs.Resource, arnOf(log));
    });
  });

  describe(`the key, with the delivery ${delivery}`, () => {
    test('rotates, and stays when the stack goes', () => {
      const [, key] = keyOf(template);
      assert.equal(key.Properties.EnableKeyRotation, true);
      assert.equal(key.DeletionPolicy, 'Retain');
    });

    test('serves the publisher, the topic, the logs and the alarms of this environment only', () => {
      const { Allow, ...statements } = statementsOf(keyOf(template)[1]);
      assert.deepEqual(Allow.Principal, { AWS: arn('iam::123456789012:root') });
      const use = ['kms:GenerateDataKey*', 'kms:Decrypt'];
      const facts = Object.fromEntries(
        Object.entries(statements).map(([sid, { Principal, Action, Condition }]) => [
          sid,
          { Principal, Action, Condition },
        ]),
      );
      assert.deepEqual(facts, {
        CommercetoolsPublishes: {
          Principal: { AWS: PRINCIPAL },
          Action: use,
          Condition: { StringEquals: { 'kms:EncryptionContext:aws:sns:topicArn': arn(TOPIC_ARN.slice(8)) } },
        },
        TopicDeliversToQueues: {
          Principal: { Service: 'sns.amazonaws.com' },
          Action: use,
          Condition: { ArnEquals: { 'aws:SourceArn': arn(TOPIC_ARN.slice(8)) } },
        },
        LogsAreEncrypted: {
          Principal: { Service: 'logs.eu-central-1.amazonaws.com' },
          Action: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
          Condition: {
            ArnEquals: {
              'kms:EncryptionContext:aws:logs:arn': [
                `sns/eu-central-1/123456789012/${TOPIC}/Failure`,
                `/aws/lambda/${SERVICE}`,
                `/aws/lambda/${SERVICE}-redrive`,
              ].map((name) => arn(`logs:eu-central-1:123456789012:log-group:${name}`)),
            },
          },
        },
        AlarmsPublish: {
          Principal: { Service: 'cloudwatch.amazonaws.com' },
          Action: use,
          Condition: {
            StringEquals: { 'aws:SourceAccount': '123456789012' },
            ArnLike: { 'aws:SourceArn': arn(`cloudwatch:eu-central-1:123456789012:alarm:${SERVICE}-*`) },
          },
        },
      });
    });
  });

  describe(`queues and logs, with the delivery ${delivery}`, () => {
    test('are encrypted with the key', () => {
      const key = arnOf(keyOf(template)[0]);
      template.allResourcesProperties('AWS::SQS::Queue', {
        KmsMasterKeyId: key,
        MessageRetentionPeriod: 1_209_600,
      });
      template.allResourcesProperties('AWS::Logs::LogGroup', { KmsKeyId: key, RetentionInDays: 90 });
      template.allResourcesProperties('AWS::SNS::Topic', { KmsMasterKeyId: key });
    });

    test('let nobody in without TLS', () => {
      for (const [id, { Properties }] of Object.entries(template.findResources('AWS::SQS::Queue'))) {
        const { Statement } = policyOf(template, 'AWS::SQS::QueuePolicy', id).Properties.PolicyDocument;
        const deny = Statement.find(({ Effect }) => Effect === 'Deny');
        assert.deepEqual(deny.Condition, { Bool: { 'aws:SecureTransport': 'false' } }, Properties.QueueName);
        assert.equal(deny.Action, 'sqs:*');
        assert.deepEqual(deny.Principal, { AWS: '*' });
      }
    });
  });

  describe(`roles, with the delivery ${delivery}`, () => {
    test('have no policy of AWS, none inline, and no wildcard', () => {
      assert.deepEqual(template.findResources('AWS::IAM::Policy'), {});
      for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
        assert.equal(role.Properties.Policies, undefined);
        for (const policy of role.Properties.ManagedPolicyArns) assert.ok('Ref' in policy);
      }
      for (const policy of Object.values(template.findResources('AWS::IAM::ManagedPolicy'))) {
        for (const { Action, Resource } of policy.Properties.PolicyDocument.Statement) {
          assert.ok(!JSON.stringify([Action, Resource]).includes('*'), JSON.stringify(Resource));
        }
      }
    });
  });
}

describe('the delivery lambda', () => {
  const { template, stack, segment } = direct;

  test('runs Node.js 22 on x86_64 with the handler of the bundle', () => {
    const [id, { Properties }] = functionNamed(template, SERVICE);
    assert.equal(Properties.Runtime, 'nodejs22.x');
    assert.equal(Properties.Handler, 'index.handler');
    assert.deepEqual(Properties.Architectures, ['x86_64']);
    assert.equal(Properties.Timeout, 30);
    assert.equal(Properties.MemorySize, 256);
    assert.equal(Properties.ReservedConcurrentExecutions, 10);
    assert.deepEqual(resolved(stack, segment.function.functionArn), arnOf(id));
    assert.deepEqual(Properties.Environment.Variables, {
      SEGMENT_WRITE_KEY_SECRET_ARN: 'segment/test/write-key',
      SEGMENT_USER_ID: 'email',
      POWERTOOLS_SERVICE_NAME: SERVICE,
      POWERTOOLS_METRICS_NAMESPACE: 'CommercetoolsSegment',
    });
  });

  test('lets the topic invoke the function', () => {
    const [id] = functionNamed(template, SERVICE);
    template.resourceCountIs('AWS::Lambda::Permission', 1);
    template.hasResourceProperties('AWS::Lambda::Permission', {
      Principal: 'sns.amazonaws.com',
      Action: 'lambda:InvokeFunction',
      FunctionName: arnOf(id),
      SourceArn: { Ref: topicOf(template)[0] },
    });
  });

  test('subscribes the function, with dead letters', () => {
    template.resourceCountIs('AWS::SNS::Subscription', 1);
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'lambda',
      TopicArn: { Ref: topicOf(template)[0] },
      Endpoint: arnOf(functionNamed(template, SERVICE)[0]),
      RedrivePolicy: { deadLetterTargetArn: arnOf(queueNamed(template, `${TOPIC}-undelivered`)[0]) },
      FilterPolicy: Match.absent(),
    });
    const [undelivered] = queueNamed(template, `${TOPIC}-undelivered`);
    const statement = statementsOf(policyOf(template, 'AWS::SQS::QueuePolicy', undelivered)).Allow;
    assert.deepEqual(statement.Principal, { Service: 'sns.amazonaws.com' });
    assert.equal(statement.Action, 'sqs:SendMessage');
    assert.deepEqual(statement.Condition, { ArnEquals: { 'aws:SourceArn': { Ref: topicOf(template)[0] } } });
  });

  test('keeps what the function failed on', () => {
    const [, { Properties }] = functionNamed(template, SERVICE);
    assert.deepEqual(Properties.DeadLetterConfig, {
      TargetArn: arnOf(queueNamed(template, `${TOPIC}-failed`)[0]),
    });
  });

  test('lets the function write its log and dead letters and read the write key, and nothing else', () => {
    const statements = permissionsOf(template, SERVICE);
    const facts = Object.values(statements).map(({ Action, Resource, Effect }) => [Effect, Action, Resource]);
    const [log] = only(
      template,
      'AWS::Logs::LogGroup',
      ({ Properties }) => Properties.LogGroupName === `/aws/lambda/${SERVICE}`,
    );
    assert.deepEqual(facts, [
      ['Allow', ['logs:CreateLogStream', 'logs:PutLogEvents'], arnOf(log)],
      [
        'Allow',
        'secretsmanager:GetSecretValue',
        arn('secretsmanager:eu-central-1:123456789012:secret:segment/test/write-key-??????'),
      ],
      ['Allow', 'sqs:SendMessage', arnOf(queueNamed(template, `${TOPIC}-failed`)[0])],
      ['Allow', ['kms:Decrypt', 'kms:GenerateDataKey'], arnOf(keyOf(template)[0])],
    ]);
  });

  test('has a function to redrive, whose mappings are switched off', () => {
    const [id, { Properties }] = functionNamed(template, `${SERVICE}-redrive`);
    const mappings = Object.values(template.findResources('AWS::Lambda::EventSourceMapping'));
    const queues = ['undelivered', 'failed'].map((name) =>
      arnOf(queueNamed(template, `${TOPIC}-${name}`)[0]),
    );
    assert.deepEqual(
      mappings.map((mapping) => mapping.Properties),
      queues.map((EventSourceArn) => ({
        EventSourceArn,
        FunctionName: { Ref: id },
        Enabled: false,
        FunctionResponseTypes: ['ReportBatchItemFailures'],
        ScalingConfig: { MaximumConcurrency: 2 },
      })),
    );
    assert.equal(Properties.ReservedConcurrentExecutions, 2);
    assert.equal(Properties.Timeout, 30);
    for (const name of ['undelivered', 'failed']) {
      assert.equal(queueNamed(template, `${TOPIC}-${name}`)[1].Properties.VisibilityTimeout, 180);
    }
    const { ReadQueues } = permissionsOf(template, `${SERVICE}-redrive`);
    assert.deepEqual(ReadQueues.Resource, queues);
    assert.deepEqual(ReadQueues.Action, [
      'sqs:ReceiveMessage',
      'sqs:DeleteMessage',
      'sqs:GetQueueAttributes',
    ]);
  });

  test('has its code in two assets: that of SNS and that of queues', () => {
    const keys = [SERVICE, `${SERVICE}-redrive`].map(
      (name) => functionNamed(template, name)[1].Properties.Code.S3Key,
    );
    assert.notEqual(keys[0], keys[1]);
    assert.equal(
      queued.template.toJSON().Resources[functionNamed(queued.template, SERVICE)[0]].Properties.Code.S3Key,
      keys[1],
    );
  });

  test('tells operators what they need', () => {
    const outputs = Object.fromEntries(
      Object.entries(template.findOutputs('*')).map(([name, { Value }]) => [name, Value]),
    );
    assert.deepEqual(Object.keys(outputs), [
      'TopicArn',
      'UndeliveredQueueUrl',
      'FailedQueueUrl',
      'RedriveUndeliveredId',
      'RedriveFailedId',
      'DashboardName',
    ]);
    assert.deepEqual(outputs.TopicArn, { Ref: topicOf(template)[0] });
    assert.deepEqual(
      outputs.RedriveFailedId,
      resolved(stack, segment.redriveMappings.failed.eventSourceMappingId),
    );
  });
});

describe('the delivery sqs', () => {
  const { template } = queued;
  const [queueId, queue] = queueNamed(template, TOPIC);
  const [deadLetters] = queueNamed(template, `${TOPIC}-dead-letters`);
  const [undelivered] = queueNamed(template, `${TOPIC}-undelivered`);
  const [functionId, fn] = functionNamed(template, SERVICE);

  test('subscribes a queue, raw and with dead letters', () => {
    template.resourceCountIs('AWS::SNS::Subscription', 1);
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'sqs',
      TopicArn: { Ref: topicOf(template)[0] },
      Endpoint: arnOf(queueId),
      RawMessageDelivery: true,
      RedrivePolicy: { deadLetterTargetArn: arnOf(undelivered) },
    });
    template.resourceCountIs('AWS::Lambda::Permission', 0);
    const { TopicDelivers } = statementsOf(policyOf(template, 'AWS::SQS::QueuePolicy', queueId));
    assert.deepEqual(TopicDelivers, {
      Sid: 'TopicDelivers',
      Effect: 'Allow',
      Principal: { Service: 'sns.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource: arnOf(queueId),
      Condition: { ArnEquals: { 'aws:SourceArn': { Ref: topicOf(template)[0] } } },
    });
  });

  test('tries five times, and hides a message six times as long as the function may run', () => {
    assert.deepEqual(queue.Properties.RedrivePolicy, {
      deadLetterTargetArn: arnOf(deadLetters),
      maxReceiveCount: 5,
    });
    assert.equal(queue.Properties.VisibilityTimeout, 180);
  });

  test('reads the queue in batches that fail in part', () => {
    const mappings = Object.values(template.findResources('AWS::Lambda::EventSourceMapping'));
    assert.deepEqual(
      mappings.map(({ Properties }) => Properties),
      [
        {
          EventSourceArn: arnOf(queueId),
          FunctionName: { Ref: functionId },
          Enabled: true,
          BatchSize: 10,
          MaximumBatchingWindowInSeconds: 0,
          FunctionResponseTypes: ['ReportBatchItemFailures'],
          ScalingConfig: { MaximumConcurrency: 10 },
        },
        {
          EventSourceArn: arnOf(undelivered),
          FunctionName: { Ref: functionId },
          Enabled: false,
          FunctionResponseTypes: ['ReportBatchItemFailures'],
          ScalingConfig: { MaximumConcurrency: 2 },
        },
      ],
    );
  });

  test('has one function, without dead letters of its own', () => {
    template.resourceCountIs('AWS::Lambda::Function', 1);
    assert.equal(fn.Properties.DeadLetterConfig, undefined);
    assert.equal(fn.Properties.Environment.Variables.SEGMENT_POISON_RECORDS, 'acknowledge');
    const { ReadQueues, UseKey } = permissionsOf(template, SERVICE);
    assert.deepEqual(ReadQueues.Resource, [arnOf(queueId), arnOf(undelivered)]);
    assert.equal(UseKey.Action, 'kms:Decrypt');
  });

  test('tells operators what they need', () => {
    assert.deepEqual(Object.keys(template.findOutputs('*')), [
      'TopicArn',
      'QueueUrl',
      'UndeliveredQueueUrl',
      'DeadLettersQueueUrl',
      'DeadLettersQueueArn',
      'RedriveUndeliveredId',
      'DashboardName',
    ]);
  });
});
