/** AWS on loopback: a moto server in a process of its own, and what the tests ask of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  CreateTopicCommand,
  PublishBatchCommand,
  SetSubscriptionAttributesCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';

export const REGION = 'eu-central-1';
export const CREDENTIALS = { accessKeyId: 'testing', secretAccessKey: 'testing' };
/** Of SNS's and SQS's batches. */
const BATCH = 10;

const PYTHON = fileURLToPath(new URL('../../target/python', import.meta.url));
/**
 * It ends with its standard input, however this process ends. What IAM refuses it says in JSON, as the services do that
 * are asked in JSON; by itself moto does so in XML.
 */
const SERVER = `
import logging, os, sys
from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMRequest
from moto.server import ThreadedMotoServer

def refuse(request):
    text = f"User: {request._access_key.arn} is not authorized to perform: {request._action}"
    raise JsonRESTError("AccessDeniedException", text)

IAMRequest._raise_access_denied = refuse
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
`;

/** Starts a moto server. `end` is called with what stops it. */
export async function startMoto(end) {
  const python = join(PYTHON, 'bin', 'python');
  if (!existsSync(python)) throw new Error('moto is not installed in target/python. Run: npm run setup:aws');
  const child = spawn(python, ['-c', SERVER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  end(async () => {
    child.stdin.end();
    await exited;
  });
  const port = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([line]) => line),
    exited.then(([code]) => {
      throw new Error(`moto ended with ${code} before it listened. Run: npm run setup:aws`);
    }),
  ]);
  return new Moto(`http://127.0.0.1:${port}`);
}

/** A server, and a client of each service. */
class Moto {
  constructor(url) {
    this.url = url;
    const options = { endpoint: url, region: REGION, credentials: CREDENTIALS };
    this.sns = new SNSClient(options);
    this.sqs = new SQSClient(options);
    this.secrets = new SecretsManagerClient(options);
    this.parameters = new SSMClient(options);
  }

  /** What a function has to have in its environment to find this AWS. */
  environment({ accessKeyId, secretAccessKey } = CREDENTIALS) {
    return {
      AWS_ENDPOINT_URL: this.url,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    };
  }

  async createTopic(name) {
    const { TopicArn: arn } = await this.sns.send(new CreateTopicCommand({ Name: name }));
    return arn;
  }

  /** A queue; with `redrive`, what was received so often goes on to the queue `deadLetters`. */
  async createQueue(name, redrive) {
    const policy = redrive && {
      deadLetterTargetArn: redrive.deadLetters.arn,
      maxReceiveCount: redrive.maxReceiveCount,
    };
    const attributes = policy && { RedrivePolicy: JSON.stringify(policy) };
    const command = new CreateQueueCommand({ QueueName: name, Attributes: attributes });
    const { QueueUrl: url } = await this.sqs.send(command);
    const { QueueArn: arn } = await this.#attributesOf(url, 'QueueArn');
    return { url, arn };
  }

  async subscribe(topicArn, queue, { raw = false } = {}) {
    const command = new SubscribeCommand({ TopicArn: topicArn, Protocol: 'sqs', Endpoint: queue.arn });
    const { SubscriptionArn: arn } = await this.sns.send(command);
    if (raw) {
      const attribute = { AttributeName: 'RawMessageDelivery', AttributeValue: 'true' };
      await this.sns.send(new SetSubscriptionAttributesCommand({ SubscriptionArn: arn, ...attribute }));
    }
    return arn;
  }

  async publish(topicArn, texts) {
    for (let start = 0; start < texts.length; start += BATCH) {
      const entries = texts
        .slice(start, start + BATCH)
        .map((text, index) => ({ Id: String(index), Message: text }));
      const command = new PublishBatchCommand({ TopicArn: topicArn, PublishBatchRequestEntries: entries });
      const { Failed: failed = [] } = await this.sns.send(command);
      if (failed.length > 0) throw new Error(`SNS refused ${failed.length} messages: ${failed[0].Message}`);
    }
  }

  /** Messages in a queue: those that wait, and those that somebody has received and not deleted. */
  async count(queue) {
    const visible = 'ApproximateNumberOfMessages';
    const hidden = 'ApproximateNumberOfMessagesNotVisible';
    const attributes = await this.#attributesOf(queue.url, visible, hidden);
    return Number(attributes[visible]) + Number(attributes[hidden]);
  }

  async receive(queue) {
    const { Messages: messages = [] } = await this.sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queue.url,
        MaxNumberOfMessages: BATCH,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    return messages;
  }

  async send(queue, body, attributes) {
    const command = new SendMessageCommand({
      QueueUrl: queue.url,
      MessageBody: body,
      MessageAttributes: attributes,
    });
    await this.sqs.send(command);
  }

  async delete(queue, message) {
    const command = new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle: message.ReceiptHandle });
    await this.sqs.send(command);
  }

  /** Takes all messages off a queue and hands over each before it is deleted. Returns how many there were. */
  async drain(queue, take) {
    let count = 0;
    for (let batch = await this.receive(queue); batch.length > 0; batch = await this.receive(queue)) {
      for (const message of batch) {
        await take(message);
        await this.delete(queue, message);
      }
      count += batch.length;
    }
    return count;
  }

  /** Credentials that are good for what `grant` names, and for nothing before. */
  async createUser(name) {
    await this.#iam({ Action: 'CreateUser', UserName: name });
    const xml = await this.#iam({ Action: 'CreateAccessKey', UserName: name });
    const [accessKeyId, secretAccessKey] = ['AccessKeyId', 'SecretAccessKey'].map(
      (field) => new RegExp(`<${field}>(.+?)</${field}>`).exec(xml)[1],
    );
    const grant = (action) => {
      const statement = { Effect: 'Allow', Action: action, Resource: '*' };
      const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
      return this.#iam({
        Action: 'PutUserPolicy',
        UserName: name,
        PolicyName: action.replace(':', '-'),
        PolicyDocument: policy,
      });
    };
    return { credentials: { accessKeyId, secretAccessKey }, grant };
  }

  /** From now on, or no longer, moto looks at who asks. */
  async checkPermissions(isChecked) {
    const body = isChecked ? '0' : 'inf';
    const response = await fetch(`${this.url}/moto-api/reset-auth`, { method: 'POST', body });
    if (!response.ok) throw new Error(`moto answered ${response.status}`);
  }

  /** The query API: the test needs no other client of IAM. */
  async #iam(parameters) {
    const authorization = `AWS4-HMAC-SHA256 Credential=${CREDENTIALS.accessKeyId}/20260203/us-east-1/iam/aws4_request`;
    const body = new URLSearchParams({ Version: '2010-05-08', ...parameters });
    const response = await fetch(this.url, { method: 'POST', headers: { authorization }, body });
    const xml = await response.text();
    if (!response.ok) throw new Error(xml);
    return xml;
  }

  async #attributesOf(url, ...names) {
    const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: names });
    const { Attributes: attributes } = await this.sqs.send(command);
    return attributes;
  }
}
