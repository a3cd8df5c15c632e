/** Where the write key of a function is: in its environment, in Secrets Manager, or in Systems Manager. */
import type * as SecretsManager from '@aws-sdk/client-secrets-manager';
import type * as SystemsManager from '@aws-sdk/client-ssm';

import { isBlank } from '../blank.js';
import { AnalyticsError, invalidOption } from '../errors.js';
import type { Log } from '../logger.js';
import { BLANK_WRITE_KEY, writeKeyOf } from '../options.js';

/** The write key, or how to get it. */
export type WriteKeySource = string | (() => Promise<string> | string);

/** As long as AWS's own extension keeps a secret: a new key is in use after that. */
const MAX_AGE_MS = 300_000;
/** Of a request to AWS, which the SDK tries three times. */
const REQUEST_HANDLER = { connectionTimeout: 1_000, requestTimeout: 3_000 };

/** Gets the write key when it is needed, keeps it for five minutes, and asks once for all who wait. */
export class WriteKey {
  readonly #get: () => Promise<string> | string;
  readonly #log: Log | undefined;
  #known: string | undefined;
  #knownSince = 0;
  #asking: Promise<string> | undefined;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(
    source: WriteKeySource | undefined,
    log: Log | undefined,
    env: NodeJS.ProcessEnv = process.env,
  ) {
    if (source !== undefined && typeof source !== 'string' && typeof source !== 'function') {
      throw invalidOption('writeKey', 'a string, or a function that resolves to one');
    }
    // What is wrong with a key that is written down shows when the function is loaded.
    if (typeof source === 'string' && !isBlank(source)) writeKeyOf(source);
    this.#get = typeof source === 'function' ? source : () => source ?? fromEnvironment(env);
    this.#log = log;
  }

  /** @throws AnalyticsError `ERR_WRITE_KEY_MISSING`, or the error of the application's function */
  async current(): Promise<string> {
    const age = Date.now() - this.#knownSince;
    if (this.#known !== undefined && age >= 0 && age < MAX_AGE_MS) return this.#known;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask(): Promise<string> {
    try {
      this.#known = writeKeyOf(await this.#get(), BLANK_WRITE_KEY);
    } catch (error) {
      if (this.#known === undefined) throw error;
      // The key that is known is likely to be right still.
      const { name } = Object(error) as { name?: unknown };
      this.#log?.('warn', 'the write key could not be read again; the old one stays in use', { error: name });
    }
    this.#knownSince = Date.now();
    return this.#known;
  }
}

function fromEnvironment(env: NodeJS.ProcessEnv): Promise<string> | string {
  const {
    SEGMENT_WRITE_KEY: key,
    SEGMENT_WRITE_KEY_SECRET_ARN: secret,
    SEGMENT_WRITE_KEY_PARAMETER: parameter,
  } = env;
  if (key !== undefined && key !== '') return key;
  if (secret) {
    const text = fromSecret(secret, env['SEGMENT_WRITE_KEY_SECRET_FIELD']);
    return readFrom('SEGMENT_WRITE_KEY_SECRET_ARN', text);
  }
  if (parameter) return readFrom('SEGMENT_WRITE_KEY_PARAMETER', fromParameter(parameter));
  throw missing('Missing SEGMENT_WRITE_KEY');
}

/** What AWS has to say names its resources: the kind of the error is enough, and the variable to look at. */
async function readFrom(variable: string, key: Promise<string>): Promise<string> {
  try {
    return await key;
  } catch (error) {
    if (error instanceof AnalyticsError) throw error;
    const { code, name } = Object(error) as { code?: unknown; name?: unknown };
    throw missing(`The write key can't be read from ${variable}: ${String(code ?? name)}`);
  }
}

async function fromSecret(id: string, field: string | undefined): Promise<string> {
  const { SecretsManagerClient, GetSecretValueCommand } = sdk('secrets-manager') as typeof SecretsManager;
  const client = new SecretsManagerClient({ requestHandler: REQUEST_HANDLER });
  try {
    const { SecretString: text = '' } = await client.send(new GetSecretValueCommand({ SecretId: id }));
    return field ? memberOf(text, field) : text;
  } finally {
    client.destroy();
  }
}

async function fromParameter(name: string): Promise<string> {
  const { SSMClient, GetParameterCommand } = sdk('ssm') as typeof SystemsManager;
  const client = new SSMClient({ requestHandler: REQUEST_HANDLER });
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name: name, WithDecryption: true }));
    return Parameter?.Value ?? '';
  } finally {
    client.destroy();
  }
}

/** Not `import()`, which does not find the SDK that Lambda's runtime brings along. No bundler follows a variable. */
function sdk(service: string): unknown {
  const name = `@aws-sdk/client-${service}`;
  try {
    // oxlint-disable-next-line typescript/no-require-imports
    return require(name);
  } catch {
    const text = `The write key can't be read: ${name} is not there. Install it, or run where Lambda brings it along.`;
    throw missing(text);
  }
}

/** What the secret holds must not get into an error. */
function memberOf(text: string, field: string): string {
  let value: unknown;
  try {
    value = (JSON.parse(text) as Record<string, unknown> | null)?.[field];
  } catch {
    // Told of below.
  }
  if (typeof value === 'string') return value;
  throw missing(`The secret is no JSON object with the text ${field} (SEGMENT_WRITE_KEY_SECRET_FIELD).`);
}

function missing(text: string): AnalyticsError {
  return new AnalyticsError('ERR_WRITE_KEY_MISSING', text, { field: 'writeKey' });
}
