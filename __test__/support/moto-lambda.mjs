/** What Lambda does around a function: its process, event source mappings, and asynchronous invocations. */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { ChangeMessageVisibilityCommand } from '@aws-sdk/client-sqs';

import { REGION } from './moto.mjs';

const RUNTIME = fileURLToPath(new URL('moto-runtime.mjs', import.meta.url));
const HANDLERS = fileURLToPath(new URL('moto-handlers.mjs', import.meta.url));
/** Milliseconds that a function has. No test comes near. */
const TIMEOUT_MS = 60_000;
/** An asynchronous invocation that fails is tried twice more. */
const ATTEMPTS = 3;

/** A function with one execution environment, which is a process. It is gone with the test. */
export class LambdaFunction {
  #output = '';
  invocations = 0;
  #start;
  #running;

  constructor(
    t,
    {
      module = HANDLERS,
      handler,
      env,
      runtime = RUNTIME,
      execPath = process.execPath,
      cwd,
      timeout = TIMEOUT_MS,
    },
  ) {
    this.timeout = timeout;
    this.#start = () =>
      fork(runtime, [module, handler], {
        execPath,
        execArgv: [],
        cwd,
        env: { PATH: process.env.PATH, ...env },
        silent: true,
      });
    t.after(() => this.kill());
  }

  /** Resolves with `{ payload }` or `{ functionError }`. A process that was lost is replaced by a new one. */
  async invoke(event) {
    this.invocations += 1;
    const requestId = randomUUID();
    const { child, lost } = await this.#environment();
    child.send({ event, requestId, deadline: Date.now() + this.timeout });
    const [{ payload, functionError }] = await Promise.race([once(child, 'message'), lost]);
    return functionError ? { requestId, functionError } : { requestId, payload: JSON.parse(payload) };
  }

  /** All that it has written. Ends the process: before that, something may be on its way. */
  async log() {
    await this.kill();
    return this.#output;
  }

  /** Ends the process, as a crash or the function's timeout does. */
  async kill() {
    const running = this.#running;
    this.#running = undefined;
    running?.child.kill('SIGKILL');
    await running?.lost;
  }

  async #environment() {
    if (this.#running !== undefined) return this.#running;
    const child = this.#start();
    const lost = once(child, 'close').then(lostProcess);
    this.#running = { child, lost };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.#output += text));
    }
    const [ready] = await Promise.race([once(child, 'message'), lost]);
    if (ready === 'ready') return this.#running;
    throw new Error(`The function could not be loaded: ${this.#output}`);
  }
}

function lostProcess() {
  return [{ functionError: { errorType: 'Runtime.ExitError', errorMessage: 'Runtime exited', trace: [] } }];
}

/** Hands a queue's messages to a function, batch by batch, with `ReportBatchItemFailures`. */
export class EventSourceMapping {
  #moto;
  #queue;
  #lambda;
  #retriesAtOnce;

  /** `retriesAtOnce`: what failed is there again at once. Otherwise after the queue's visibility timeout of 30 s. */
  constructor(moto, queue, lambda, { retriesAtOnce = true } = {}) {
    this.#moto = moto;
    this.#queue = queue;
    this.#lambda = lambda;
    this.#retriesAtOnce = retriesAtOnce;
  }

  /** One batch: all messages, and those of them that failed. */
  async poll() {
    const messages = await this.#moto.receive(this.#queue);
    if (messages.length === 0) return { messages, failed: [] };
    const result = await this.#lambda.invoke(sqsEventOf(messages, this.#queue));
    const failed = failedOf(messages, result);
    for (const message of messages) {
      if (!failed.includes(message)) await this.#moto.delete(this.#queue, message);
      else if (this.#retriesAtOnce) await this.#release(message);
    }
    return { messages, failed };
  }

  async pollTimes(times) {
    for (let left = times; left > 0; left -= 1) await this.poll();
  }

  /** Until there is nothing more to receive. Returns what failed on the way. */
  async pollUntilEmpty() {
    const all = [];
    for (;;) {
      const { messages, failed } = await this.poll();
      if (messages.length === 0) return all;
      all.push(...failed);
    }
  }

  async #release({ ReceiptHandle }) {
    const change = { QueueUrl: this.#queue.url, ReceiptHandle, VisibilityTimeout: 0 };
    await this.#moto.sqs.send(new ChangeMessageVisibilityCommand(change));
  }
}

/** Lambda's event of messages of SQS. */
function sqsEventOf(messages, queue) {
  const records = messages.map((message) => ({
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: message.Attributes,
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(([name, value]) => [name, attributeOf(value)]),
    ),
    md5OfBody: message.MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: queue.arn,
    awsRegion: REGION,
  }));
  return { Records: records };
}

function attributeOf({ StringValue, BinaryValue, DataType }) {
  const value =
    BinaryValue === undefined
      ? { stringValue: StringValue }
      : { binaryValue: Buffer.from(BinaryValue).toString('base64') };
  return { ...value, stringListValues: [], binaryListValues: [], dataType: DataType };
}

/** An error fails the whole batch, as does an answer that names a record which is not in it. */
function failedOf(messages, { payload, functionError }) {
  if (functionError) return messages;
  const identifiers = (payload?.batchItemFailures ?? []).map(({ itemIdentifier }) => itemIdentifier);
  const failed = messages.filter(({ MessageId }) => identifiers.includes(MessageId));
  return failed.length === new Set(identifiers).size ? failed : messages;
}

/** Lambda's event of a message that SNS put into a queue, in its envelope. */
export function snsEventOf(message, subscriptionArn) {
  const { SigningCertURL, UnsubscribeURL, Subject, ...rest } = JSON.parse(message.Body);
  const sns = {
    ...rest,
    Subject: Subject ?? null,
    SigningCertUrl: SigningCertURL,
    UnsubscribeUrl: UnsubscribeURL,
    MessageAttributes: rest.MessageAttributes ?? {},
  };
  const record = {
    EventSource: 'aws:sns',
    EventVersion: '1.0',
    EventSubscriptionArn: subscriptionArn,
    Sns: sns,
  };
  return { Records: [record] };
}

/** Invokes until it succeeds, three times at most. What failed then is handed to `giveUp`. Returns the attempts. */
export async function invokeAsynchronously(lambda, event, giveUp) {
  for (let attempt = 1; ; attempt += 1) {
    const { requestId, functionError } = await lambda.invoke(event);
    if (functionError === undefined) return attempt;
    if (attempt < ATTEMPTS) continue;
    await giveUp({ event, requestId, functionError });
    return attempt;
  }
}

const text = (value) => ({ DataType: 'String', StringValue: value });

/** What Lambda puts into a function's dead-letter queue. */
export function deadLetterOf({ event, requestId, functionError }) {
  const attributes = {
    RequestID: text(requestId),
    ErrorCode: { DataType: 'Number', StringValue: '200' },
    ErrorMessage: text(functionError.errorMessage.slice(0, 1024)),
  };
  return { body: JSON.stringify(event), attributes };
}

/** What Lambda sends to a queue that is a function's destination on failure. */
export function failureRecordOf({ event, requestId, functionError }) {
  const functionArn = `arn:aws:lambda:${REGION}:123456789012:function:segment-test:$LATEST`;
  const condition = 'RetriesExhausted';
  const record = {
    version: '1.0',
    timestamp: new Date().toISOString(),
    requestContext: { requestId, functionArn, condition, approximateInvokeCount: ATTEMPTS },
    requestPayload: event,
    responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
    responsePayload: functionError,
  };
  return { body: JSON.stringify(record), attributes: undefined };
}
