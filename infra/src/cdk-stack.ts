/** One environment in one region. */
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { CommercetoolsSegment } from './commercetools-segment.js';
import type { CommercetoolsSegmentProps } from './props.js';

export interface CdkStackProps extends StackProps, CommercetoolsSegmentProps {}

export class CdkStack extends Stack {
  readonly segment: CommercetoolsSegment;

  /** @throws Error an option is wrong; one line says which */
  constructor(scope: Construct, id: string, props: CdkStackProps) {
    super(scope, id, props);
    this.segment = new CommercetoolsSegment(this, 'CommercetoolsSegment', props);
    this.#output('TopicArn', this.segment.topic.topicArn, 'For the subscription of Commercetools');
    const { queue, undelivered, failed, deadLetters, dashboard, redriveMappings } = this.segment;
    this.#output('QueueUrl', queue?.queueUrl, 'Notifications on their way');
    this.#output('UndeliveredQueueUrl', undelivered.queueUrl, 'What SNS could not hand over');
    this.#output('FailedQueueUrl', failed?.queueUrl, 'What the function failed on');
    this.#output('DeadLettersQueueUrl', deadLetters?.queueUrl, 'What was tried too often');
    this.#output('DeadLettersQueueArn', deadLetters?.queueArn, 'For start-message-move-task');
    this.#output(
      'RedriveUndeliveredId',
      redriveMappings['undelivered']?.eventSourceMappingId,
      'To be switched on',
    );
    this.#output('RedriveFailedId', redriveMappings['failed']?.eventSourceMappingId, 'To be switched on');
    this.#output('DashboardName', dashboard?.dashboardName, 'In CloudWatch');
  }

  #output(id: string, value: string | undefined, description: string): CfnOutput | undefined {
    return value === undefined ? undefined : new CfnOutput(this, id, { value, description });
  }
}
