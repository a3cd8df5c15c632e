/** From a topic through queues and functions into Segment, with nothing but the cloud replaced. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { KEY, startSegment } from './support/clients.mjs';
import {
  EventSourceMapping,
  LambdaFunction,
  deadLetterOf,
  failureRecordOf,
  invokeAsynchronously,
  snsEventOf,
} from './support/moto-lambda.mjs';
import { notifications } from './support/moto-notifications.mjs';
import { startMoto } from './support/moto.mjs';
import { FORBIDDEN } from './support/notifications.mjs';

const MAX_RECEIVE_COUNT = 2;

const moto = await startMoto(after);

/** A topic, and functions that identify at a Segment of the test's own. */
async function start(t) {
  const segment = await startSegment(t);
  const topic = await moto.createTopic(nameOf(t, 'topic'));
  const lambdaOf = (handler, env = {}) =>
    new LambdaFunction(t, {
      handler,
      env: { SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: segment.url, ...env },
    });
  return { segment, topic, lambdaOf };
}

/** SNS -> SQS -> Lambda. */
async function startWithQueue(t, { raw, poison }) {
  const { segment, topic, lambdaOf } = await start(t);
  const deadLetters = await moto.createQueue(nameOf(t, 'dead-letters'));
  const redrive = { deadLetters, maxReceiveCount: MAX_RECEIVE_COUNT };
  const queue = await moto.createQueue(nameOf(t, 'queue'), redrive);
  await moto.subscribe(topic, queue, { raw });
  const lambda = lambdaOf('sqs', { SEGMENT_POISON_RECORDS: poison });
  return { segment, topic, queue, deadLetters, lambda, mapping: new EventSourceMapping(moto, queue, lambda) };
}

const nameOf = (t, what) => `${t.name.replaceAll(/\W+/g, '-').slice(0, 60)}-${what}`;

/** Of the events in requests that were answered with success. */
const answeredIds = ({ requests }) =>
  requests.filter(({ status }) => status === 200).flatMap(({ messageIds }) => messageIds);

/** Each customer once. What Segment stored without saying so came again with the same messageId. */
function assertIdentifiedOnce(segment, messageIds) {
  assert.deepEqual(answeredIds(segment).sort(), [...messageIds].sort());
  assert.deepEqual(new Set(segment.events.map(({ messageId }) => messageId)), new Set(messageIds));
}

/** Its log names no customer, and no token. */
async function assertDiscreet(lambda) {
  const log = await lambda.log();
  assert.match(log, /customer identified/);
  for (const hidden of [FORBIDDEN, '@example.com', KEY]) assert.ok(!log.includes(hidden), hidden);
}

const linesWith = (log, text) => log.split('\n').filter((line) => line.includes(text)).length;

/**
 * Publishes the texts in five portions, and each meets something else: a healthy Segment, errors, nobody, silence, and
 * the end of the function's process.
 */
async function deliverThroughOutages({ segment, topic, lambda, mapping }, texts) {
  const portion = texts.length / 5;
  const publish = (index) => moto.publish(topic, texts.slice(index * portion, (index + 1) * portion));
  await publish(0);
  await mapping.pollUntilEmpty();

  await publish(1);
  segment.addFaults({ status: 500, times: Infinity });
  await mapping.pollTimes(8);
  segment.clearFaults();
  // Taken, but the answer says otherwise.
  segment.addFaults({ status: 502, accept: true });
  await mapping.pollUntilEmpty();

  await publish(2);
  await segment.pause();
  await mapping.pollTimes(8);
  await segment.resume();
  await mapping.pollUntilEmpty();

  await publish(3);
  segment.addFaults({ hang: true });
  // It stays away: what a used connection has swallowed is sent again at once.
  await pollAndLose({ segment, mapping }, () => segment.pause());
  await segment.resume();
  await mapping.pollUntilEmpty();

  await publish(4);
  segment.addFaults({ hang: true, accept: true });
  await pollAndLose({ segment, mapping }, () => lambda.kill());
  await mapping.pollUntilEmpty();
}

/** One batch: `lose` is called when Segment has it, and has not answered. */
async function pollAndLose({ segment, mapping }, lose) {
  const seen = segment.requestCount;
  const polled = mapping.poll();
  await segment.waitForRequests(seen + 1);
  await lose();
  assert.ok((await polled).failed.length > 5);
}

describe('SNS -> SQS -> Lambda', () => {
  test('500 envelopes through outages, and dead letters moved back into the queue', async (t) => {
    const { texts, invalid, ignored, messageIds } = notifications(500);
    assert.deepEqual([invalid.length, ignored.length, messageIds.length], [25, 25, 450]);
    const setup = await startWithQueue(t, { raw: false, poison: 'acknowledge' });
    const { segment, queue, deadLetters, lambda, mapping } = setup;
    await deliverThroughOutages(setup, texts);
    assert.equal(await moto.count(queue), 0);
    const dead = await moto.count(deadLetters);
    assert.ok(dead > 50, `${dead} dead letters`);
    assert.equal(answeredIds(segment).length, 450 - dead, 'what is not in Segment is a dead letter');

    // What StartMessageMoveTask does, which moto does not have.
    const moved = await moto.drain(deadLetters, ({ Body, MessageAttributes }) =>
      moto.send(queue, Body, MessageAttributes),
    );
    assert.equal(moved, dead);
    assert.deepEqual(await mapping.pollUntilEmpty(), []);

    assertIdentifiedOnce(segment, messageIds);
    assert.deepEqual([await moto.count(queue), await moto.count(deadLetters)], [0, 0]);
    await assertDiscreet(lambda);
    t.diagnostic(
      `500 published: ${answeredIds(segment).length} identified, 25 ignored, 25 invalid; ${dead} were dead letters; ` +
        `${segment.duplicates().size} stored twice with one messageId; ${lambda.invocations} invocations`,
    );
  });

  test('500 raw messages through outages, and dead letters read by the function itself', async (t) => {
    const { texts, invalid, messageIds } = notifications(500);
    const setup = await startWithQueue(t, { raw: true, poison: 'dead-letter' });
    const { segment, queue, deadLetters, lambda } = setup;
    await deliverThroughOutages(setup, texts);
    assert.equal(await moto.count(queue), 0);
    const dead = await moto.count(deadLetters);
    assert.ok(dead > 75, `${dead} dead letters`);

    const replay = new EventSourceMapping(moto, deadLetters, lambda, { retriesAtOnce: false });
    const left = await replay.pollUntilEmpty();

    assertIdentifiedOnce(segment, messageIds);
    assert.equal(await moto.count(deadLetters), 25);
    const leftTexts = left.map(({ Body }) => Body);
    assert.deepEqual(leftTexts.sort(), [...invalid].sort(), 'the invalid ones are what is left');
    await assertDiscreet(lambda);
    t.diagnostic(
      `500 published: ${answeredIds(segment).length} identified, 25 ignored, 25 left as dead letters of ${dead}; ` +
        `${segment.duplicates().size} stored twice with one messageId; ${lambda.invocations} invocations`,
    );
  });

  test('without an outage nothing comes twice, and each message is told of once', async (t) => {
    const { texts, messageIds } = notifications(100);
    const { segment, topic, queue, deadLetters, lambda, mapping } = await startWithQueue(t, {});
    await moto.publish(topic, texts);
    assert.deepEqual(await mapping.pollUntilEmpty(), []);

    assertIdentifiedOnce(segment, messageIds);
    assert.equal(segment.eventCount, 90);
    assert.deepEqual([await moto.count(queue), await moto.count(deadLetters)], [0, 0]);
    assert.equal(lambda.invocations, 10);
    const log = await lambda.log();
    assert.equal(linesWith(log, 'customer identified'), 90);
    assert.equal(linesWith(log, 'notification ignored'), 5);
    assert.equal(linesWith(log, 'no notification') + linesWith(log, 'ERR_EVENT_TOO_LARGE'), 5);
    await assertDiscreet(lambda);
  });
});

/** SNS -> Lambda: moto puts what SNS sends into a queue, and Lambda's part is played here. */
async function startDirect(t) {
  const { segment, topic, lambdaOf } = await start(t);
  const sent = await moto.createQueue(nameOf(t, 'sent'));
  const subscription = await moto.subscribe(topic, sent);
  const deadLetters = await moto.createQueue(nameOf(t, 'dead-letters'));
  return {
    segment,
    topic,
    sent,
    subscription,
    deadLetters,
    lambda: lambdaOf('sns'),
    replay: lambdaOf('sqs'),
  };
}

describe('SNS -> Lambda', () => {
  for (const [where, letterOf] of [
    ['the dead-letter queue', deadLetterOf],
    ['a destination on failure', failureRecordOf],
  ]) {
    test(`what fails three times is replayed from ${where}`, async (t) => {
      const { texts, messageIds } = notifications(100);
      const { segment, topic, sent, subscription, deadLetters, lambda, replay } = await startDirect(t);
      await moto.publish(topic, texts);

      const giveUp = async (failure) => {
        assert.match(failure.functionError.errorMessage, /^1 of 1 records could not be delivered: /);
        const { body, attributes } = letterOf(failure);
        await moto.send(deadLetters, body, attributes);
      };
      let invoked = 0;
      const attempts = { 1: 0, 2: 0, 3: 0 };
      await moto.drain(sent, async (message) => {
        invoked += 1;
        // The first fails once, the second twice; then Segment is gone, and comes back.
        if (invoked === 2) segment.addFaults({ status: 500 });
        if (invoked === 3) segment.addFaults({ status: 503, accept: true }, { status: 429 });
        if (invoked === 40) await segment.pause();
        if (invoked === 70) await segment.resume();
        attempts[await invokeAsynchronously(lambda, snsEventOf(message, subscription), giveUp)] += 1;
      });

      const dead = await moto.count(deadLetters);
      assert.ok(dead > 20, `${dead} dead letters`);
      assert.deepEqual(attempts, { 1: 98 - dead, 2: 1, 3: dead + 1 });
      assert.equal(answeredIds(segment).length, 90 - dead);

      assert.deepEqual(await new EventSourceMapping(moto, deadLetters, replay).pollUntilEmpty(), []);
      assertIdentifiedOnce(segment, messageIds);
      assert.equal(await moto.count(deadLetters), 0);
      await assertDiscreet(lambda);
      await assertDiscreet(replay);
      t.diagnostic(
        `100 published: 90 identified, ${dead} of them from ${where}; ` +
          `${segment.duplicates().size} stored twice with one messageId; ${lambda.invocations} invocations`,
      );
    });
  }

  test('an event that Lambda hands over twice is one event in Segment', async (t) => {
    const { texts, messageIds } = notifications(20);
    const { segment, topic, sent, subscription, lambda } = await startDirect(t);
    await moto.publish(topic, texts);
    const invoke = async (message) => {
      const event = snsEventOf(message, subscription);
      const [{ payload: first }, { payload: second }] = [
        await lambda.invoke(event),
        await lambda.invoke(event),
      ];
      assert.deepEqual(second, first);
    };
    assert.equal(await moto.drain(sent, invoke), 20);
    assert.deepEqual(segment.duplicates(), new Map(messageIds.map((messageId) => [messageId, 2])));
  });
});
