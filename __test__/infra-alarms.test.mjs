/** Alarms, where they go, and the dashboard. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import {
  cdk,
  constructIn as construct,
  functionNamed,
  INFRA,
  only,
  otherFunction,
  queueNamed,
  statementsOf,
  synthesize,
} from './support/infra.mjs';

const require = createRequire(join(INFRA, 'package.json'));
const { Topic } = require('aws-cdk-lib/aws-sns');

const { Duration } = cdk;
const SERVICE = 'commercetools-segment-test';
const TOPIC = 'commercetools-webhook-test';

describe('alarms', () => {
  const alarmsOf = (template) =>
    Object.fromEntries(
      Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(({ Properties }) => [
        Properties.AlarmName.replace(`${SERVICE}-`, ''),
        Properties,
      ]),
    );
  const COMMON = [
    'errors',
    'throttles',
    'duration',
    'delivery-failures',
    'redrive-failures',
    'undelivered-depth',
  ];
  const SEGMENT = ['identify-failed', 'records-invalid'];

  for (const [delivery, names] of [
    ['lambda', [...COMMON, ...SEGMENT, 'dead-letter-errors', 'failed-depth']],
    ['sqs', [...COMMON, ...SEGMENT, 'queue-age', 'dead-letters-depth']],
  ]) {
    test(`watch everything on the way: ${delivery}`, () => {
      const { template } = synthesize({ delivery });
      const alarms = alarmsOf(template);
      assert.deepEqual(Object.keys(alarms).toSorted(), names.toSorted());
      const [topic] = only(
        template,
        'AWS::SNS::Topic',
        ({ Properties }) => Properties.TopicName === `${SERVICE}-alarms`,
      );
      for (const [name, alarm] of Object.entries(alarms)) {
        assert.deepEqual(alarm.AlarmActions, [{ Ref: topic }], name);
        assert.deepEqual(alarm.OKActions, [{ Ref: topic }], name);
        assert.equal(alarm.TreatMissingData, 'notBreaching');
        assert.equal(alarm.ComparisonOperator, 'GreaterThanOrEqualToThreshold');
      }
    });
  }

  test('look at the metrics of what they are named after', () => {
    const { template } = synthesize({ timeout: Duration.seconds(20) });
    const [fn] = functionNamed(template, SERVICE);
    const queue = (name) => ({ 'Fn::GetAtt': [queueNamed(template, `${TOPIC}-${name}`)[0], 'QueueName'] });
    const [topic] = only(template, 'AWS::SNS::Topic', ({ Properties }) => Properties.TopicName === TOPIC);
    const ofTopic = { 'Fn::GetAtt': [topic, 'TopicName'] };
    const facts = Object.fromEntries(
      Object.entries(alarmsOf(template)).map(([name, alarm]) => {
        const [{ Value }] = alarm.Dimensions;
        return [name, [alarm.Namespace, alarm.MetricName, alarm.Statistic, alarm.Threshold, Value]];
      }),
    );
    assert.deepEqual(facts, {
      errors: ['AWS/Lambda', 'Errors', 'Sum', 1, { Ref: fn }],
      throttles: ['AWS/Lambda', 'Throttles', 'Sum', 1, { Ref: fn }],
      duration: ['AWS/Lambda', 'Duration', 'Maximum', 16_000, { Ref: fn }],
      'dead-letter-errors': ['AWS/Lambda', 'DeadLetterErrors', 'Sum', 1, { Ref: fn }],
      'delivery-failures': ['AWS/SNS', 'NumberOfNotificationsFailed', 'Sum', 1, ofTopic],
      'redrive-failures': ['AWS/SNS', 'NumberOfNotificationsFailedToRedriveToDlq', 'Sum', 1, ofTopic],
      'undelivered-depth': [
        'AWS/SQS',
        'ApproximateNumberOfMessagesVisible',
        'Maximum',
        1,
        queue('undelivered'),
      ],
      'failed-depth': ['AWS/SQS', 'ApproximateNumberOfMessagesVisible', 'Maximum', 1, queue('failed')],
      'identify-failed': ['CommercetoolsSegment', 'IdentifyFailed', 'Sum', 1, SERVICE],
      'records-invalid': ['CommercetoolsSegment', 'RecordsInvalid', 'Sum', 1, SERVICE],
    });
  });

  test('go to a topic that they alone may publish to, and to an address', () => {
    const { template } = synthesize({ alarmEmail: 'operators@example.com' });
    const [topic] = only(
      template,
      'AWS::SNS::Topic',
      ({ Properties }) => Properties.TopicName === `${SERVICE}-alarms`,
    );
    const [, policy] = only(
      template,
      'AWS::SNS::TopicPolicy',
      ({ Properties }) => Properties.Topics[0].Ref === topic,
    );
    const { AlarmsPublish } = statementsOf(policy);
    assert.deepEqual(AlarmsPublish.Principal, { Service: 'cloudwatch.amazonaws.com' });
    assert.match(JSON.stringify(AlarmsPublish.Condition.ArnLike), new RegExp(`:alarm:${SERVICE}-\\*`));
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'email',
      Endpoint: 'operators@example.com',
      TopicArn: { Ref: topic },
    });
  });

  test('go to a topic that is given', () => {
    const { template, stack, segment } = construct((scope) => ({ alarmTopic: new Topic(scope, 'Ours') }));
    template.resourceCountIs('AWS::SNS::Topic', 2);
    const ours = stack.resolve(segment.alarmTopic.topicArn);
    template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [ours] });
    assert.ok(!('AlarmsPublish' in statementsOf(only(template, 'AWS::KMS::Key')[1])));
  });

  test('of a function that is given leave out what nobody knows of it', () => {
    const { template } = construct((scope) => ({ lambdaFunction: otherFunction(scope) }));
    assert.deepEqual(
      Object.keys(alarmsOf(template)).toSorted(),
      ['delivery-failures', 'errors', 'redrive-failures', 'throttles', 'undelivered-depth'].toSorted(),
    );
  });

  test('and the dashboard can be left out', () => {
    const { template, segment } = synthesize({ alarms: false, dashboard: false });
    template.resourceCountIs('AWS::CloudWatch::Alarm', 0);
    template.resourceCountIs('AWS::CloudWatch::Dashboard', 0);
    template.resourceCountIs('AWS::SNS::Topic', 1);
    assert.deepEqual(segment.alarms, []);
  });

  test('have a section each in docs/DEPLOY.md, which their descriptions name', async () => {
    const text = await readFile(join(INFRA, '..', 'docs', 'DEPLOY.md'), 'utf8');
    const headings = text.split('\n').filter((line) => line.startsWith('#'));
    for (const delivery of ['lambda', 'sqs']) {
      for (const [name, { AlarmDescription }] of Object.entries(
        alarmsOf(synthesize({ delivery }).template),
      )) {
        assert.ok(AlarmDescription.endsWith(` See docs/DEPLOY.md, "Alarm: ${name}".`), AlarmDescription);
        assert.ok(
          headings.some((heading) => heading.replace(/^#+ /, '') === `Alarm: ${name}`),
          `no section for ${name}`,
        );
      }
    }
  });
});

describe('the dashboard', () => {
  test('has a name per region and shows the whole way', () => {
    const { template } = synthesize(
      { delivery: 'sqs' },
      { env: { account: '123456789012', region: 'us-east-1' } },
    );
    const [, { Properties }] = only(template, 'AWS::CloudWatch::Dashboard');
    assert.equal(Properties.DashboardName, `${SERVICE}-us-east-1`);
    const body = JSON.stringify(Properties.DashboardBody);
    for (const metric of [
      'NumberOfMessagesPublished',
      'IdentifySent',
      'IdentifyFailed',
      'RecordsIgnored',
      'RecordsInvalid',
      'Invocations',
      'Duration',
      'ApproximateAgeOfOldestMessage',
      'ApproximateNumberOfMessagesVisible',
    ]) {
      assert.ok(body.includes(metric), metric);
    }
  });
});
