import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { closingLine, metricsOf, startCompanionApi } from '../scripts/demo/companion-api.mjs';
import { customerCreated, untrustworthy } from '../scripts/demo/shop.mjs';
import { shutDownUnderLoad } from '../scripts/demo/shutdown.mjs';
import { compare, Visitors } from '../scripts/demo/visitors.mjs';
import { startSegment } from './support/clients.mjs';
import { startCollector } from './support/collector.mjs';
import { post, startSns, TOPIC_ARN } from './support/sns.mjs';

const PRODUCT_KEY = 'product-write-key';
const MARKETING_KEY = 'marketing-write-key';
const WEBHOOK_SECRET = 'secret-of-the-shop';
const EMAIL = 'mira.okafor@example.com';
const PASSWORD = 'correct horse battery';
const REASON = 'A knee that hurts';
/** What may be in no line of the application's output. */
const SECRETS = [PRODUCT_KEY, MARKETING_KEY, WEBHOOK_SECRET, EMAIL, PASSWORD, REASON, 'Mira', 'Okafor'];
const MIRA = { email: EMAIL, password: PASSWORD, firstName: 'Mira', lastName: 'Okafor' };
const BOOKING = { kind: 'video', startsAt: '2100-05-01T09:30:00.000Z', reason: REASON };
/** Behind a proxy, from a browser. */
const BROWSER = {
  'x-forwarded-for': '203.0.113.7',
  'user-agent': 'Firefox/150',
  'accept-language': 'de-AT,de;q=0.8',
};
/** What an event is told of a request of that browser. */
const contextOf = (path) => ({
  ip: '203.0.113.7',
  userAgent: 'Firefox/150',
  locale: 'de-AT',
  page: { path },
});

/** What comes of a customer whom the shop has created: nothing of the request that told of her. */
const IDENTIFIED = {
  type: 'identify',
  userId: EMAIL,
  traits: {
    email: EMAIL,
    firstName: 'Mira',
    lastName: 'Okafor',
    name: 'Mira Okafor',
    address: {
      street: 'Elm Street 4',
      city: 'Springfield',
      state: 'Oregon',
      postalCode: '12345',
      country: 'US',
    },
  },
  context: {},
};

/** The application on this Segment; gone with the test. */
async function start(t, { url }, more = {}, sns) {
  const environment = { SEGMENT_WRITE_KEY: PRODUCT_KEY, SEGMENT_HOST: url, WEBHOOK_SECRET, ...more };
  const api = await startCompanionApi(environment, sns);
  t.after(() => api.kill('SIGKILL'));
  assert.ok(api.url, api.output.join('\n'));
  return api;
}

/** Ends it as an orchestrator does. All events have arrived then, and nothing was written that may not be. */
async function end(api, ...moreSecrets) {
  api.kill('SIGTERM');
  assert.deepEqual(await api.ended, { code: null, signal: 'SIGTERM' });
  assertSilent(api, moreSecrets);
}

function assertSilent({ output }, moreSecrets = []) {
  assert.ok(output.length > 0);
  for (const secret of [...SECRETS, ...moreSecrets]) {
    assert.ok(!output.some((line) => line.includes(secret)), `the output says ${secret}`);
  }
}

async function ask({ url }, method, path, { body, token, headers } = {}) {
  const response = await fetch(url + path, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const type = response.headers.get('content-type');
  return { status: response.status, type, text, ...(type.includes('json') && { json: JSON.parse(text) }) };
}

/** What of an event the application decides. */
function essence({ type, event, userId, anonymousId, properties, traits, context }) {
  const { library: _ours, ...facts } = context;
  const parts = { type, event, userId, anonymousId, properties, traits, context: facts };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

describe('the example application', { concurrency: 2 }, () => {
  test('tracks what members do, each to the sources it is for', async (t) => {
    const segment = await startCollector(t);
    const api = await start(t, segment, { SEGMENT_MARKETING_WRITE_KEY: MARKETING_KEY });
    const headers = { ...BROWSER, 'x-anonymous-id': 'browser-1' };

    const onboarded = await ask(api, 'POST', '/onboarding?invitedBy=friend', { headers, body: MIRA });
    assert.equal(onboarded.status, 201);
    const { memberId } = onboarded.json;

    const guess = await ask(api, 'POST', '/login', {
      headers,
      body: { email: EMAIL, password: 'not the password' },
    });
    assert.equal(guess.status, 401);
    const login = await ask(api, 'POST', '/login', {
      headers: BROWSER,
      body: { email: EMAIL, password: PASSWORD },
    });
    assert.equal(login.status, 200);
    assert.equal(login.json.memberId, memberId);
    const { token } = login.json;

    const booked = await ask(api, 'POST', '/appointments', { headers: BROWSER, token, body: BOOKING });
    assert.equal(booked.status, 201);
    const { appointmentId, ...appointment } = booked.json;
    assert.deepEqual(appointment, { kind: 'video', startsAt: BOOKING.startsAt });

    const changed = await ask(api, 'PATCH', '/plan', { headers: BROWSER, token, body: { plan: 'plus' } });
    assert.equal(changed.status, 200);
    const { changeId } = changed.json;
    assert.deepEqual(changed.json, { changeId, from: 'basic', to: 'plus' });

    await end(api, token);
    const eventsOf = (key) => {
      const authorization = `Basic ${Buffer.from(`${key}:`).toString('base64')}`;
      const requests = segment.requests.filter(({ headers: sent }) => sent.authorization === authorization);
      return requests.flatMap(({ json }) => json.batch.map(essence));
    };
    const [identified] = eventsOf(PRODUCT_KEY);
    const { createdAt } = identified.traits;
    assert.ok(!Number.isNaN(Date.parse(createdAt)));
    const onboarding = { userId: memberId, anonymousId: 'browser-1', context: contextOf('/onboarding') };
    const planning = { userId: memberId, context: contextOf('/plan') };
    assert.deepEqual(eventsOf(PRODUCT_KEY), [
      {
        ...onboarding,
        type: 'identify',
        traits: { email: EMAIL, firstName: 'Mira', lastName: 'Okafor', plan: 'basic', createdAt },
      },
      { ...onboarding, type: 'track', event: 'Onboarding Completed', properties: { plan: 'basic' } },
      {
        type: 'track',
        event: 'Sign In Failed',
        anonymousId: 'browser-1',
        properties: {},
        context: contextOf('/login'),
      },
      {
        type: 'track',
        event: 'Signed In',
        userId: memberId,
        properties: { plan: 'basic' },
        context: contextOf('/login'),
      },
      {
        type: 'track',
        event: 'Appointment Booked',
        userId: memberId,
        properties: { appointmentId, kind: 'video', startsAt: BOOKING.startsAt },
        context: contextOf('/appointments'),
      },
      { ...planning, type: 'identify', traits: { plan: 'plus' } },
      {
        ...planning,
        type: 'track',
        event: 'Plan Changed',
        properties: { changeId, from: 'basic', to: 'plus' },
      },
    ]);
    assert.deepEqual(eventsOf(MARKETING_KEY), [
      { ...planning, type: 'track', event: 'Plan Chosen', properties: { plan: 'plus' } },
    ]);
    assert.equal(closingLine(api).delivered, 7);
    assert.equal(closingLine(api, 'marketing').delivered, 1);
  });

  test('refuses wrong input with a 4xx and tracks nothing of it', async (t) => {
    const segment = await startSegment(t);
    const api = await start(t, segment);
    await ask(api, 'POST', '/onboarding', { body: MIRA });
    const login = await ask(api, 'POST', '/login', { body: { email: EMAIL, password: PASSWORD } });
    const { token } = login.json;
    await ask(api, 'POST', '/appointments', { token, body: BOOKING });
    const tracked = ['identify', 'Onboarding Completed', 'Signed In', 'Appointment Booked'];

    for (const [status, method, path, options] of [
      [409, 'POST', '/onboarding', { body: { ...MIRA, email: EMAIL.toUpperCase() } }],
      [400, 'POST', '/onboarding', { body: { ...MIRA, email: 'Mira' } }],
      [400, 'POST', '/onboarding', { body: { ...MIRA, password: 'short' } }],
      [400, 'POST', '/onboarding', { body: `{"email": "${EMAIL}", Mira` }],
      [400, 'POST', '/onboarding', { body: [] }],
      [400, 'POST', '/onboarding', { body: [MIRA] }],
      [400, 'POST', '/login', { body: { email: EMAIL } }],
      [400, 'POST', '/login', { body: [] }],
      [400, 'POST', '/appointments', { token, body: [BOOKING] }],
      [400, 'PATCH', '/plan', { token, body: [] }],
      [401, 'POST', '/appointments', { body: BOOKING }],
      [401, 'POST', '/appointments', { token: `${token}x`, body: BOOKING }],
      [401, 'POST', '/appointments', { headers: { authorization: `Basic ${token}` }, body: BOOKING }],
      [409, 'POST', '/appointments', { token, body: BOOKING }],
      [400, 'POST', '/appointments', { token, body: { ...BOOKING, startsAt: '2020-01-01T00:00:00Z' } }],
      [400, 'POST', '/appointments', { token, body: { ...BOOKING, startsAt: REASON } }],
      [400, 'POST', '/appointments', { token, body: { ...BOOKING, kind: REASON } }],
      [401, 'PATCH', '/plan', { body: { plan: 'plus' } }],
      [400, 'PATCH', '/plan', { token, body: { plan: 'free' } }],
      [409, 'PATCH', '/plan', { token, body: { plan: 'basic' } }],
      [404, 'GET', `/members/${EMAIL}`, {}],
    ]) {
      const answer = await ask(api, method, path, options);
      assert.equal(answer.status, status, `${method} ${path} ${JSON.stringify(options)}: ${answer.text}`);
    }

    await end(api, token);
    assert.deepEqual(
      segment.events.map(({ type, event }) => event ?? type),
      tracked,
    );
  });

  test('identifies the customers of the webhook, and says no more to the caller than it has to', async (t) => {
    const segment = await startSegment(t);
    const api = await start(t, segment);
    const headers = { ...BROWSER, 'x-webhook-secret': WEBHOOK_SECRET };
    const send = (body, more) => ask(api, 'POST', '/api/webhook', { headers: { ...headers, ...more }, body });
    const notification = customerCreated(EMAIL);
    const { customer } = notification;

    const taken = await send(notification);
    assert.deepEqual([taken.status, taken.json], [200, { success: true }]);
    assert.deepEqual(segment.events.map(essence), [IDENTIFIED]);
    const ignored = await send({ ...notification, type: 'CustomerDeleted', customer: undefined });
    assert.deepEqual([ignored.status, ignored.json], [200, { success: true }]);

    for (const body of [
      undefined,
      {},
      [],
      '{"type":',
      { type: 'CustomerCreated' },
      { type: 'CustomerCreated', customer: EMAIL },
      { type: 'CustomerCreated', customer: { firstName: 'Mira' } },
      { ...notification, customer: { ...customer, email: '' } },
    ]) {
      const refused = await send(body);
      assert.equal(refused.status, 400, JSON.stringify(body));
    }
    const stranger = await ask(api, 'POST', '/api/webhook', { body: notification });
    assert.deepEqual([stranger.status, stranger.json.error], [401, { message: 'Unauthorized' }]);
    const guess = await send(notification, { 'x-webhook-secret': `${WEBHOOK_SECRET}x` });
    assert.deepEqual([guess.status, guess.json.error], [403, { message: 'Forbidden' }]);

    segment.addFaults({ status: 400 });
    const rejected = await send(notification);
    const failure = { success: false, error: { message: 'Internal server error' } };
    assert.deepEqual([rejected.status, rejected.json], [500, failure]);

    await end(api);
    assert.equal(segment.eventCount, 1);
    const line = api.log.find(({ message }) => message.startsWith('customer not identified'));
    assert.equal(line.level, 'error');
    assert.match(line.message, /400.*"code":"ERR_REJECTED"/);
  });

  test('believes the webhook what SNS has signed, and nobody else', async (t) => {
    const segment = await startSegment(t);
    const sns = await startSns();
    t.after(() => sns.close());
    const api = await start(t, segment, { WEBHOOK_TOPIC_ARNS: ` ${TOPIC_ARN}, ${TOPIC_ARN}-2` }, sns);
    const deliver = (message) => post(`${api.url}/api/webhook`, message);

    const confirmed = await deliver(sns.topic.confirmation());
    assert.equal(confirmed.status, 200);
    assert.equal(sns.confirmations.length, 1);
    const message = sns.topic.notification(customerCreated(EMAIL));
    const taken = await deliver(message);
    assert.deepEqual([taken.status, await taken.json()], [200, { success: true }]);

    for (const [what, refused] of Object.entries(untrustworthy(sns.topic, message, `other.${EMAIL}`))) {
      const answer = await deliver(refused);
      assert.equal(answer.status, 403, what);
      assert.deepEqual(await answer.json(), { success: false, error: { message: 'Forbidden' } });
    }
    const unsigned = await ask(api, 'POST', '/api/webhook', { body: customerCreated(EMAIL) });
    assert.equal(unsigned.status, 403);

    await end(api);
    assert.deepEqual(segment.events.map(essence), [IDENTIFIED]);
    const refusals = api.log
      .map(({ message: text }) => /^webhook request refused (.*)$/.exec(text)?.[1])
      .filter((text) => text !== undefined);
    assert.deepEqual(
      refusals.map((text) => JSON.parse(text).reason),
      ['signature', 'replayed', 'expired', 'foreign-topic', 'malformed'],
    );
  });

  test('answers the webhook in time when Segment does not', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 503, times: Infinity }] });
    const api = await start(t, segment, { WEBHOOK_TIMEOUT: '1' });
    const late = await ask(api, 'POST', '/api/webhook', {
      headers: { 'x-webhook-secret': WEBHOOK_SECRET },
      body: customerCreated(EMAIL),
    });
    const failure = { success: false, error: { message: 'Internal server error' } };
    assert.deepEqual([late.status, late.json], [500, failure]);

    segment.clearFaults();
    await end(api);
    const line = api.log.find(({ message }) => message.startsWith('customer not identified'));
    assert.match(line.message, /"code":"ERR_TIMEOUT"/);
    // Nobody waits for it any more, but it arrives.
    assert.deepEqual(segment.events.map(essence), [IDENTIFIED]);
  });

  test('has health, metrics and documentation; without its key the marketing team hears nothing', async (t) => {
    const segment = await startSegment(t);
    const api = await start(t, segment);
    const visitors = new Visitors(api.url);
    await visitors.onboard(EMAIL);
    const session = await visitors.signIn(EMAIL);
    await visitors.changePlan(session, 'family');

    const health = await ask(api, 'GET', '/health');
    assert.equal(health.status, 200);
    assert.equal(health.json.info.segment.status, 'up');
    const page = await ask(api, 'GET', '/metrics');
    assert.equal(page.status, 200);
    assert.match(page.type, /^text\/plain/);
    assert.match(page.text, /^segment_events_accepted_total\{client="default"\} 5$/m);
    const metrics = await metricsOf(api);
    assert.ok(metrics.get('process_resident_memory_bytes') > 0);
    const docs = await ask(api, 'GET', '/docs');
    assert.deepEqual([docs.status, docs.type.split(';')[0]], [200, 'text/html']);
    const { json: documentation } = await ask(api, 'GET', '/docs-json');
    const paths = ['/api/webhook', '/onboarding', '/login', '/appointments', '/plan', '/health'];
    assert.deepEqual(Object.keys(documentation.paths), paths);

    await end(api, session.token);
    const { missing, surplus } = compare(visitors.expected, segment.events);
    assert.deepEqual([missing, surplus], [[`track Plan Chosen ${session.memberId} family`], []]);
  });

  test('does not start without a write key, and says why once', async (t) => {
    const api = await startCompanionApi({ WEBHOOK_SECRET });
    t.after(() => api.kill('SIGKILL'));
    const { code } = await api.ended;
    assert.equal(api.url, undefined);
    assert.equal(code, 1);
    const text = 'Missing SEGMENT_WRITE_KEY. Set it, or give SegmentModule a writeKey,';
    assert.equal(api.output.filter((line) => line.includes(text)).length, 1, api.output.join('\n'));
    assert.equal(api.output.filter((line) => /Error\b/.test(line)).length, 1, 'no other error beside it');
    const frames = api.output.filter((line) => /^ +at /.test(line));
    assert.ok(frames.length <= 10, "Nest's own line, with one stack");
  });

  test('does not start with an environment that can not work, and quotes none of it', async (t) => {
    const api = await startCompanionApi({
      SEGMENT_WRITE_KEY: PRODUCT_KEY,
      PORT: '-1',
      SEGMENT_HOST: EMAIL,
      WEBHOOK_SECRET,
    });
    t.after(() => api.kill('SIGKILL'));
    const { code } = await api.ended;
    assert.equal(code, 1);
    const said = api.output.find((line) => line.startsWith('Error: '));
    assert.match(
      said,
      /^Error: The environment is wrong: PORT must .*; SEGMENT_HOST must be a URL address\.$/,
    );
    assertSilent(api);
  });

  test('does not start without a word on who may post to the webhook', async (t) => {
    for (const nothing of [{}, { WEBHOOK_SECRET: '', WEBHOOK_TOPIC_ARNS: '' }]) {
      const api = await startCompanionApi({ SEGMENT_WRITE_KEY: PRODUCT_KEY, ...nothing });
      t.after(() => api.kill('SIGKILL'));
      assert.equal(api.url, undefined);
      const { code } = await api.ended;
      assert.equal(code, 1);
      const said = api.output.find((line) => line.startsWith('Error: '));
      assert.match(
        said,
        /^Error: The environment is wrong: WEBHOOK_TOPIC_ARNS or WEBHOOK_SECRET must be set, /,
      );
      assertSilent(api);
    }
  });

  test('does not start with topics that are none, and says so once', async (t) => {
    const environment = { SEGMENT_WRITE_KEY: PRODUCT_KEY, WEBHOOK_TOPIC_ARNS: 'customers' };
    const api = await startCompanionApi(environment);
    t.after(() => api.kill('SIGKILL'));
    assert.equal(api.url, undefined);
    const { code } = await api.ended;
    assert.equal(code, 1);
    const text = 'The option topicArns must be a list of the ARNs of your topics.';
    assert.equal(api.output.filter((line) => line.includes(text)).length, 1, api.output.join('\n'));
  });
});

test('SIGTERM under load: every request answered with a 2xx has its event at Segment, once', async (t) => {
  const shutdownTimeout = 10_000;
  const segment = await startSegment(t);
  const api = await start(t, segment, { SEGMENT_SHUTDOWN_TIMEOUT: String(shutdownTimeout) });
  const visitors = new Visitors(api.url);
  const emails = Array.from({ length: 5 }, (_, number) => `${number}.${EMAIL}`);
  await Promise.all(emails.map((email) => visitors.onboard(email)));
  const sessions = await Promise.all(emails.map((email) => visitors.signIn(email)));

  segment.addFaults({ delayMs: 250, times: Infinity });
  const load = { perSecond: 500, forMs: 2_000, patienceMs: 2 * shutdownTimeout };
  const ended = await shutDownUnderLoad(api, visitors, sessions, load);

  assert.ok(ended.answeredBefore > 0);
  assert.deepEqual([ended.code, ended.signal], [null, 'SIGTERM']);
  assert.ok(ended.tookMs <= shutdownTimeout, `${ended.tookMs} ms`);
  const { missing, surplus } = compare(visitors.expected, segment.events);
  assert.deepEqual(missing, []);
  // An event whose answer was cut off.
  assert.ok(surplus.length <= visitors.unanswered, `${surplus.length}`);
  assert.equal(new Set(segment.events.map(({ messageId }) => messageId)).size, segment.eventCount);
  const { accepted, delivered, refused } = closingLine(api);
  assert.deepEqual([accepted, delivered, refused], [segment.eventCount, segment.eventCount, 0]);
  assertSilent(
    api,
    sessions.map(({ token }) => token),
  );
});
