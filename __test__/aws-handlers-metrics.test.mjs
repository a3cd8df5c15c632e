/** What the functions count, as CloudWatch reads it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startSegment } from './support/clients.mjs';
import {
  created,
  keepingMetrics,
  snsEvent,
  sqsEvent,
  startHandler,
  startSqsHandler,
} from './support/lambda.mjs';
import { KEY } from './support/pipeline.mjs';
import { runScript } from './support/programs.mjs';
import { CHANGED, assertNothingPrivate } from './support/receivers.mjs';

const DELETED = { ...CHANGED, type: 'CustomerDeleted' };
const MIXED = [created(1), DELETED, 'no json', created(2), DELETED, DELETED, created(3)];

/** Of these three customers the last is one that Segment refuses. */
const REFUSING = { poison: ({ messageId }) => messageId === 'ct:shop:message-3' };
const COUNTS = { IdentifySent: 2, IdentifyFailed: 1, RecordsIgnored: 3, RecordsInvalid: 1 };

describe('Metrics of Powertools', () => {
  for (const [create, event] of [
    ['createHandler', snsEvent(...MIXED)],
    ['createSqsHandler', sqsEvent(...MIXED)],
  ]) {
    test(`are written as EMF at each invocation of ${create}()`, async (t) => {
      const segment = await startSegment(t, REFUSING);
      const source = `
        const { Metrics } = await import('@aws-lambda-powertools/metrics');
        const { ${create} } = await import('@companion/segment/aws');
        const metrics = new Metrics({ namespace: 'shop', serviceName: 'identify' });
        const handler = ${create}({ metrics, writeKey: '${KEY}', settings: { host: '${segment.url}' } });
        await handler(${JSON.stringify(event)});
        await handler(${JSON.stringify({ Records: event.Records.slice(0, 1) })});
      `;
      const env = { POWERTOOLS_DEV: 'false', POWERTOOLS_METRICS_DISABLED: 'false' };
      const { code, stdout, stderr } = await runScript(t, source, { env });
      // Without a logger the reasons go where Lambda's log is.
      assert.equal(code, 0);
      assert.match(stderr, /^segment: no notification/);
      assertNothingPrivate(stderr);
      const written = stdout.trimEnd().split('\n').map(JSON.parse);
      assert.equal(written.length, 2);
      assertCounted(written[0], COUNTS);
      assertCounted(written[1], { IdentifySent: 1 });
      assertNothingPrivate(stdout);
    });
  }
});

/** What CloudWatch makes of a line: these metrics, and no others. */
function assertCounted(line, counts) {
  const { _aws: about, service } = line;
  const [{ Namespace: namespace, Dimensions: dimensions, Metrics: metrics }] = about.CloudWatchMetrics;
  assert.deepEqual([namespace, dimensions, service], ['shop', [['service']], 'identify']);
  const told = metrics.map(({ Name: name, Unit: unit }) => [name, unit, line[name]]);
  const expected = Object.entries(counts).map(([name, count]) => [name, 'Count', count]);
  assert.deepEqual(told.toSorted(), expected.toSorted());
}

describe('metrics', () => {
  test('are published before the function fails', async (t) => {
    const metrics = keepingMetrics();
    const faults = [{ status: 500 }];
    const { handler } = await startHandler(t, { metrics, segment: { faults } });
    await assert.rejects(handler(snsEvent(created(1), DELETED)), { code: 'ERR_SERVER' });
    await handler(snsEvent(created(1), DELETED));
    assert.deepEqual(metrics.published, [
      { IdentifyFailed: ['Count', 1], RecordsIgnored: ['Count', 1] },
      { IdentifySent: ['Count', 1], RecordsIgnored: ['Count', 1] },
    ]);
  });

  test('of nothing are nothing', async (t) => {
    const metrics = keepingMetrics();
    const { handler } = await startSqsHandler(t, { metrics });
    await handler({ Records: [] });
    assert.deepEqual(metrics.published, [{}]);
  });

  const fails = () => {
    throw Object.assign(new Error('no disk'), { name: 'DiskError' });
  };
  for (const [what, broken, error] of [
    ['throw while they are added', { addMetric: fails }, 'DiskError'],
    ['throw while they are published', { publishStoredMetrics: fails }, 'DiskError'],
    ['are none', { addMetric: undefined, publishStoredMetrics: undefined }, 'TypeError'],
  ]) {
    test(`that ${what} harm nobody`, async (t) => {
      const { handler, logger } = await startHandler(t, { metrics: { ...keepingMetrics(), ...broken } });
      assert.equal((await handler(snsEvent(created(1)))).identified, 1);
      assert.deepEqual(
        logger.lines.filter(({ level }) => level === 'warn'),
        [{ level: 'warn', message: 'segment: metrics could not be published', fields: { error } }],
      );
    });
  }

  test('that reject while they are published harm nobody', async (t) => {
    const publishStoredMetrics = () => Promise.reject(new Error('no network'));
    const { handler } = await startHandler(t, { metrics: { ...keepingMetrics(), publishStoredMetrics } });
    assert.equal((await handler(snsEvent(created(1)))).identified, 1);
  });
});
