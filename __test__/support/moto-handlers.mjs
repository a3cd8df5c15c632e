/** The functions of the tests: the handlers of the package, with a log. Lambda and SQS try again, nobody else. */
import { createHandler, createSqsHandler } from '@companion/segment/aws';

const line = (level) => (message, fields) => console.log(JSON.stringify({ level, message, ...fields }));
const logger = { error: line('error'), warn: line('warn'), info: line('info'), debug: line('debug') };
const settings = { maxRetries: 0 };

export const sns = createHandler({ logger, settings });
export const sqs = createSqsHandler({ logger, settings });
