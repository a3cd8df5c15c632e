/**
 * The CDK app: one stack per region. `cdk` runs it; `node dist/app.js -c environment=prod --output cdk.out` does without
 * that command.
 */
import { parseArgs } from 'node:util';

import type { App } from 'aws-cdk-lib';

import { CdkStack } from './cdk-stack.js';
import { checkedApp } from './checks.js';
import { ContextError, settingsFrom, type AppSettings } from './context.js';
import { summaryOf } from './summary.js';

try {
  main();
} catch (error) {
  if (!isComplaint(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** Whatever is wrong with what was given says so itself. The rest is a mistake here. */
function isComplaint(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  const isOfArguments = typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
  return isOfArguments || !(error instanceof TypeError || error instanceof ReferenceError);
}

function main(): void {
  const { context, outdir } = argumentsOf(process.argv.slice(2));
  const app = checkedApp({ context, outdir, analyticsReporting: false });
  const settings = settingsFrom(app.node.getAllContext() as Record<string, unknown>, process.env);
  addStacks(app, settings);
  const assembly = app.synth();
  // The command of the CDK says it itself.
  if (process.env['CDK_OUTDIR'] === undefined) process.stdout.write(summaryOf(app, assembly));
}

function argumentsOf(args: string[]): { context: Record<string, string>; outdir: string | undefined } {
  const { values } = parseArgs({
    args,
    options: {
      context: { type: 'string', short: 'c', multiple: true },
      output: { type: 'string', short: 'o' },
    },
  });
  const pairs = (values.context ?? []).map((pair) => {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (name === undefined || value === undefined)
      throw new ContextError(`-c takes name=value, not "${pair}".`);
    return [name, value] as const;
  });
  return { context: Object.fromEntries(pairs), outdir: values.output };
}

function addStacks(
  app: App,
  { account = process.env['CDK_DEFAULT_ACCOUNT'], regions, props }: AppSettings,
): CdkStack[] {
  const id = `CommercetoolsSegment-${props.environment}`;
  if (regions.length === 0) {
    return [new CdkStack(app, id, { ...props, env: { account, region: process.env['CDK_DEFAULT_REGION'] } })];
  }
  return regions.map(
    (region) => new CdkStack(app, `${id}-${region}`, { ...props, env: { account, region } }),
  );
}
