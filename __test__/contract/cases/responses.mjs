import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { fateOf, onSegment, startSegment } from '../stage.mjs';

/** The fate of an event whose every attempt but the first of the client gets this answer. */
async function answered(library, t, fault, settings) {
  const { segment, analytics } = await onSegment(library, t, settings);
  // From then on the client knows that the server takes what it sends.
  assert.equal((await fateOf(analytics)).reason, undefined);
  segment.addFaults(fault);
  const { reason } = await fateOf(analytics);
  return { reason, requests: segment.requestCount - 1, events: segment.eventCount - 1 };
}

/** Somebody else's server, to which a redirect leads. */
async function redirected(library, t) {
  const elsewhere = await startSegment(t);
  const fault = { redirect: { status: 307, location: `${elsewhere.url}/v1/batch` }, times: Infinity };
  return { ...(await answered(library, t, fault, { maxRetries: 0 })), elsewhere };
}

const IN_TWO_SECONDS = () => new Date(Date.now() + 2_000);

/** What says when to come back, though only analytics-node's own way is `Retry-After` of a 429 in seconds. */
const PAUSES = [
  ['429 with a Retry-After that is a date', () => ({ retryAfter: IN_TWO_SECONDS() })],
  ['429 with X-RateLimit-Reset', () => ({ rateLimitReset: 1 })],
  ['503 with a Retry-After', () => ({ status: 503, retryAfter: 1 })],
];

export const cases = [
  ...[200, 201, 202, 204].map((status) => ({
    name: `${status} is delivered`,
    async run(library, t) {
      assert.deepEqual(await answered(library, t, { status }), { reason: undefined, requests: 1, events: 1 });
    },
  })),
  ...[400, 401, 402, 403, 404, 409, 413, 422, 425, 431, 499, 501, 505].map((status) => ({
    name: `${status} is dropped at once`,
    async run(library, t) {
      const { reason, requests } = await answered(library, t, { status, times: Infinity });
      assert.ok(reason instanceof Error);
      assert.equal(requests, 1);
    },
  })),
  ...[408, 410, 429, 460, 500, 502, 503, 504, 507, 520, 600, 999].map((status) => ({
    name: `${status} is tried again`,
    async run(library, t) {
      assert.deepEqual(await answered(library, t, { status }), { reason: undefined, requests: 2, events: 1 });
    },
  })),
  ...[429, 500].map((status) => ({
    name: `${status} counts as an attempt`,
    async run(library, t) {
      const fault = { status, times: Infinity };
      const { reason, requests } = await answered(library, t, fault, { maxRetries: 0 });
      assert.ok(reason instanceof Error);
      assert.equal(requests, 1);
    },
  })),
  {
    name: '429 with Retry-After in seconds pauses the client and counts as no attempt',
    async run(library, t) {
      const outcome = await answered(library, t, { retryAfter: 1 }, { maxRetries: 0 });
      assert.deepEqual(outcome, { reason: undefined, requests: 2, events: 1 });
    },
  },
  {
    name: '429 with Retry-After: 0 pauses the client too',
    async run(library, t) {
      const outcome = await answered(library, t, { retryAfter: 0 }, { maxRetries: 0 });
      assert.deepEqual(outcome, { reason: undefined, requests: 2, events: 1 });
    },
  },
  ...PAUSES.map(([name, fault]) => ({
    name,
    async run(library, t) {
      const { reason } = await answered(library, t, fault(), { maxRetries: 0 });
      assert.equal(reason, undefined);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'counts as an attempt',
      ours: 'pauses the client and counts as none',
      why: 'Segment says when to come back',
      async run(library, t) {
        const { reason, requests } = await answered(library, t, fault(), { maxRetries: 0 });
        assert.ok(reason instanceof Error);
        assert.equal(requests, 1);
      },
    },
  })),
  {
    name: '511',
    async run(library, t) {
      const outcome = await answered(library, t, { status: 511 });
      assert.deepEqual(outcome, { reason: undefined, requests: 2, events: 1 });
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'dropped, unless there is OAuth',
      ours: 'tried again',
      why: 'a portal on the way says so, not Segment',
      async run(library, t) {
        const { reason } = await answered(library, t, { status: 511 });
        assert.equal(reason.message, '[511] Network Authentication Required');
      },
    },
  },
  {
    name: '304',
    async run(library, t) {
      const { reason } = await answered(library, t, { status: 304 }, { maxRetries: 0 });
      assert.equal(reason.code, 'ERR_REDIRECT');
    },
    differs: {
      kind: DEFECT,
      theirs: 'delivered',
      ours: 'tried again, in the end `ERR_REDIRECT`',
      why: 'nobody took the events',
      advice: 'check `host` and any proxy or portal on the way',
      async run(library, t) {
        const { reason, events } = await answered(library, t, { status: 304 }, { maxRetries: 0 });
        assert.deepEqual([reason, events], [undefined, 0]);
      },
    },
  },
  {
    name: 'a redirect to another server',
    async run(library, t) {
      const { reason, elsewhere } = await redirected(library, t);
      assert.deepEqual([reason.code, elsewhere.requestCount], ['ERR_REDIRECT', 0]);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'followed',
      ours: 'never followed, in the end `ERR_REDIRECT`',
      why: 'customer data and the write key would go to whoever says so',
      advice: 'set `host` and `path` to the final address',
      async run(library, t) {
        const { reason, elsewhere } = await redirected(library, t);
        assert.deepEqual([reason, elsewhere.requestCount], [undefined, 1]);
      },
    },
  },
];
