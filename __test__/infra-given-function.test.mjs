/** A function that there is already, here or in another stack. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  arnOf,
  cdk,
  infra,
  lambda,
  newApp,
  only,
  otherFunction,
  queueNamed,
  statementsOf,
  Template,
} from './support/infra.mjs';

const TOPIC = 'commercetools-webhook-test';
const ENVIRONMENT = { env: { account: '123456789012', region: 'eu-central-1' } };
const topicOf = (template) =>
  only(template, 'AWS::SNS::Topic', ({ Properties }) => Properties.TopicName === TOPIC);

describe('a function of another stack', () => {
  /** Stacks in the order in which they are deployed. */
  function twoStacks(props = {}, functionProps = {}) {
    const app = newApp();
    const theirs = new cdk.Stack(app, 'Theirs', ENVIRONMENT);
    const lambdaFunction = otherFunction(theirs, functionProps);
    const stack = new infra.CdkStack(app, 'Test', {
      ...ENVIRONMENT,
      environment: 'test',
      lambdaFunction,
      ...props,
    });
    const template = Template.fromStack(stack);
    return { stack, template, theirs, theirTemplate: Template.fromStack(theirs) };
  }

  test('is subscribed and permitted here, and its stack is deployed first', () => {
    const { stack, template, theirs, theirTemplate } = twoStacks();
    template.resourceCountIs('AWS::Lambda::Function', 0);
    const [[exported, { Value: functionArn }]] = Object.entries(theirTemplate.findOutputs('*'));
    assert.deepEqual(functionArn, arnOf(only(theirTemplate, 'AWS::Lambda::Function')[0]));
    const imported = { 'Fn::ImportValue': `Theirs:${exported}` };
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'lambda',
      Endpoint: imported,
      TopicArn: { Ref: topicOf(template)[0] },
    });
    template.hasResourceProperties('AWS::Lambda::Permission', {
      Principal: 'sns.amazonaws.com',
      Action: 'lambda:InvokeFunction',
      FunctionName: imported,
      SourceArn: { Ref: topicOf(template)[0] },
    });
    assert.deepEqual(
      stack.dependencies.map(({ node }) => node.id),
      ['Theirs'],
    );
    assert.deepEqual(theirs.dependencies, []);
    theirTemplate.resourceCountIs('AWS::SNS::Subscription', 0);
  });

  test('is watched', () => {
    const { template } = twoStacks();
    const alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm'));
    const errors = alarms.find(({ Properties }) => Properties.MetricName === 'Errors');
    assert.match(JSON.stringify(errors.Properties.Dimensions), /Fn::ImportValue/);
  });

  test('may read the queue', () => {
    const { template, theirs, theirTemplate } = twoStacks(
      { delivery: 'sqs' },
      { timeout: cdk.Duration.seconds(20) },
    );
    const [policyId, policy] = only(
      template,
      'AWS::IAM::ManagedPolicy',
      ({ Properties }) => Properties.Roles !== undefined,
    );
    assert.match(JSON.stringify(policy.Properties.Roles), /Fn::ImportValue/);
    const [queueId, queue] = queueNamed(template, TOPIC);
    const [undelivered] = queueNamed(template, `${TOPIC}-undelivered`);
    const { ReadQueues, UseKey } = statementsOf(policy);
    assert.deepEqual(ReadQueues.Resource, [arnOf(queueId), arnOf(undelivered)]);
    assert.equal(UseKey.Action, 'kms:Decrypt');
    for (const mapping of Object.values(template.findResources('AWS::Lambda::EventSourceMapping'))) {
      assert.deepEqual(mapping.DependsOn, [policyId]);
    }
    assert.equal(queue.Properties.VisibilityTimeout, 120);
    assert.deepEqual(theirs.dependencies, []);
    assert.deepEqual(theirTemplate.findResources('AWS::IAM::Policy'), {});
  });

  test('that is in the same stack is subscribed as it is', () => {
    const app = newApp();
    const stack = new cdk.Stack(app, 'One');
    const lambdaFunction = otherFunction(stack);
    const segment = new infra.CommercetoolsSegment(stack, 'Segment', { environment: 'test', lambdaFunction });
    const template = Template.fromStack(stack);
    assert.equal(segment.function, lambdaFunction);
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Endpoint: arnOf(only(template, 'AWS::Lambda::Function')[0]),
    });
    assert.deepEqual(template.findOutputs('*'), {});
  });

  test('whose role nobody knows can not read the queue', () => {
    const app = newApp();
    const stack = new cdk.Stack(app, 'One');
    const functionArn = 'arn:aws:lambda:eu-central-1:123456789012:function:theirs';
    const lambdaFunction = lambda.Function.fromFunctionArn(stack, 'Theirs', functionArn);
    const props = { environment: 'test', delivery: 'sqs', lambdaFunction };
    assert.throws(() => new infra.CommercetoolsSegment(stack, 'Segment', props), {
      message:
        'lambdaFunction has no role that is known here. Import it with its role to let it read the queue.',
    });
  });
});
