/** Entry point of the function that reads a queue: that of SNS, or one of dead letters. */
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import { createSqsHandler } from '@companion/segment/aws';

export const handler = createSqsHandler({ logger: new Logger(), metrics: new Metrics() });
