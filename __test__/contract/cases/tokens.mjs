import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import { clientOf, fateOf } from '../stage.mjs';
import { startOAuth } from '../../support/authorization-server.mjs';

/** The end of an event when the authorization server begins with these answers. */
async function answered(library, t, answers, settings) {
  const server = await startOAuth(t, { answers });
  const { host, oauthSettings, tokenRequests, batches } = server;
  const analytics = clientOf(library, t, { host, oauthSettings, ...settings });
  const { reason } = await fateOf(analytics);
  return { reason, tokenRequests: tokenRequests.length, batches: batches.length };
}

/** The end of an event that no failed attempt is granted, when the authorization server begins with two pauses. */
async function limited(library, t) {
  const pause = { status: 429, headers: { 'retry-after': '1' } };
  const server = await startOAuth(t, { answers: [pause, pause] });
  const oauthSettings = { ...server.oauthSettings, maxRetries: 1 };
  const analytics = clientOf(library, t, { host: server.host, oauthSettings, maxRetries: 0 });
  const { reason } = await fateOf(analytics);
  return { reason, tokenRequests: server.tokenRequests.length };
}

const UNKNOWN_CLIENT = { status: 401, body: '{"error":"invalid_client"}' };

export const cases = [
  ...[400, 401, 403, 404, 413, 415, 422, 425, 431, 500, 502, 503].map((status) => ({
    name: `${status} for a token, and no error of OAuth, is tried again`,
    async run(library, t) {
      const outcome = await answered(library, t, [{ status, body: '<html>' }]);
      assert.deepEqual(outcome, { reason: undefined, tokenRequests: 2, batches: 1 });
    },
  })),
  {
    name: '429 for a token is a pause, and no attempt',
    async run(library, t) {
      const { reason, tokenRequests } = await limited(library, t);
      assert.deepEqual([reason, tokenRequests], [undefined, 3]);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'each is a failed request: after `maxRetries` the batch is dropped',
      ours: 'no number of pauses ends an event; `maxRateLimitDuration` does',
      why: 'it is what Segment is granted as well',
      advice: 'set `maxRateLimitDuration` where old events are worth nothing',
      async run(library, t) {
        const { reason } = await limited(library, t);
        assert.equal(reason.message, '[429] Too Many Requests');
      },
    },
  },
  {
    name: '200 for a token, and none in it, is tried again',
    async run(library, t) {
      const outcome = await answered(library, t, [{ status: 200, body: '<html>' }]);
      assert.deepEqual(outcome, { reason: undefined, tokenRequests: 2, batches: 1 });
    },
  },
  {
    name: 'an authorization server that does not know the client (invalid_client)',
    async run(library, t) {
      const { reason, tokenRequests, batches } = await answered(library, t, [UNKNOWN_CLIENT]);
      const expected = ['ERR_UNAUTHORIZED', 401, 1, 0];
      assert.deepEqual([reason.code, reason.status, tokenRequests, batches], expected);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'is asked again at every attempt, until `maxRetries` drops the batch',
      ours: '`ERR_UNAUTHORIZED` at once for a call with a callback; all others are kept until the client is known',
      why: 'a wrong key is a mistake that somebody can mend',
      advice: 'check `clientId`, `keyId` and `clientKey`',
      async run(library, t) {
        const outcome = await answered(library, t, [UNKNOWN_CLIENT]);
        assert.deepEqual(outcome, { reason: undefined, tokenRequests: 2, batches: 1 });
      },
    },
  },
  {
    name: 'what is said of an authorization server that fails until maxRetries',
    async run(library, t) {
      const answers = Array.from({ length: 9 }, () => ({ status: 500 }));
      const { reason } = await answered(library, t, answers, { maxRetries: 0 });
      assert.equal(reason.code, 'ERR_SERVER');
      assert.match(reason.message, /the authorization server gave no token/);
    },
    differs: {
      kind: DELIBERATE,
      theirs: '`[500] Internal Server Error`, as if Segment had said it',
      ours: 'the text names the authorization server',
      why: 'somebody else has to mend it',
      async run(library, t) {
        const answers = Array.from({ length: 9 }, () => ({ status: 500 }));
        const oauth = { maxRetries: 1 };
        const server = await startOAuth(t, { answers });
        const oauthSettings = { ...server.oauthSettings, ...oauth };
        const analytics = clientOf(library, t, { host: server.host, oauthSettings, maxRetries: 0 });
        assert.equal((await fateOf(analytics)).reason.message, '[500] Internal Server Error');
      },
    },
  },
];
