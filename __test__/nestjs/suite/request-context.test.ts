/** What `requestContext` reads off requests. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { test } from 'node:test';

import { Controller, Get } from '@nestjs/common';
import { SegmentService, type RequestContextOptions, type RequestFact } from '@companion/segment/nestjs';
import type { Request } from 'express';
import type { FastifyRequest } from 'fastify';

import { currentAdapter, type ApplicationOptions, type Scope } from './support.js';
import { startTracked, type Tracked } from './tracked.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

/** Without a user an event needs one of these. */
const BROWSER = { 'x-anonymous-id': 'browser-1' };
const HEADERS = {
  ...BROWSER,
  'user-agent': 'Shop/2',
  'accept-language': 'de-CH',
  traceparent: `00-${TRACE}-${PARENT}-01`,
};
const FACTS = {
  ip: '127.0.0.1',
  userAgent: 'Shop/2',
  page: { path: '/members/7' },
  locale: 'de-CH',
  traceId: TRACE,
};

const anonymousId: RequestContextOptions['anonymousId'] = (request) => request.headers['x-anonymous-id'];

@Controller('members')
class MembersController {
  constructor(private readonly segment: SegmentService) {}

  @Get(':id')
  show(): void {
    this.segment.track({ event: 'Member Shown' });
  }
}

@Controller('live')
class LiveController {
  constructor(private readonly segment: SegmentService) {}

  @Get()
  show(): void {
    this.segment.track({ event: 'Asked' });
  }
}

/** An application that tracks each request, as a function from a request to its event. */
async function startShowing(
  scope: Scope,
  requestContext: boolean | RequestContextOptions,
  more: Partial<ApplicationOptions> = {},
): Promise<(headers?: Record<string, string>, path?: string) => Promise<Tracked | undefined>> {
  const controllers = [MembersController, LiveController];
  const { send, events } = await startTracked(scope, { requestContext }, { controllers }, more);
  return async (headers = HEADERS, path = '/members/7') => {
    const before = (await events()).length;
    const response = await send('GET', path, undefined, headers);
    assert.equal(response.status, 200);
    const [event, ...others] = (await events()).slice(before);
    assert.deepEqual(others, []);
    return event;
  };
}

test('a call gets the facts of its request, and of the URL no query', async (t) => {
  const show = await startShowing(t, { anonymousId });
  const event = await show(HEADERS, '/members/7?token=canary&page=/other');
  assert.deepEqual(event, {
    type: 'track',
    event: 'Member Shown',
    anonymousId: 'browser-1',
    properties: {},
    context: FACTS,
  });
});

test('what a request does not say is left out', async (t) => {
  const { url, events } = await startTracked(
    t,
    { requestContext: { anonymousId } },
    { controllers: [MembersController] },
  );
  // `fetch` says of itself who it is, and that it accepts every language.
  const request = get(`${url}/members/7`, { headers: BROWSER });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  const { ip, page } = FACTS;
  const [event] = await events();
  assert.deepEqual(event?.context, { ip, page });
});

test('`true` adds the facts and no ids', async (t) => {
  const { send, client, events } = await startTracked(
    t,
    { requestContext: true },
    { controllers: [MembersController] },
  );
  await send('GET', '/members/7', undefined, HEADERS);
  assert.equal(client.stats().refused.invalid, 1);
  assert.deepEqual(await events(), []);
});

test('the locale is the language with the greatest weight', async (t) => {
  const show = await startShowing(t, { anonymousId });
  const cases: Record<string, string | undefined> = {
    'en-US': 'en-US',
    'de, en': 'de',
    'de;q=0.5, en': 'en',
    'fr;q=0.2,de;q=0.8,en;q=0.5': 'de',
    'de ; q=0.3 , fr ; q=0.4': 'fr',
    '*, en;q=0.1': 'en',
    'en;q=0, de;q=0.1': 'de',
    'en;Q=0.1, de;q=0.2': 'de',
    'en;q=high, de;q=0.001': 'de',
    'en;q=0': undefined,
    '*': undefined,
    ';;,,': undefined,
  };
  for (const [header, locale] of Object.entries(cases)) {
    const event = await show({ ...BROWSER, 'accept-language': header });
    assert.equal(event?.context?.['locale'], locale, header);
  }
});

test('the trace is that of a valid traceparent', async (t) => {
  const show = await startShowing(t, { anonymousId });
  const zeros = (count: number) => '0'.repeat(count);
  const valid = [
    `00-${TRACE}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-00`,
    // Of a later version, which may say more.
    `cc-${TRACE}-${PARENT}-01-more`,
  ];
  const invalid = [
    'canary',
    TRACE,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${TRACE.slice(1)}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}`,
    `00-${zeros(32)}-${PARENT}-01`,
    `00-${TRACE}-${zeros(16)}-01`,
    `00-${TRACE}-${PARENT}-01-more`,
    `00-${TRACE}-${PARENT}-012`,
    `ff-${TRACE}-${PARENT}-01`,
  ];
  const traceOf = async (traceparent: string) =>
    (await show({ ...BROWSER, traceparent }))?.context?.['traceId'];
  for (const traceparent of valid) assert.equal(await traceOf(traceparent), TRACE, traceparent);
  for (const traceparent of invalid) assert.equal(await traceOf(traceparent), undefined, traceparent);
});

test('the address is the one that the adapter trusts, IPv4 as such', async (t) => {
  const doubtful = await startShowing(t, { anonymousId });
  const trusting = await startShowing(t, { anonymousId }, { trustProxy: true });
  const addresses = {
    '203.0.113.9': '203.0.113.9',
    '::ffff:203.0.113.9': '203.0.113.9',
    '2001:db8::ffff:7': '2001:db8::ffff:7',
  };
  for (const [forwarded, ip] of Object.entries(addresses)) {
    const headers = { ...HEADERS, 'x-forwarded-for': forwarded };
    assert.equal((await doubtful(headers))?.context?.['ip'], '127.0.0.1');
    assert.equal((await trusting(headers))?.context?.['ip'], ip);
  }
});

test('`exclude` leaves facts out', async (t) => {
  const facts = Object.keys(FACTS) as RequestFact[];
  for (const exclude of [...facts.map((fact) => [fact]), facts]) {
    const show = await startShowing(t, { anonymousId, exclude });
    const left = Object.entries(FACTS).filter(([fact]) => !exclude.includes(fact as RequestFact));
    const expected = left.length === 0 ? undefined : Object.fromEntries(left);
    assert.deepEqual((await show())?.context, expected, String(exclude));
  }
});

test('`context` adds to the facts and wins over them', async (t) => {
  const show = await startShowing(t, {
    anonymousId,
    exclude: ['ip'],
    context: ({ headers }) => ({ page: { path: '/members/:id' }, plan: headers['x-plan'] }),
  });
  const event = await show({ ...HEADERS, 'x-plan': 'pro' });
  const { ip: _excluded, ...facts } = FACTS;
  assert.deepEqual(event?.context, { ...facts, page: { path: '/members/:id' }, plan: 'pro' });
});

test("resolvers may ask for all that the adapter's request has", async (t) => {
  interface RequestOfExpress extends Request {
    user?: { id: string };
  }
  const ofExpress: RequestContextOptions = {
    userId: (request: RequestOfExpress) => request.user?.id ?? request.get('x-user'),
    anonymousId: (request) => request.headers['x-anonymous-id'],
    context: (request: Request) => ({ scheme: request.protocol }),
  };
  const ofFastify: RequestContextOptions = {
    userId: (request: FastifyRequest & { user?: { id: string } }) =>
      request.user?.id ?? request.headers['x-user'],
    anonymousId: (request) => request.headers['x-anonymous-id'],
    context: (request: FastifyRequest) => ({ scheme: request.protocol }),
  };
  const show = await startShowing(t, currentAdapter() === 'express' ? ofExpress : ofFastify);
  const event = await show({ ...HEADERS, 'x-user': 'user-1' });
  assert.deepEqual([event?.userId, event?.anonymousId], ['user-1', 'browser-1']);
  assert.deepEqual(event?.context, { ...FACTS, scheme: 'http' });
});

test('a user whose id is a number is that number as text', async (t) => {
  const show = await startShowing(t, { userId: () => 42 });
  assert.equal((await show())?.userId, '42');
});

/** What a resolver may do beside its work. */
const RUBBISH: Record<string, () => unknown> = {
  nothing: () => undefined,
  null: () => null,
  'a text without characters': () => '',
  'an object': () => ({ id: 'user-1' }),
  'an array': () => ['user-1'],
  'a boolean': () => true,
  'a symbol': () => Symbol('user-1'),
  'a function': () => () => 'user-1',
  'no number': () => Number.NaN,
  'a promise': () => Promise.resolve('user-1'),
  'a promise that rejects': () => Promise.reject(new Error('canary')),
  'an error that it throws': () => {
    throw new Error('canary');
  },
};

test('ids that are none cost nothing', async (t) => {
  let userId: (() => unknown) | undefined;
  const show = await startShowing(t, { userId: () => userId?.(), anonymousId });
  for (const [what, resolver] of Object.entries(RUBBISH)) {
    userId = resolver;
    const event = await show();
    assert.deepEqual([event?.userId, event?.anonymousId], [undefined, 'browser-1'], what);
    assert.deepEqual(event?.context, FACTS, what);
  }
});

test('a context that is none costs nothing', async (t) => {
  let context: (() => unknown) | undefined;
  const show = await startShowing(t, { anonymousId, context: () => context?.() as object });
  const { 'an object': _good, ...rubbish } = RUBBISH;
  for (const [what, resolver] of Object.entries({ ...rubbish, 'a text': () => 'canary' })) {
    context = resolver;
    const event = await show();
    assert.deepEqual([event?.anonymousId, event?.context], ['browser-1', FACTS], what);
  }
});

test('it is there under a global prefix, and on routes without it', async (t) => {
  const show = await startShowing(
    t,
    { anonymousId },
    { prepare: (app) => void app.setGlobalPrefix('api', { exclude: ['live'] }) },
  );
  for (const path of ['/api/members/7', '/live']) {
    assert.deepEqual((await show(HEADERS, path))?.context, { ...FACTS, page: { path } });
  }
});
