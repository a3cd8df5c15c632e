/** Values of the command line (`-c name=value`) and of cdk.json, as options of stacks. */
import { Duration } from 'aws-cdk-lib';
import { Architecture, Runtime } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';

import { ENVIRONMENT } from './names.js';
import type { CommercetoolsSegmentProps, Delivery } from './props.js';
import { WriteKey } from './write-key.js';

/** What is wrong with a value, in one line for whoever gave it. */
export class ContextError extends Error {
  override readonly name = 'ContextError';
}

export interface AppSettings {
  readonly account: string | undefined;
  /** Empty: one stack that goes wherever it is deployed to. */
  readonly regions: readonly string[];
  readonly props: CommercetoolsSegmentProps;
}

type Environment = Readonly<Record<string, string | undefined>>;

const NAMES = [
  'environment',
  'account',
  'regions',
  'delivery',
  'runtime',
  'architecture',
  'addon',
  'memorySize',
  'timeout',
  'reservedConcurrency',
  'logRetention',
  'userId',
  'segmentHost',
  'segmentRegion',
  'poisonRecords',
  'commercetoolsPrincipalArn',
  'alarmEmail',
  'writeKeySecretName',
  'writeKeySecretArn',
  'writeKeySecretField',
  'writeKeyParameter',
  'writeKeyEncryptionKeyArn',
  'writeKeyVariable',
] as const;

type Name = (typeof NAMES)[number];
type Values = Readonly<Partial<Record<Name, string>>>;

const RUNTIMES = { '20': Runtime.NODEJS_20_X, '22': Runtime.NODEJS_22_X, '24': Runtime.NODEJS_24_X } as const;
const ARCHITECTURES = { arm64: Architecture.ARM_64, x86_64: Architecture.X86_64 } as const;
/** By their number of days. */
const RETENTIONS = Object.fromEntries(
  Object.values(RetentionDays)
    .filter((days) => typeof days === 'number' && days !== RetentionDays.INFINITE)
    .map((days) => [String(days), days as RetentionDays]),
);
const KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/.+$/;
const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d$/;

/** @throws ContextError */
export function settingsFrom(context: Readonly<Record<string, unknown>>, env: Environment): AppSettings {
  const values = valuesOf(context);
  const { environment = 'dev', account } = values;
  if (!ENVIRONMENT.test(environment))
    throw wrong('environment', environment, '1 to 30 letters, digits and "-"');
  if (account !== undefined && !/^\d{12}$/.test(account)) throw wrong('account', account, '12 digits');
  const regions = regionsOf(values);
  return {
    account,
    regions,
    props: {
      environment,
      delivery: choice(values, 'delivery', ['lambda', 'sqs']) satisfies Delivery | undefined,
      runtime: lookUp(values, 'runtime', RUNTIMES),
      architecture: lookUp(values, 'architecture', ARCHITECTURES),
      addon: values.addon,
      memorySize: wholeNumber(values, 'memorySize'),
      timeout: timeoutOf(values),
      reservedConcurrency:
        values.reservedConcurrency === 'unreserved'
          ? 'unreserved'
          : wholeNumber(values, 'reservedConcurrency'),
      logRetention: lookUp(values, 'logRetention', RETENTIONS),
      userId: choice(values, 'userId', ['email', 'customerId', 'customerNumber', 'externalId']),
      segmentHost: hostOf(values),
      segmentRegion: choice(values, 'segmentRegion', ['us', 'eu']),
      poisonRecords: choice(values, 'poisonRecords', ['acknowledge', 'dead-letter']),
      commercetoolsPrincipalArn: values.commercetoolsPrincipalArn,
      alarmEmail: values.alarmEmail,
      writeKey: writeKeyOf(values, regions, env),
    },
  };
}

/** What has a colon or a slash in its name belongs to the CDK. */
function valuesOf(context: Readonly<Record<string, unknown>>): Values {
  const given = Object.entries(context).filter(([name]) => !/[:/]/.test(name));
  const unknown = given.find(([name]) => !NAMES.some((known) => known === name));
  if (unknown !== undefined) {
    throw new ContextError(`There is no context value "${unknown[0]}". There are: ${NAMES.join(', ')}.`);
  }
  return Object.fromEntries(given.map(([name, value]) => [name, textOf(name, value)]));
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string' && value.trim() !== '') return value.trim();
  throw new ContextError(`The context value ${name} is empty.`);
}

function regionsOf({ regions }: Values): string[] {
  if (regions === undefined) return [];
  const names = regions.split(',').map((name) => name.trim());
  const invalid = names.find((name) => !REGION.test(name));
  if (invalid !== undefined) throw wrong('regions', invalid, 'names of regions with commas between them');
  if (new Set(names).size < names.length) throw wrong('regions', regions, 'different regions');
  return names;
}

function writeKeyOf(values: Values, regions: readonly string[], env: Environment): WriteKey | undefined {
  const sources = (
    ['writeKeySecretName', 'writeKeySecretArn', 'writeKeyParameter', 'writeKeyVariable'] as const
  ).filter((name) => values[name] !== undefined);
  const [source] = sources;
  if (sources.length > 1)
    throw new ContextError(`Only one of ${sources.join(' and ')} can be where the write key is.`);
  checkCompanions(values, source);
  const { writeKeySecretField: field, writeKeyEncryptionKeyArn: encryptionKeyArn } = values;
  switch (source) {
    case 'writeKeySecretName':
      return WriteKey.secret(values[source] ?? '', { field, encryptionKeyArn });
    case 'writeKeySecretArn':
      return WriteKey.secret(secretArnOf(values[source] ?? '', regions), { field, encryptionKeyArn });
    case 'writeKeyParameter':
      return WriteKey.parameter(values[source] ?? '', { encryptionKeyArn });
    case 'writeKeyVariable':
      return WriteKey.environmentVariable(writeKeyIn(env, values[source] ?? ''));
    default:
      return undefined;
  }
}

function checkCompanions(values: Values, source: Name | undefined): void {
  const { writeKeyEncryptionKeyArn: keyArn } = values;
  if (keyArn !== undefined && !KEY_ARN.test(keyArn)) {
    throw wrong('writeKeyEncryptionKeyArn', keyArn, 'the ARN of a key');
  }
  const isSecret = source === 'writeKeySecretName' || source === 'writeKeySecretArn';
  if (values.writeKeySecretField !== undefined && !isSecret) {
    throw new ContextError('writeKeySecretField needs writeKeySecretName or writeKeySecretArn.');
  }
  if (keyArn !== undefined && !isSecret && source !== 'writeKeyParameter') {
    throw new ContextError(
      'writeKeyEncryptionKeyArn needs writeKeySecretName, writeKeySecretArn or writeKeyParameter.',
    );
  }
}

/** A function reads secrets of its own region. */
function secretArnOf(arn: string, regions: readonly string[]): string {
  const [, region] = /^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:.+-\w{6}$/.exec(arn) ?? [];
  if (region === undefined) throw wrong('writeKeySecretArn', arn, 'the whole ARN of a secret');
  const other = regions.find((name) => name !== region);
  if (other !== undefined) {
    throw new ContextError(
      `writeKeySecretArn is a secret of ${region}, and there is a stack for ${other}. Use writeKeySecretName.`,
    );
  }
  return arn;
}

/** The key itself must not be an argument: those are visible to other users. */
function writeKeyIn(env: Environment, variable: string): string {
  const key = env[variable];
  if (key === undefined || key.trim() === '') {
    throw new ContextError(`writeKeyVariable names ${variable}, and there is nothing in it.`);
  }
  return key;
}

function timeoutOf(values: Values): Duration | undefined {
  const seconds = wholeNumber(values, 'timeout');
  return seconds === undefined ? undefined : Duration.seconds(seconds);
}

function hostOf({ segmentHost: host }: Values): string | undefined {
  if (host === undefined || (URL.canParse(host) && new URL(host).protocol === 'https:')) return host;
  throw wrong('segmentHost', host, 'an https URL');
}

function choice<Choice extends string>(
  values: Values,
  name: Name,
  choices: readonly Choice[],
): Choice | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const known = choices.find((candidate) => candidate === value);
  if (known === undefined) throw wrong(name, value, `one of ${choices.join(', ')}`);
  return known;
}

function lookUp<Value>(
  values: Values,
  name: Name,
  table: Readonly<Record<string, Value>>,
): Value | undefined {
  const key = choice(values, name, Object.keys(table));
  return key === undefined ? undefined : table[key];
}

function wholeNumber(values: Values, name: Name): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  if (!/^\d{1,6}$/.test(value)) throw wrong(name, value, 'a whole number');
  return Number(value);
}

function wrong(name: Name, value: string, expected: string): ContextError {
  return new ContextError(`The context value ${name} must be ${expected}, not "${value}".`);
}
