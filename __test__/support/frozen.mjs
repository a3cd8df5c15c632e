/** A function that is stopped, as Lambda stops it, while the network to Segment changes. */
import { setTimeout as pause } from 'node:timers/promises';

import { startFakeSegment } from '@companion/segment/testing';

import { startLambda } from './lambda-process.mjs';
import { startRelay } from './lambda-relay.mjs';
import { KEY } from './pipeline.mjs';

/** A function that identifies the customers in events of SNS. */
export const identifying = ({ aws }, options) => aws.createHandler(options);

/** A function that tracks what it is given: `event` is a list of messageIds. */
export const tracking = ({ aws, segment }, { settings, writeKey, ...options }) => {
  const client = new segment.Analytics({ writeKey, ...settings });
  const handler = async (messageIds) => {
    for (const messageId of messageIds) client.track({ userId: 'u1', event: 'e', messageId });
    return { tracked: messageIds.length };
  };
  return aws.withSegment(handler, { client, ...options });
};

/** What can happen to the connections of a function that stands still. */
export const HAPPENINGS = {
  'are closed': (relay) => relay.cut(),
  'swallow what they are sent': (relay) => relay.swallow(),
};

/** A function, a Segment of its own, and the network in between. */
export async function startScene({ make, settings, ...options }, faulty) {
  const segment = await startFakeSegment(faulty);
  const relay = await startRelay(segment.port);
  const lambda = await startLambda(make, {
    writeKey: KEY,
    settings: { host: relay.url, ...settings },
    ...options,
  });
  const close = async () => {
    lambda.end();
    await relay.close();
    await segment.close();
  };
  return { segment, relay, lambda, close };
}

/** An invocation, a standstill of so many seconds in which something happens, and another invocation. */
export async function invokeAroundFreeze({ lambda, relay }, [first, second], happen, seconds = 0) {
  const before = await lambda.invoke(first);
  await lambda.freeze();
  await happen(relay);
  await pause(seconds * 1_000);
  lambda.thaw();
  return [before, await lambda.invoke(second)];
}

/** What arrived at Segment of what was to. */
export function accountOf({ segment, relay }, expected) {
  const arrived = new Set(segment.events.map(({ messageId }) => messageId));
  return {
    events: segment.eventCount,
    requests: segment.requestCount,
    /** The requests that arrived, and those before them that did not. */
    attempts: segment.requests.reduce((sum, { retryCount = 0 }) => sum + 1 + retryCount, 0),
    connections: relay.connectionCount,
    lost: expected.filter((messageId) => !arrived.has(messageId)).length,
  };
}
