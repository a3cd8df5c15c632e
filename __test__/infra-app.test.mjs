/** The CDK app as a command: values in, stacks out, one line for what is wrong. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { INFRA, temporaryFolder } from './support/infra.mjs';

const { settingsFrom } = await import('../infra/dist/context.js');
const APP = join(INFRA, 'dist', 'app.js');
const FOLDER = temporaryFolder();
const KEY = 'write-key-canary';

/** What this process inherited and the app does not look at. */
const FOREIGN = /^(?:CDK_|AWS_|SEGMENT_|NODE_OPTIONS$)/;
const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));

/** The command in a process of its own, away from the repository. */
function synth(values = {}, { env = {}, args = [] } = {}) {
  const context = Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const outdir = join(FOLDER, 'cdk.out');
  const given = args.length > 0 ? args : [...context, '--output', outdir];
  const result = spawnSync(process.execPath, [APP, ...given], {
    cwd: FOLDER,
    env: { ...inherited, ...env },
    encoding: 'utf8',
  });
  // What the CDK is about is no matter of ours.
  const complaints = result.stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('Bundling asset '));
  return { ...result, complaints, outdir };
}

const templateOf = (outdir, stack) =>
  JSON.parse(readFileSync(join(outdir, `${stack}.template.json`), 'utf8'));
const functionOf = (template) =>
  Object.values(template.Resources).find(({ Type }) => Type === 'AWS::Lambda::Function').Properties;

describe('the app', () => {
  test('makes an example of a stack without any value', () => {
    const { status, stdout, complaints, outdir } = synth();
    assert.deepEqual(complaints, []);
    assert.equal(status, 0);
    const template = templateOf(outdir, 'CommercetoolsSegment-dev');
    assert.equal(functionOf(template).FunctionName, 'commercetools-segment-dev');
    const resources = Object.keys(template.Resources).length;
    assert.ok(
      stdout.includes(`Stack CommercetoolsSegment-dev: ${resources} resources, any account, any region\n`),
    );
    const assets = stdout.split('\n').filter((line) => line.startsWith('asset.'));
    assert.equal(assets.length, 2);
    for (const line of assets) {
      assert.match(
        line,
        /^asset\.[0-9a-f]{12}: companion-segment\.linux-x64-gnu\.node \(\d+ KiB\), index\.js \(\d+ KiB\)$/,
      );
    }
    assert.match(
      stdout,
      /\nFindings of AwsSolutions and HIPAA\.Security: none; acknowledged: AwsSolutions-L1, /,
    );
    assert.ok(stdout.endsWith(`In ${outdir}\n`));
  });

  test('makes a stack per region, with all that is said', () => {
    const { status, stdout, outdir } = synth({
      environment: 'prod',
      account: '123456789012',
      regions: 'eu-central-1, us-east-1',
      delivery: 'sqs',
      runtime: '24',
      architecture: 'arm64',
      memorySize: '512',
      timeout: '20',
      reservedConcurrency: '5',
      logRetention: '365',
      userId: 'customerId',
      segmentHost: 'https://segment.example.com',
      segmentRegion: 'eu',
      poisonRecords: 'dead-letter',
      commercetoolsPrincipalArn: 'arn:aws:iam::123456789012:user/publisher',
      alarmEmail: 'operators@example.com',
      writeKeySecretName: 'segment-key',
      writeKeySecretField: 'writeKey',
    });
    assert.equal(status, 0);
    for (const region of ['eu-central-1', 'us-east-1']) {
      const name = `CommercetoolsSegment-prod-${region}`;
      assert.match(stdout, new RegExp(`^Stack ${name}: \\d+ resources, 123456789012, ${region}$`, 'm'));
      const template = templateOf(outdir, name);
      const { Environment, Runtime, Architectures, MemorySize, Timeout, ReservedConcurrentExecutions } =
        functionOf(template);
      assert.deepEqual(
        [Runtime, Architectures, MemorySize, Timeout, ReservedConcurrentExecutions],
        ['nodejs24.x', ['arm64'], 512, 20, 5],
      );
      assert.deepEqual(Environment.Variables, {
        SEGMENT_WRITE_KEY_SECRET_ARN: 'segment-key',
        SEGMENT_WRITE_KEY_SECRET_FIELD: 'writeKey',
        SEGMENT_USER_ID: 'customerId',
        SEGMENT_HOST: 'https://segment.example.com',
        SEGMENT_REGION: 'eu',
        SEGMENT_POISON_RECORDS: 'dead-letter',
        POWERTOOLS_SERVICE_NAME: 'commercetools-segment-prod',
        POWERTOOLS_METRICS_NAMESPACE: 'CommercetoolsSegment',
      });
      const text = JSON.stringify(template);
      for (const expected of [
        `:secretsmanager:${region}:123456789012:secret:segment-key-??????"`,
        'user/publisher',
        'operators@example.com',
        '"RetentionInDays":365',
      ]) {
        assert.ok(text.includes(expected), expected);
      }
    }
    // Both regions run the same code.
    assert.equal(stdout.split('\n').filter((line) => line.startsWith('asset.')).length, 1);
  });

  test('takes a secret by its ARN, in its region', () => {
    const writeKeySecretArn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:segment-Ab12Cd';
    const { status, outdir } = synth({ environment: 'arn', regions: 'eu-central-1', writeKeySecretArn });
    assert.equal(status, 0);
    const template = templateOf(outdir, 'CommercetoolsSegment-arn-eu-central-1');
    assert.equal(functionOf(template).Environment.Variables.SEGMENT_WRITE_KEY_SECRET_ARN, writeKeySecretArn);
  });

  test('takes the write key from a variable of the shell, and warns', () => {
    const values = { environment: 'open', writeKeyVariable: 'SHELL_KEY' };
    const { status, stdout, stderr, outdir } = synth(values, { env: { SHELL_KEY: KEY } });
    assert.equal(status, 0);
    const template = templateOf(outdir, 'CommercetoolsSegment-open');
    assert.equal(functionOf(template).Environment.Variables.SEGMENT_WRITE_KEY, KEY);
    assert.match(stdout, /\n {2}Warning: The write key stands in the template/);
    assert.ok(!stdout.includes(KEY) && !stderr.includes(KEY));
  });

  test('does as the command of the CDK tells it, and leaves the talking to it', () => {
    const outdir = join(FOLDER, 'of-the-command');
    mkdirSync(outdir);
    const context = {
      environment: 'cli',
      '@aws-cdk/core:enablePartitionLiterals': true,
      'aws:cdk:bundling-stacks': ['**'],
    };
    const env = {
      CDK_OUTDIR: outdir,
      CDK_CONTEXT_JSON: JSON.stringify(context),
      CDK_DEFAULT_ACCOUNT: '123456789012',
      CDK_DEFAULT_REGION: 'eu-west-1',
    };
    // Without arguments, as cdk.json has it.
    const { app } = JSON.parse(readFileSync(join(INFRA, 'cdk.json'), 'utf8'));
    assert.equal(app, 'node dist/app.js');
    const { status, stdout } = spawnSync(process.execPath, [APP], {
      cwd: FOLDER,
      env: { ...inherited, ...env },
      encoding: 'utf8',
    });
    assert.equal(status, 0);
    assert.equal(stdout, '');
    const { environment } = JSON.parse(readFileSync(join(outdir, 'manifest.json'), 'utf8')).artifacts[
      'CommercetoolsSegment-cli'
    ];
    assert.equal(environment, 'aws://123456789012/eu-west-1');
  });
});

describe('a value is refused because', () => {
  const arn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:segment-Ab12Cd';
  const value = (name, expected, given) => `The context value ${name} must be ${expected}, not "${given}".`;
  for (const [what, values, expected] of [
    [
      'there is no such value',
      { enviroment: 'prod' },
      /^There is no context value "enviroment"\. There are: environment, /,
    ],
    ['a value is empty', { environment: '' }, /^The context value environment is empty\.$/],
    [
      'the environment is no name',
      { environment: 'a b' },
      value('environment', '1 to 30 letters, digits and "-"', 'a b'),
    ],
    ['the account is none', { account: '12' }, value('account', '12 digits', '12')],
    [
      'the region is none',
      { regions: 'moon' },
      value('regions', 'names of regions with commas between them', 'moon'),
    ],
    ['a region is there twice', { regions: 'eu-west-1,eu-west-1' }, /must be different regions/],
    ['the delivery is none', { delivery: 'http' }, value('delivery', 'one of lambda, sqs', 'http')],
    ['the runtime is none', { runtime: '18' }, value('runtime', 'one of 20, 22, 24', '18')],
    [
      'the architecture is none',
      { architecture: 'x64' },
      value('architecture', 'one of arm64, x86_64', 'x64'),
    ],
    ['the memory is no number', { memorySize: '1e3' }, value('memorySize', 'a whole number', '1e3')],
    [
      'the retention is none',
      { logRetention: '8' },
      /^The context value logRetention must be one of 1, 3, 5, /,
    ],
    [
      'the host is in the clear',
      { segmentHost: 'http://example.com' },
      value('segmentHost', 'an https URL', 'http://example.com'),
    ],
    [
      'a secret is no whole ARN',
      { writeKeySecretArn: 'key' },
      value('writeKeySecretArn', 'the whole ARN of a secret', 'key'),
    ],
    [
      'a secret is in another region',
      { writeKeySecretArn: arn, regions: 'eu-central-1,us-east-1' },
      'writeKeySecretArn is a secret of eu-central-1, and there is a stack for us-east-1. Use writeKeySecretName.',
    ],
    [
      'there are two write keys',
      { writeKeySecretArn: arn, writeKeyParameter: '/key' },
      'Only one of writeKeySecretArn and writeKeyParameter can be where the write key is.',
    ],
    [
      'a field needs a secret',
      { writeKeySecretField: 'key' },
      'writeKeySecretField needs writeKeySecretName or writeKeySecretArn.',
    ],
    [
      'a key needs something to decrypt',
      { writeKeyEncryptionKeyArn: 'arn:aws:kms:eu-west-1:123456789012:key/1' },
      /^writeKeyEncryptionKeyArn needs /,
    ],
    [
      'a key is none',
      { writeKeyEncryptionKeyArn: '1' },
      value('writeKeyEncryptionKeyArn', 'the ARN of a key', '1'),
    ],
    [
      'there is no write key',
      { writeKeyVariable: 'NOT_THERE' },
      'writeKeyVariable names NOT_THERE, and there is nothing in it.',
    ],
  ]) {
    test(what, () => {
      assert.throws(() => settingsFrom(values, {}), { name: 'ContextError', message: expected });
    });
  }
});

describe('the app says in one line that', () => {
  const [x64, arm64] = ['x64', 'arm64'].map((cpu) =>
    join(INFRA, '..', 'npm', `linux-${cpu}-gnu`, `companion-segment.linux-${cpu}-gnu.node`),
  );
  const withValues = (values) =>
    Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  for (const [what, args, expected] of [
    ['a value is wrong', withValues({ regions: 'moon' }), /^The context value regions must be /],
    [
      'there is no such value',
      withValues({ enviroment: 'prod' }),
      /^There is no context value "enviroment"\. /,
    ],
    [
      'an option is wrong',
      withValues({ memorySize: '64' }),
      /^memorySize must be a whole number, 128 to 10240/,
    ],
    [
      'an option is for queues',
      withValues({ poisonRecords: 'dead-letter' }),
      /^poisonRecords is for the delivery "sqs"\.$/,
    ],
    ['the addon is for arm64', withValues({ addon: arm64 }), / is for arm64; the function is for x86_64\.$/],
    [
      'the addon is for x86_64',
      withValues({ addon: x64, architecture: 'arm64' }),
      / is for x86_64; the function is for arm64\.$/,
    ],
    ['an argument has no value', ['-c', 'environment'], /^-c takes name=value, not "environment"\.$/],
    ['there is no such argument', ['--contekst', 'a=b'], /^Unknown option '--contekst'/],
  ]) {
    test(what, () => {
      const { status, stdout, complaints } = synth({}, { args });
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.equal(complaints.length, 1, complaints.join('\n'));
      assert.match(complaints[0], expected);
    });
  }
});
