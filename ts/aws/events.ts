/** What Lambda hands to a function, as far as it is used here. The types of `@types/aws-lambda` fit. */

/** An event of SNS. */
export interface SnsEvent {
  readonly Records: readonly SnsRecord[];
}

export interface SnsRecord {
  readonly Sns: { readonly MessageId: string; readonly Message: string; readonly TopicArn: string };
}

/** An event of SQS. */
export interface SqsEvent {
  readonly Records: readonly SqsRecord[];
}

export interface SqsRecord {
  readonly messageId: string;
  readonly body: string;
  readonly eventSourceARN?: string;
}

/** What Lambda says of an invocation. */
export interface LambdaContext {
  /** Milliseconds until Lambda ends the function. */
  getRemainingTimeInMillis(): number;
}

/** Which records of a batch SQS is to deliver again. */
export interface SqsBatchResponse {
  batchItemFailures: { itemIdentifier: string }[];
}
