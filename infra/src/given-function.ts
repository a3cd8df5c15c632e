/** A function that there is already, often in another stack. */
import { Stack } from 'aws-cdk-lib';
import { ManagedPolicy, PolicyStatement, Role } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Function as LambdaFunction, type IFunction } from 'aws-cdk-lib/aws-lambda';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

import { readQueues } from './function.js';

/**
 * The function as this stack sees it. One of another stack is imported: the CDK would put subscription and permission
 * into the function's stack and make it depend on the topic, while what watches the function here depends on it.
 */
export function givenFunction(scope: Construct, given: IFunction): IFunction {
  if (Stack.of(given) === Stack.of(scope)) return given;
  return LambdaFunction.fromFunctionAttributes(scope, 'GivenFunction', {
    functionArn: given.functionArn,
    sameEnvironment: true,
  });
}

/**
 * Lets the function's role read queues. Whatever reads them for it has to wait for the policy.
 *
 * @throws Error its role is not known
 */
export function letRead(
  scope: Construct,
  { role }: IFunction,
  queues: readonly IQueue[],
  key: IKey,
): ManagedPolicy {
  if (role === undefined) {
    throw new Error(
      'lambdaFunction has no role that is known here. Import it with its role to let it read the queue.',
    );
  }
  return new ManagedPolicy(scope, 'GivenFunctionPolicy', {
    description: 'Lets a function read the notifications of Commercetools',
    roles: [Stack.of(role) === Stack.of(scope) ? role : Role.fromRoleArn(scope, 'GivenRole', role.roleArn)],
    statements: [
      ...readQueues(queues),
      new PolicyStatement({ sid: 'UseKey', actions: ['kms:Decrypt'], resources: [key.keyArn] }),
    ],
  });
}
