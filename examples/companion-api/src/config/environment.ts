import { plainToInstance, Transform } from 'class-transformer';
import {
  IsArray,
  IsInt,
  IsOptional,
  IsString,
  IsUrl,
  Max,
  Min,
  ValidateIf,
  validateSync,
} from 'class-validator';

/** An empty line of a `.env` file means: not set. */
const EmptyIsUnset = () => Transform(({ value }: { value: unknown }) => (value === '' ? undefined : value));

const List = () =>
  Transform(({ value }: { value: string }) =>
    value === '' ? undefined : value.split(',').map((item) => item.trim()),
  );

/** What the application is told from outside. */
export class Environment {
  @IsInt()
  @Min(0)
  @Max(65_535)
  PORT: number = 3_000;

  /** Not required here: SegmentModule refuses to start without it, and says what to do. */
  @IsOptional()
  @IsString()
  SEGMENT_WRITE_KEY?: string;

  /** Instead of Segment itself. */
  @IsOptional()
  @EmptyIsUnset()
  @IsUrl({ protocols: ['http', 'https'], require_protocol: true, require_tld: false })
  SEGMENT_HOST?: string;

  /** The source of the marketing team. Without it that team hears nothing. */
  @IsOptional()
  @EmptyIsUnset()
  @IsString()
  SEGMENT_MARKETING_WRITE_KEY?: string;

  /** Milliseconds that a shutdown may wait until Segment has everything. */
  @IsInt()
  @Min(0)
  SEGMENT_SHUTDOWN_TIMEOUT: number = 10_000;

  /** With commas between: the topics of SNS that Commercetools publishes to. Only what they have signed gets in. */
  @IsOptional()
  @List()
  @IsArray()
  WEBHOOK_TOPIC_ARNS?: string[];

  /** Without topics: what senders have to know. */
  @ValidateIf(({ WEBHOOK_TOPIC_ARNS }: Environment) => WEBHOOK_TOPIC_ARNS === undefined)
  @EmptyIsUnset()
  @IsString({
    message:
      'WEBHOOK_TOPIC_ARNS or WEBHOOK_SECRET must be set, because not everybody may post to the webhook',
  })
  WEBHOOK_SECRET?: string;

  /** Milliseconds after which a webhook is answered, whatever Segment does. */
  @IsInt()
  @Min(1)
  WEBHOOK_TIMEOUT: number = 5_000;
}

/** For ConfigModule. What it throws has names of variables in it, never a value. */
export function validateEnvironment(variables: Record<string, unknown>): Environment {
  const environment = plainToInstance(Environment, variables, { enableImplicitConversion: true });
  const errors = validateSync(environment);
  if (errors.length === 0) return environment;
  const problems = errors.flatMap(({ constraints }) => Object.values(constraints ?? {}));
  throw new Error(`The environment is wrong: ${problems.join('; ')}.`);
}
