/** Entry point of the function that SNS invokes. */
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import { createHandler } from '@companion/segment/aws';

export const handler = createHandler({ logger: new Logger(), metrics: new Metrics() });
