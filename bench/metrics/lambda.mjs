import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { monotonicMs } from '../ipc-calls.mjs';
import { buildNotification } from '../notifications.mjs';
import { deliverAll } from './metric.mjs';

const require = createRequire(import.meta.url);
const BUNDLER = fileURLToPath(new URL('../lambda/bundle.mjs', import.meta.url));
const FUNCTIONS = fileURLToPath(new URL('../../target/bench-lambda/', import.meta.url));

/** One record an invocation is what SNS does; ten are a usual batch of SQS. */
const RECORDS = [1, 10];

export const title = 'A Lambda function that identifies customers, SNS to Segment';
export const note =
  'Bundled by esbuild as it is deployed, loaded in a fresh process, called with SNS events of 2 KB notifications. Cold is ' +
  'from before the import until the first customer is delivered. Warm is one invocation after the other, each over ' +
  'when its customers are delivered, divided by their number.';
export const onlySdks = ['companion', 'analytics-node'];
export const columns = [
  { key: 'importMs', title: 'import ms', digits: 1 },
  { key: 'coldMs', title: 'cold start ms', digits: 1, headline: true },
  { key: 'warmMicros1', title: 'warm µs/record, 1 a call', digits: 0 },
  { key: 'warmMicros10', title: 'warm µs/record, 10 a call', digits: 0 },
  { key: 'cpuMicros', title: 'CPU µs/record', digits: 0 },
];

export function sizeFor(_sdk, quick) {
  return { invocations: quick ? 50 : 500 };
}

export function describeSize({ invocations }) {
  return `${invocations} invocations each`;
}

export async function measure(bench) {
  const { adapter, url, size } = bench;
  const sdk = adapter.label === '@companion/segment' ? 'companion' : 'analytics-node';
  const folder = `${FUNCTIONS}${sdk}`;
  execFileSync(process.execPath, [BUNDLER, sdk, folder]);
  Object.assign(process.env, { SEGMENT_WRITE_KEY: 'bench', SEGMENT_HOST: url });
  let sequence = 0;
  const event = (/** @type {number} */ records) => ({
    Records: Array.from({ length: records }, () => recordOf(sequence++)),
  });
  const first = event(1);
  const calls = RECORDS.map((records) => Array.from({ length: size.invocations }, () => event(records)));
  const context = { getRemainingTimeInMillis: () => 30_000 };

  const start = monotonicMs();
  const { handler } = require(`${folder}/index.js`);
  const imported = monotonicMs();
  await handler(first, context);
  const delivered = monotonicMs();

  const cpuBefore = process.cpuUsage();
  const warm = [];
  for (const events of calls) {
    const begin = performance.now();
    for (const each of events) await handler(each, context);
    warm.push(performance.now() - begin);
  }
  const cpu = process.cpuUsage(cpuBefore);
  // Whoever waited for delivery has nothing left to flush.
  await deliverAll(bench, { flush: async () => {}, problem: () => undefined }, sequence);
  const perRecord = warm.map((ms, index) => (ms * 1000) / (size.invocations * RECORDS[index]));
  return {
    importMs: imported - start,
    coldMs: delivered - start,
    warmMicros1: perRecord[0],
    warmMicros10: perRecord[1],
    cpuMicros: (cpu.user + cpu.system) / (sequence - 1),
  };
}

function recordOf(/** @type {number} */ sequence) {
  return {
    EventSource: 'aws:sns',
    EventVersion: '1.0',
    EventSubscriptionArn: 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-bench:subscription',
    Sns: {
      Type: 'Notification',
      MessageId: `00000000-0000-4000-8000-${String(sequence).padStart(12, '0')}`,
      TopicArn: 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-bench',
      Subject: null,
      Message: buildNotification(sequence),
      Timestamp: '2026-01-01T00:00:00.000Z',
      SignatureVersion: '2',
      Signature: 'signature',
      SigningCertUrl: 'https://sns.eu-central-1.amazonaws.com/certificate.pem',
      UnsubscribeUrl: 'https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe',
      MessageAttributes: {},
    },
  };
}
