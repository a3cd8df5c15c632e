/** From a record of AWS to the messages in it. The reading itself is native code. */
import { unwrapRecord as unwrap } from '../native.js';

/** A message, and what SNS says of it. */
export interface AwsMessage {
  /** The text that was published. */
  readonly message: string;
  /** The id that SNS gave it: the same at every delivery. */
  readonly messageId?: string;
  readonly topicArn?: string;
  readonly subject?: string;
  /** When it was published, ISO 8601. */
  readonly timestamp?: string;
  readonly signingCertUrl?: string;
  readonly unsubscribeUrl?: string;
}

/**
 * The messages in a record of SNS or SQS, in the envelope of SNS, in a message of raw delivery, or in what Lambda leaves
 * of a function that failed (its event, or a destination's account of it). What is none of these is the message itself.
 * There is at least one. Never throws.
 */
export function unwrapRecord(record: unknown): AwsMessage[] {
  return JSON.parse(unwrap(textOf(record))) as AwsMessage[];
}

function textOf(record: unknown): string {
  if (typeof record === 'string') return record;
  try {
    return JSON.stringify(record) ?? '';
  } catch {
    return '';
  }
}
