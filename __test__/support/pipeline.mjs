/** Clients of the customer pipeline on a Segment of their own, and nothing of them left behind. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';

import { createSegmentClient, getSegmentClientFromEnvironment } from '@companion/segment/commercetools';

import { startSegment } from './clients.mjs';

export const KEY = 'planted-write-key-c7d2';
/** As it is, and as it goes over the wire. */
export const KEY_FORMS = [KEY, Buffer.from(`${KEY}:`).toString('base64').replace(/=+$/, '')];
export const PAYLOAD = Object.freeze({
  userId: 'jane.doe@example.com',
  traits: Object.freeze({ email: 'jane.doe@example.com', firstName: 'Jane' }),
});

export const customers = (count) =>
  Array.from({ length: count }, (_, number) => ({
    userId: `user-${number}@example.com`,
    traits: { email: `user-${number}@example.com` },
  }));

/** A failure of this kind, that does not show the key. */
export function assertFailed(result, code, message) {
  assert.equal(result.success, false);
  assert.equal(result.error.code, code);
  assert.match(result.error.message, message);
  const shown = inspect(result, { depth: null, showHidden: true });
  for (const form of KEY_FORMS) assert.ok(!shown.includes(form), 'the write key is shown');
}

/** Has the environment hold these variables of the package, and no others, until the test is over. */
export function useEnvironment(t, variables) {
  const before = Object.entries(process.env).filter(([name]) => name.startsWith('SEGMENT_'));
  const replace = (entries) => {
    for (const name of Object.keys(process.env)) {
      if (name.startsWith('SEGMENT_')) Reflect.deleteProperty(process.env, name);
    }
    for (const [name, value] of entries) process.env[name] = value;
  };
  replace(Object.entries(variables));
  t.after(async () => {
    // The client that the test has used, if it has used one.
    if (variables.SEGMENT_WRITE_KEY?.trim()) {
      await getSegmentClientFromEnvironment(variables).closeAndFlush();
    }
    replace(before);
  });
}

/** A fake Segment that the environment names. */
export async function startWithEnvironment(t, options) {
  const segment = await startSegment(t, options);
  useEnvironment(t, { SEGMENT_WRITE_KEY: KEY, SEGMENT_HOST: segment.url });
  return segment;
}

/** A client that is closed with the test, whatever became of its events. */
export function createClient(t, segment, options) {
  const client = createSegmentClient(KEY, { host: segment.url, ...options });
  t.after(() => client.closeAndFlush().catch(() => {}));
  return client;
}

/** Both at once. */
export async function startClientPair(t, options, segmentOptions) {
  const segment = await startSegment(t, segmentOptions);
  return { segment, client: createClient(t, segment, options) };
}

/** A URL on which nobody listens. */
export async function closedUrl(t) {
  const segment = await startSegment(t);
  await segment.close();
  return segment.url;
}
