/** A write key is one word: what is invisible around it is taken off, what is inside is refused and never shown. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { Analytics } from '@companion/segment';
import { createHandler } from '@companion/segment/aws';
import { createSegmentClient, getSegmentClientFromEnvironment } from '@companion/segment/commercetools';
import { SegmentService } from '@companion/segment/nestjs';
import { RecordingSegmentService } from '@companion/segment/nestjs/testing';

import { KEY, MINIMAL, startClient, startSegment } from './support/clients.mjs';
import { created, snsEvent } from './support/lambda.mjs';
import { useEnvironment } from './support/pipeline.mjs';
import { runScript } from './support/programs.mjs';

const AROUND = ['\n', '\r\n', ' ', '\t', '\u00A0', '\uFEFF', '\u200B', '\u2028', '\u0085', ' \n\u3000'];
const INSIDE = [' ', '\n', '\r\n', '\t', '\u00A0', '\u200B', '\uFEFF', '\u0000', '\u0085', '\u001B'];
const CANARY = 'canary-write-key';

const QUIET = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

describe('around the key', () => {
  for (const blank of AROUND) {
    const writeKey = `${blank}${KEY}${blank}`;
    const shown = inspect(blank);

    test(`${shown} is taken off by new Analytics and fromEnvironment`, async (t) => {
      const segment = await startSegment(t, { writeKeys: [KEY] });
      const env = { SEGMENT_WRITE_KEY: writeKey, SEGMENT_HOST: `${segment.url}\n` };
      const made = [startClient(t, segment, { writeKey }), Analytics.fromEnvironment({}, env)];
      for (const analytics of made) {
        analytics.track(MINIMAL.track);
        assert.equal((await analytics.closeAndFlush()).delivered, 1);
      }
      assert.equal(segment.eventCount, 2);
    });

    test(`${shown} is taken off by the clients for Commercetools, which share one`, async (t) => {
      const segment = await startSegment(t, { writeKeys: [KEY] });
      const client = createSegmentClient(writeKey, { host: segment.url });
      t.after(() => client.closeAndFlush());
      assert.equal(createSegmentClient(KEY, { host: segment.url }), client);
      await client.identify({ userId: 'u1', traits: {} });
      await client.flush();
      const env = { SEGMENT_WRITE_KEY: writeKey, SEGMENT_HOST: segment.url };
      const other = getSegmentClientFromEnvironment(env);
      await other.identify({ userId: 'u1', traits: {} });
      await other.closeAndFlush();
      assert.equal(segment.eventCount, 2);
    });

    for (const [what, source] of [
      ['text', writeKey],
      ['a function', async () => writeKey],
    ]) {
      test(`${shown} is taken off of ${what} that a function on Lambda is given`, async (t) => {
        const segment = await startSegment(t, { writeKeys: [KEY] });
        const handler = createHandler({ writeKey: source, settings: { host: segment.url }, logger: QUIET });
        const report = await handler({ Records: [] });
        assert.deepEqual(report, { identified: 0, ignored: 0, invalid: 0, failed: 0 });
        const answer = await handler(snsEvent(created(1)));
        assert.deepEqual([answer.identified, segment.eventCount], [1, 1]);
      });
    }
  }

  test('is taken off of the environment of a function on Lambda and of NestJS', async (t) => {
    const segment = await startSegment(t, { writeKeys: [KEY] });
    useEnvironment(t, { SEGMENT_WRITE_KEY: `${KEY}\n`, SEGMENT_HOST: `${segment.url}\n` });
    const { identified } = await createHandler({ logger: QUIET })(snsEvent(created(1)));
    assert.equal(identified, 1);
    assert.ok(new RecordingSegmentService({ writeKey: undefined }) instanceof SegmentService);
  });
});

describe('inside the key', () => {
  for (const blank of INSIDE) {
    const writeKey = `${CANARY}${blank}${CANARY}`;
    test(`${inspect(blank)} is refused, and the key is not shown`, async () => {
      const handler = createHandler({ writeKey: () => writeKey, logger: QUIET });
      for (const make of [
        () => new Analytics({ writeKey }),
        () => Analytics.fromEnvironment({}, { SEGMENT_WRITE_KEY: writeKey }),
        () => createSegmentClient(writeKey),
        () => getSegmentClientFromEnvironment({ SEGMENT_WRITE_KEY: writeKey }),
        () => new RecordingSegmentService({ writeKey }),
        () => createHandler({ writeKey, logger: QUIET }),
      ]) {
        assert.throws(make, (error) => {
          assert.deepEqual([error.code, error.field], ['ERR_OPTION_INVALID', 'writeKey']);
          assert.equal(
            error.message,
            'The option writeKey must be one word: there is a blank or a line break in it.',
          );
          assert.ok(!`${inspect(error)}${error.stack}`.includes(CANARY));
          return true;
        });
      }
      await assert.rejects(handler(snsEvent(created(1))), (error) => {
        assert.ok(!inspect(error).includes(CANARY));
        return error.code === 'ERR_OPTION_INVALID';
      });
    });
  }
});

test('an application that is started with such a key ends with a text that says so', async (t) => {
  const script = "const { Analytics } = await import('@companion/segment'); Analytics.fromEnvironment();";
  const { code, stderr } = await runScript(t, script, { env: { SEGMENT_WRITE_KEY: `${CANARY} ${CANARY}` } });
  assert.equal(code, 1);
  assert.match(stderr, /The option writeKey must be one word/);
  assert.ok(!stderr.includes(CANARY));
});

for (const blank of [' ', '\u00A0\u200B', '\uFEFF', '\n\n', '\u0085']) {
  test(`a key of nothing but ${inspect(blank)} is missing`, () => {
    const expected = {
      code: 'ERR_WRITE_KEY_MISSING',
      message: 'Write key cannot be empty or whitespace only',
    };
    assert.throws(() => new Analytics({ writeKey: blank }), expected);
    assert.throws(() => Analytics.fromEnvironment({}, { SEGMENT_WRITE_KEY: blank }), expected);
    assert.throws(() => createSegmentClient(blank), expected);
  });
}
