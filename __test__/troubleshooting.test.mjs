/** docs/TROUBLESHOOTING.md lists what can go wrong: each message as it is really said, each code, each refusal. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { AnalyticsError } from '@companion/segment';
import {
  NotificationReceiver,
  createSegmentClient,
  sendCustomerToSegment,
  sendCustomerToSegmentWithClient,
} from '@companion/segment/commercetools';

import { CREATED } from './support/receivers.mjs';
import {
  KEY,
  PAYLOAD,
  assertFailed,
  closedUrl,
  createClient,
  startClientPair,
  startWithEnvironment,
  useEnvironment,
} from './support/pipeline.mjs';

const GUIDE = await read('docs/TROUBLESHOOTING.md');
/** Every row of every table, as its cells. */
const ROWS = GUIDE.split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) => line.split(/(?<!\\)\|/).slice(1, -1))
  .map((cells) => cells.map((cell) => cell.trim()));

function read(path) {
  return readFile(new URL(`../${path}`, import.meta.url), 'utf8');
}

/** The texts that a type of the package consists of. */
async function membersOf(type, path) {
  const declarations = (await read(`dist/${path}.d.ts`)).replaceAll(/\/\*.*?\*\//gs, '');
  const [, union] = new RegExp(`type ${type} = ([^;]*);`).exec(declarations);
  const members = [...union.matchAll(/'([^']+)'/g)].map(([, member]) => member);
  assert.ok(members.length > 0);
  return members;
}

/** The row with this in the column. No cell of it is empty. */
function rowOf(name, column = 0) {
  const found = ROWS.filter((cells) => cells[column] === `\`${name}\``);
  assert.equal(found.length, 1, `${name} has ${found.length} rows`);
  for (const cell of found[0]) assert.notEqual(cell, '', `the row of ${name} has an empty cell`);
  return found[0];
}

/** What the caller is told when Segment misbehaves like this. */
const against = (fault, options) => async (t) => {
  const faults = [{ ...fault, times: Infinity }];
  const { client } = await startClientPair(t, { maxRetries: 0, ...options }, { faults });
  return sendCustomerToSegmentWithClient(client, PAYLOAD);
};

const withEnvironment = (environment) => (t) => {
  useEnvironment(t, environment);
  return sendCustomerToSegment(PAYLOAD);
};

const withPayload = (payload) => async (t) => {
  const segment = await startWithEnvironment(t);
  const result = await sendCustomerToSegment(payload);
  assert.equal(segment.requestCount, 0);
  return result;
};

/** The error that making a client throws, as a result. */
function thrownFor(writeKey) {
  try {
    createSegmentClient(writeKey);
    return { success: true };
  } catch ({ message, code }) {
    return { success: false, error: { message, code } };
  }
}

async function atClosedPort(t) {
  const client = createClient(t, { url: await closedUrl(t) }, { maxRetries: 0 });
  return sendCustomerToSegmentWithClient(client, PAYLOAD);
}

const BLANK = 'Write key cannot be empty or whitespace only';

describe('each message is said, and listed with its code, cause and cure', () => {
  for (const [message, how, produce] of [
    [BLANK, 'for a blank parameter', () => thrownFor('  ')],
    [BLANK, 'for an empty variable', withEnvironment({ SEGMENT_WRITE_KEY: '' })],
    [BLANK, 'for a blank variable', withEnvironment({ SEGMENT_WRITE_KEY: ' ' })],
    ['Missing SEGMENT_WRITE_KEY', 'without the variable', withEnvironment({})],
    ['Network timeout', 'for an attempt', against({ hang: true }, { httpRequestTimeout: 50 })],
    ['Connection failed', 'where nobody listens', atClosedPort],
    ['Connection failed', 'for a reset', against({ reset: 'after-body' })],
    ['401 Unauthorized', 'for a status', against({ status: 401 })],
    ['400 Bad Request', 'for a status', against({ status: 400 })],
    ['500 Internal Server Error', 'for a status', against({ status: 500 })],
    ['userId cannot be empty', 'for no id', withPayload({ traits: {} })],
    ['userId cannot be empty', 'for an empty id', withPayload({ userId: '', traits: {} })],
    ['userId cannot be empty', 'for a blank id', withPayload({ userId: ' ', traits: {} })],
    ['Invalid payload', 'for no payload', withPayload(undefined)],
    ['Invalid payload', 'for no traits', withPayload({ userId: 'u' })],
  ]) {
    test(`${message}, ${how}`, async (t) => {
      const [, code] = rowOf(message);
      assertFailed(await produce(t), code.replaceAll('`', ''), new RegExp(`^${message}`));
    });
  }

  test('Network timeout, for a call, while delivery goes on', async (t) => {
    const { segment, client } = await startClientPair(t, { callTimeout: 50 }, { faults: [{ hang: true }] });
    const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
    assertFailed(result, 'ERR_TIMEOUT', /^Network timeout: no answer within 50 ms/);
    await segment.waitForRequests(1);
    await segment.pause();
    await segment.resume();
    await segment.waitForEvents(1);
  });

  test('401 Unauthorized, for a key that is not known', async (t) => {
    const { client } = await startClientPair(t, {}, { writeKeys: [`not-${KEY}`] });
    const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
    assertFailed(result, 'ERR_UNAUTHORIZED', /^401 Unauthorized/);
  });

  test('Unknown error, for what has no text', async () => {
    const client = { identify: () => Promise.reject(Object.create(null)) };
    const result = await sendCustomerToSegmentWithClient(client, PAYLOAD);
    assert.deepEqual(result, { success: false, error: { message: 'Unknown error' } });
    assert.equal(rowOf('Unknown error')[1], 'none');
  });
});

test('every code is listed, and whether the same may succeed later', async () => {
  for (const code of await membersOf('ErrorCode', 'errors')) {
    const [, again] = rowOf(code);
    const client = { identify: () => Promise.reject(new AnalyticsError(code, 'said')) };
    const { isRetryable } = await new NotificationReceiver({ client }).receive(CREATED);
    assert.equal(again, isRetryable ? 'yes' : 'no', code);
  }
});

test('every code that is listed is one', async () => {
  const codes = new Set(await membersOf('ErrorCode', 'errors'));
  for (const [code] of GUIDE.matchAll(/ERR_\w+/g)) assert.ok(codes.has(code), code);
});

test('every refusal of the webhook is listed with its answer', async () => {
  const refusals = [
    ...(await membersOf('SnsRefusal', 'commercetools/sns-verifier')),
    ...(await membersOf('WebhookRefusal', 'commercetools/nestjs/authentication')),
  ];
  for (const refusal of refusals) assert.match(rowOf(refusal, 1)[0], /^(401|403|500)$/, refusal);
  const listed = ROWS.filter(([answer, reason]) => /^\d{3}$/.test(answer) && /^`[a-z-]+`$/.test(reason));
  assert.deepEqual(listed.map(([, reason]) => reason.replaceAll('`', '')).sort(), refusals.sort());
});

test('every reason for which a notification is not identified is listed', async () => {
  const reasons = [
    ...(await membersOf('IgnoreReason', 'commercetools/types')),
    ...(await membersOf('InvalidReason', 'commercetools/types')),
    'not-fetched',
    'not-found',
  ];
  const listed = ROWS.filter(([outcome]) => outcome === 'ignored' || outcome === 'invalid')
    .flatMap(([, names]) => names.split(', '))
    .map((name) => name.replaceAll('`', ''));
  assert.deepEqual(listed.sort(), reasons.sort());
});

test('the common issues are there, each with its cause and cure', () => {
  for (const issue of [
    'Missing SEGMENT_WRITE_KEY',
    'Network errors',
    'Invalid write key',
    'Empty userId',
    'Flush not completing',
    'Type errors',
  ]) {
    const rows = ROWS.filter(([first]) => first.startsWith(`**${issue}**`));
    assert.equal(rows.length, 1, issue);
    for (const cell of rows[0]) assert.notEqual(cell, '', issue);
  }
});

test('its links lead somewhere', () => {
  const titles = [...GUIDE.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title.toLowerCase());
  const anchors = new Set(titles.map((title) => title.replaceAll(' ', '-')));
  for (const [, anchor] of GUIDE.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.has(anchor), anchor);
});
