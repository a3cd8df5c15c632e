/** Where the function has Segment's write key from. */
import { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Secret, type ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IStringParameter } from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';

/** What a function needs to have a write key. */
export interface BoundWriteKey {
  readonly environment: Readonly<Record<string, string>>;
  readonly statements: readonly PolicyStatement[];
  /** Whether the key itself stands in the template. */
  readonly isInTemplate: boolean;
}

export interface StoredWriteKeyOptions {
  /** ARN of the key that the value is encrypted with, if that is not the one of AWS and not known from the construct. */
  readonly encryptionKeyArn?: string;
}

export interface SecretWriteKeyOptions extends StoredWriteKeyOptions {
  /** The field with the write key, if the secret is a JSON object. */
  readonly field?: string;
}

/** Where the function has Segment's write key from. */
export class WriteKey {
  private constructor(
    /** @internal */
    readonly bind: (scope: Construct) => BoundWriteKey,
  ) {}

  /**
   * A secret of Secrets Manager, which the function reads when it starts and every five minutes.
   *
   * @param secret the secret, its whole ARN, or its name in the account and region of the function
   */
  static secret(secret: ISecret | string, options: SecretWriteKeyOptions = {}): WriteKey {
    return new WriteKey((scope) => secretKey(secretOf(scope, secret), options));
  }

  /**
   * A SecureString of the Parameter Store, which the function reads when it starts and every five minutes.
   *
   * @param parameter the parameter, or its name in the account and region of the function
   */
  static parameter(parameter: IStringParameter | string, options: StoredWriteKeyOptions = {}): WriteKey {
    return new WriteKey((scope) => parameterKey(scope, parameter, options.encryptionKeyArn));
  }

  /**
   * The write key itself, in the function's environment. Whoever may read the template or the function's configuration
   * may read it; a warning says so.
   *
   * @throws Error it is empty
   */
  static environmentVariable(writeKey: string): WriteKey {
    if (writeKey.trim() === '') throw new Error('Write key cannot be empty or whitespace only');
    const environment = { SEGMENT_WRITE_KEY: writeKey };
    return new WriteKey(() => ({ environment, statements: [], isInTemplate: true }));
  }
}

function secretOf(scope: Construct, secret: ISecret | string): ISecret {
  if (typeof secret !== 'string') return secret;
  return secret.startsWith('arn:')
    ? Secret.fromSecretCompleteArn(scope, 'WriteKeySecret', secret)
    : Secret.fromSecretNameV2(scope, 'WriteKeySecret', secret);
}

function secretKey(secret: ISecret, { field, encryptionKeyArn }: SecretWriteKeyOptions): BoundWriteKey {
  const environment = {
    // An ARN without the six characters at its end may be taken for another one; a name may not.
    SEGMENT_WRITE_KEY_SECRET_ARN: secret.secretFullArn ?? secret.secretName,
    ...(field !== undefined && { SEGMENT_WRITE_KEY_SECRET_FIELD: field }),
  };
  const read = new PolicyStatement({
    sid: 'ReadWriteKey',
    actions: ['secretsmanager:GetSecretValue'],
    // Behind a name Secrets Manager puts six characters of its own.
    resources: [secret.secretFullArn ?? `${secret.secretArn}-??????`],
  });
  const keyArn = encryptionKeyArn ?? secret.encryptionKey?.keyArn;
  return { environment, statements: [read, ...decryption(keyArn)], isInTemplate: false };
}

function parameterKey(
  scope: Construct,
  parameter: string | IStringParameter,
  encryptionKeyArn: string | undefined,
): BoundWriteKey {
  const name = typeof parameter === 'string' ? parameter : parameter.parameterName;
  const arn =
    typeof parameter === 'string'
      ? Stack.of(scope).formatArn({
          service: 'ssm',
          resource: 'parameter',
          resourceName: parameter.replace(/^\//, ''),
        })
      : parameter.parameterArn;
  const read = new PolicyStatement({ sid: 'ReadWriteKey', actions: ['ssm:GetParameter'], resources: [arn] });
  return {
    environment: { SEGMENT_WRITE_KEY_PARAMETER: name },
    statements: [read, ...decryption(encryptionKeyArn)],
    isInTemplate: false,
  };
}

/** The keys of AWS, `aws/secretsmanager` and `aws/ssm`, need no permission. */
function decryption(keyArn: string | undefined): PolicyStatement[] {
  if (keyArn === undefined) return [];
  return [new PolicyStatement({ sid: 'DecryptWriteKey', actions: ['kms:Decrypt'], resources: [keyArn] })];
}
