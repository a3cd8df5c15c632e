/** What is deployed, run as Lambda has it: its files alone, on each line of Node that Lambda offers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';

import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';

import { llvmTool } from '../scripts/setup/llvm-tools.mjs';
import { KEY, startSegment } from './support/clients.mjs';
import {
  ADDONS,
  NODE_LINES,
  RUNTIME,
  bundled,
  emptyFolder,
  folderWithSdk,
  HERE,
  linesOf,
  metricsIn,
  nodeOfLine,
} from './support/asset.mjs';
import { created, failures, idsOf, snsEvent, sqsEvent, TOPIC } from './support/lambda.mjs';
import { LambdaFunction } from './support/moto-lambda.mjs';
import { startMoto } from './support/moto.mjs';
import { assertNothingPrivate, CHANGED, CUSTOMER } from './support/receivers.mjs';

/** The same for both ways: two customers, one notification that is ignored, and one that is none. */
const MESSAGES = [created(1), created(2), { ...CHANGED, type: 'CustomerDeleted' }, '{"customer":'];
const METRICS = { IdentifySent: 2, RecordsIgnored: 1, RecordsInvalid: 1 };
/** Larger than Segment takes. */
const LARGE = created(3, { customer: { ...CUSTOMER, firstName: 'x'.repeat(40_000) } });

const moto = await startMoto(after);
const assets = {};
for (const architecture of Object.keys(ADDONS)) {
  for (const entry of ['sns', 'sqs']) {
    assets[`${entry} ${architecture}`] = await bundled(entry, architecture);
  }
}

/** A copy of the asset with nothing around it, in which Node finds nothing else. */
function deploy(t, asset) {
  const folder = emptyFolder(t);
  for (const name of readdirSync(asset)) copyFileSync(join(asset, name), join(folder, name));
  copyFileSync(RUNTIME, join(folder, 'runtime.mjs'));
  for (let above = folder; above !== dirname(above); above = dirname(above)) {
    assert.ok(!existsSync(join(above, 'node_modules')), `${above} has node_modules`);
  }
  return folder;
}

/** The function alone in its folder, and a Segment. `env` says where the write key is. */
async function start(t, { entry, line, env = { SEGMENT_WRITE_KEY: KEY } }) {
  const segment = await startSegment(t, { writeKeys: [KEY] });
  const folder = deploy(t, assets[`${entry} ${HERE}`]);
  const { path: execPath } = await nodeOfLine(line);
  const lambda = new LambdaFunction(t, {
    module: join(folder, 'index.js'),
    handler: 'handler',
    runtime: join(folder, 'runtime.mjs'),
    cwd: folder,
    execPath,
    env: {
      HOME: folder,
      AWS_LAMBDA_FUNCTION_NAME: 'identify',
      POWERTOOLS_SERVICE_NAME: 'segment',
      POWERTOOLS_METRICS_NAMESPACE: 'Commercetools',
      SEGMENT_HOST: segment.url,
      ...env,
    },
  });
  return { segment, lambda };
}

/** Lines of Powertools' logger and metrics, and nobody's data in them. */
async function assertTold(lambda, metrics) {
  const log = await lambda.log();
  assertNothingPrivate(log);
  assert.ok(!log.includes(KEY));
  const lines = linesOf(log);
  assertMetrics(lines, metrics);
  const identified = lines.filter(({ message }) => message === 'segment: customer identified');
  assert.deepEqual(
    identified.map(({ messageId, snsMessageId, topicArn, level, service }) => [
      messageId,
      snsMessageId,
      topicArn,
      level,
      service,
    ]),
    idsOf(1, 2).map((id, index) => [id, `sns-${index + 1}`, TOPIC, 'INFO', 'segment']),
  );
}

/** By the service, in the namespace of the environment. */
function assertMetrics(lines, metrics) {
  const dimensions = [[['service', 'segment']]];
  const published = metrics.map((values) => ({ namespace: 'Commercetools', dimensions, values }));
  assert.deepEqual(metricsIn(lines), published);
}

const messageIdsIn = ({ events }) => events.map(({ messageId }) => messageId);

for (const line of NODE_LINES) {
  describe(`the asset for ${HERE}, alone in a folder, on Node ${line}`, () => {
    test('takes events of SNS', async (t) => {
      const { segment, lambda } = await start(t, { entry: 'sns', line });
      const { payload } = await lambda.invoke(snsEvent(...MESSAGES));
      assert.deepEqual(payload, { identified: 2, ignored: 1, invalid: 1, failed: 0 });
      assert.deepEqual(messageIdsIn(segment), idsOf(1, 2));
      assert.equal(segment.events[0].traits.email, CUSTOMER.email);
      await assertTold(lambda, [METRICS]);
    });

    test('takes events of SQS, and tells which records have to come again', async (t) => {
      const { segment, lambda } = await start(t, { entry: 'sqs', line });
      const envelopes = snsEvent(...MESSAGES).Records.map(({ Sns }) => Sns);
      segment.addFaults({ status: 401 });
      const first = await lambda.invoke(sqsEvent(...envelopes));
      assert.deepEqual(first.payload, failures(1, 2));
      assert.equal(segment.eventCount, 0);
      const second = await lambda.invoke(sqsEvent(envelopes[0], envelopes[1], LARGE));
      assert.deepEqual(second.payload, failures());
      assert.deepEqual(messageIdsIn(segment), idsOf(1, 2));
      await assertTold(lambda, [
        { IdentifyFailed: 2, RecordsIgnored: 1, RecordsInvalid: 1 },
        { IdentifySent: 2, IdentifyFailed: 1 },
      ]);
    });

    test('gets its write key with the SDK that the runtime brings along', async (t) => {
      const SecretId = `segment-${line}`;
      await moto.secrets.send(new CreateSecretCommand({ Name: SecretId, SecretString: KEY }));
      const env = {
        ...moto.environment(),
        NODE_PATH: folderWithSdk(t),
        SEGMENT_WRITE_KEY_SECRET_ARN: SecretId,
      };
      const { segment, lambda } = await start(t, { entry: 'sns', line, env });
      const { payload } = await lambda.invoke(snsEvent(created(1)));
      assert.deepEqual(payload, { identified: 1, ignored: 0, invalid: 0, failed: 0 });
      assert.deepEqual(messageIdsIn(segment), idsOf(1));
      const log = await lambda.log();
      assertNothingPrivate(log);
      assert.ok(!log.includes(KEY));
    });

    for (const [what, env, why] of [
      ['no write key', {}, /Missing SEGMENT_WRITE_KEY$/],
      [
        'no SDK to read it with',
        { SEGMENT_WRITE_KEY_SECRET_ARN: 'segment' },
        /@aws-sdk\/client-secrets-manager is not there\. Install it, or run where Lambda brings it along\.$/,
      ],
    ]) {
      test(`says that there is ${what}`, async (t) => {
        const { segment, lambda } = await start(t, { entry: 'sns', line, env });
        const { functionError } = await lambda.invoke(snsEvent(created(1)));
        assert.match(functionError.errorMessage, why);
        assert.equal(segment.requestCount, 0);
        const log = await lambda.log();
        assertMetrics(linesOf(log), [{ IdentifyFailed: 1 }]);
        assertNothingPrivate(log);
      });
    }
  });
}

describe('the addon', () => {
  for (const [architecture, { name, machine }] of Object.entries(ADDONS)) {
    for (const entry of ['sns', 'sqs']) {
      test(`of ${architecture} is the only one beside ${entry}`, () => {
        const asset = assets[`${entry} ${architecture}`];
        assert.deepEqual(readdirSync(asset).sort(), [name, 'index.js']);
        // e_machine of the ELF header.
        assert.equal(readFileSync(join(asset, name)).readUInt16LE(18), machine);
      });
    }

    test(`of ${architecture} needs glibc 2.17 at most`, () => {
      const symbols = execFileSync(
        llvmTool('llvm-objdump'),
        ['-T', join(assets[`sns ${architecture}`], name)],
        {
          encoding: 'utf8',
        },
      );
      const versions = [...symbols.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
      assert.ok(versions.length > 0);
      assert.ok(Math.max(...versions) <= 17, `needs 2.${Math.max(...versions)}`);
    });
  }
});
