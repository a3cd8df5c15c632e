/** The CDK app, synthesized in this process, and what its templates hold. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const INFRA = fileURLToPath(new URL('../../infra/', import.meta.url));
const require = createRequire(join(INFRA, 'package.json'));

export const cdk = require('aws-cdk-lib');
export const lambda = require('aws-cdk-lib/aws-lambda');
export const { Template, Match, Annotations } = require('aws-cdk-lib/assertions');
export const { AwsSolutionsChecks, HIPAASecurityChecks } = require('cdk-nag');
export const infra = await import('../../infra/dist/index.js');
export const elf = await import('../../infra/dist/elf.js');

/** Lambda's architectures, by Node's names for their processors. */
export const CPUS = { x86_64: 'x64', arm64: 'arm64' };

/** A folder that is gone with the process. Bundles in it are made once. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'companion-infra-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const OUTDIR = temporaryFolder();

/** Without the validation of CloudFormation, which takes seconds and has a test of its own. */
export const newApp = () =>
  new cdk.App({ outdir: OUTDIR, analyticsReporting: false, builtinCloudFormationValidation: false });

/** A stack of the environment `test` and its template. */
export function synthesize(props = {}, stackProps = {}) {
  const app = newApp();
  const stack = new infra.CdkStack(app, 'Test', { environment: 'test', ...stackProps, ...props });
  return { app, stack, segment: stack.segment, template: Template.fromStack(stack) };
}

/** A construct in a stack of somebody else, which `make` may add to. */
export function constructIn(make) {
  const stack = new cdk.Stack(newApp(), 'Test');
  const segment = new infra.CommercetoolsSegment(stack, 'Segment', { environment: 'test', ...make(stack) });
  return { stack, segment, template: Template.fromStack(stack) };
}

/** A function that somebody else has, in a stack of its own or in this one. */
export const otherFunction = (scope, props = {}) =>
  new lambda.Function(scope, 'Theirs', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = async () => {};'),
    ...props,
  });

/** The only resource of a type, as `[logical id, resource]`; `matches` picks among several. */
export function only(template, type, matches = () => true) {
  const found = Object.entries(template.findResources(type)).filter(([, resource]) => matches(resource));
  if (found.length !== 1) throw new Error(`${found.length} resources of ${type}`);
  return found[0];
}

/** `{ name, queue }` of a queue by its name. */
export const queueNamed = (template, name) =>
  only(template, 'AWS::SQS::Queue', ({ Properties }) => Properties.QueueName === name);

export const functionNamed = (template, name) =>
  only(template, 'AWS::Lambda::Function', ({ Properties }) => Properties.FunctionName === name);

export const arnOf = (logicalId) => ({ 'Fn::GetAtt': [logicalId, 'Arn'] });

/** The statements of a policy by their `Sid`. */
export const statementsOf = ({ Properties }) => {
  const { Statement } = Properties.PolicyDocument ?? Properties.KeyPolicy;
  return Object.fromEntries(Statement.map((statement) => [statement.Sid ?? statement.Effect, statement]));
};

/** What a function may do: statements of the only policy that its role has. */
export function permissionsOf(template, functionName) {
  const [, { Properties }] = functionNamed(template, functionName);
  const role = template.toJSON().Resources[Properties.Role['Fn::GetAtt'][0]];
  const [{ Ref: policy }, ...others] = role.Properties.ManagedPolicyArns;
  if (others.length > 0 || role.Properties.Policies !== undefined) throw new Error('more than one policy');
  return statementsOf(template.toJSON().Resources[policy]);
}

/** Names and places of what the rules find, acknowledged or not. */
export function findingsIn(scope) {
  const packs = [new AwsSolutionsChecks(), new HIPAASecurityChecks()];
  return packs.flatMap((pack) =>
    pack
      .validateScope(scope)
      .violations.flatMap(({ ruleName, violatingResources }) =>
        violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath}`),
      ),
  );
}
