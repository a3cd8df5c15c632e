/**
 * The program of a function's process: loads a module, and calls its handler with one event after the other, like the
 * runtime of Lambda. It needs nothing beside it.
 *
 *   node moto-runtime.mjs <module> <name of the exported handler>
 */
import { pathToFileURL } from 'node:url';

const [path, name] = process.argv.slice(2);
const { [name]: handler } = await import(pathToFileURL(path).href);

/** Of the environment, as Lambda gives it. */
const FUNCTION = {
  functionName: 'segment-test',
  functionVersion: '$LATEST',
  invokedFunctionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:segment-test',
  memoryLimitInMB: '256',
  logGroupName: '/aws/lambda/segment-test',
  logStreamName: '2026/02/03/[$LATEST]0123456789abcdef',
  callbackWaitsForEmptyEventLoop: true,
};

process.on('message', ({ event, requestId, deadline }) => {
  const getRemainingTimeInMillis = () => Math.max(0, deadline - Date.now());
  const context = { ...FUNCTION, awsRequestId: requestId, getRemainingTimeInMillis };
  handler(event, context).then(
    (payload) => process.send({ payload: JSON.stringify(payload) ?? 'null' }),
    ({ name: errorType, message, stack }) =>
      process.send({ functionError: { errorType, errorMessage: message, trace: stack.split('\n') } }),
  );
});
process.once('disconnect', () => process.exit());
process.send('ready');
