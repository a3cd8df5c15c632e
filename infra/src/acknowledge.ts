/** Findings of cdk-nag that are as they should be, each with its reason. */
import { Validations } from 'aws-cdk-lib';
import { Runtime } from 'aws-cdk-lib/aws-lambda';
import type { IConstruct } from 'constructs';

export function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  Validations.of(construct).acknowledge(...Object.entries(reasons).map(([id, reason]) => ({ id, reason })));
}

export interface FunctionFacts {
  readonly runtime: Runtime;
  readonly isInVpc: boolean;
  readonly hasReservedConcurrency: boolean;
  readonly readsQueue: boolean;
}

/** What is said of a function, depending on how it is made. */
export function acknowledgeFunction(construct: IConstruct, facts: FunctionFacts): void {
  const { runtime, isInVpc, hasReservedConcurrency, readsQueue } = facts;
  acknowledge(construct, {
    ...(runtime.name !== latestRuntime() && {
      'AwsSolutions-L1': `${runtime.name} is the choice of whoever deploys: the package runs on it, and the CDK warns of what AWS gives up.`,
    }),
    ...(!isInVpc && {
      'HIPAA.Security-LambdaInsideVPC':
        'The function talks to Segment and to public endpoints of AWS over TLS, and to nothing in a VPC. The option vpc puts it into one.',
    }),
    ...(!hasReservedConcurrency && {
      'HIPAA.Security-LambdaConcurrency':
        'The option reservedConcurrency is "unreserved": the account is the bound.',
    }),
    ...(readsQueue && {
      'HIPAA.Security-LambdaDLQ':
        'Lambda reads a queue for the function and invokes it synchronously: what fails stays in the queue, or goes to its dead letters.',
    }),
  });
}

/** As the rule finds it: the highest of those that this version of the CDK knows. */
function latestRuntime(): string | undefined {
  const versions = Runtime.ALL.map(({ name }) => name).filter((name) => name.startsWith('nodejs'));
  return versions.toSorted((one, other) => other.localeCompare(one, undefined, { numeric: true }))[0];
}
