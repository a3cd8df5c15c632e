/** Names of what is made for an environment. Operators type them. */

/** What an environment may be called. Names of functions have at most 64 characters, those of stacks no `_`. */
export const ENVIRONMENT = /^[A-Za-z0-9-]{1,30}$/;

export const METRICS_NAMESPACE = 'CommercetoolsSegment';

export function namesFor(environment: string) {
  const topic = `commercetools-webhook-${environment}`;
  const service = `commercetools-segment-${environment}`;
  return {
    topic,
    /** Of the mode `sqs`. */
    queue: topic,
    /** What could not be handled, of the mode `sqs`. */
    deadLetters: `${topic}-dead-letters`,
    /** What SNS could not hand over. */
    undelivered: `${topic}-undelivered`,
    /** What the function failed on, of the mode `lambda`. */
    failed: `${topic}-failed`,
    /** The function, and the `service` of its log lines and metrics. */
    service,
    redrive: `${service}-redrive`,
    alarms: `${service}-alarms`,
  };
}

export type Names = ReturnType<typeof namesFor>;
