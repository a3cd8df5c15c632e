import assert from 'node:assert/strict';

import { DELIBERATE } from '../libraries.mjs';
import {
  KEY,
  METHODS,
  MINIMAL,
  fateOf,
  fates,
  next,
  onCollector,
  onSegment,
  plugin,
  trackAll,
} from '../stage.mjs';

const OUTAGE = { faults: [{ status: 404, times: Infinity }] };

/** What listeners of an event got, in order, once the event's fate is known. */
async function heard(library, t, event, settings, options) {
  const { segment, analytics } = await onSegment(library, t, settings, options);
  const calls = [];
  analytics.on(event, (...args) => calls.push(args));
  await fateOf(analytics);
  return { calls, segment };
}

/** What the constructor emits. */
function initialized(library, t) {
  const calls = [];
  class Watched extends library.Analytics {
    emit(event, ...args) {
      if (event === 'initialize') calls.push(args);
      return super.emit(event, ...args);
    }
  }
  const analytics = new Watched({ writeKey: KEY, flushAt: 7 });
  t.after(() => analytics.closeAndFlush());
  return calls;
}

export const cases = [
  {
    name: 'initialize has the settings, from inside the constructor',
    run(library, t) {
      const [[settings]] = initialized(library, t);
      assert.equal(settings.flushAt, 7);
    },
  },
  {
    name: 'the write key in initialize',
    run: (library, t) => assert.ok(!('writeKey' in initialized(library, t)[0][0])),
    differs: {
      kind: DELIBERATE,
      theirs: 'is there',
      ours: 'is not',
      why: 'listeners log what they get',
      run: (library, t) => assert.equal(initialized(library, t)[0][0].writeKey, KEY),
    },
  },
  {
    name: 'register has the names of the plugins',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      await analytics.ready;
      const calls = [];
      analytics.on('register', (...args) => calls.push(args));
      await analytics.register(plugin('a', 'before'), plugin('b', 'after'));
      assert.deepEqual(calls, [[['a', 'b']]]);
    },
  },
  {
    name: 'deregister has the names that were asked for, unknown ones too',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const calls = [];
      analytics.on('deregister', (...args) => calls.push(args));
      await analytics.register(plugin('a', 'before'));
      await analytics.deregister('a', 'unknown');
      assert.deepEqual(calls, [[['a', 'unknown']]]);
    },
  },
  ...METHODS.map((method) => ({
    name: `${method} has the context of an event that was delivered`,
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      const told = next(analytics, method);
      analytics[method](MINIMAL[method]);
      const args = await told;
      assert.equal(args.length, 1);
      assert.ok(args[0] instanceof library.Context);
      assert.deepEqual(segment.events, [JSON.parse(JSON.stringify(args[0].event))]);
    },
  })),
  {
    name: 'track is not told of an event that failed',
    run: async (library, t) => assert.deepEqual((await heard(library, t, 'track', {}, OUTAGE)).calls, []),
  },
  {
    name: "error has { code: 'delivery_failure', reason, ctx }",
    async run(library, t) {
      const { calls } = await heard(library, t, 'error', {}, OUTAGE);
      assert.equal(calls.length, 1);
      const [{ code, reason, ctx }] = calls[0];
      assert.equal(code, 'delivery_failure');
      assert.ok(reason instanceof Error && ctx instanceof library.Context);
      assert.equal(ctx.event.event, MINIMAL.track.event);
      assert.equal(ctx.failedDelivery().reason, reason);
    },
  },
  {
    name: 'error is told once for each event of a batch',
    async run(library, t) {
      const settings = { flushAt: 3, maxRetries: 0 };
      const faults = [{ status: 500, times: Infinity }];
      const { analytics } = await onSegment(library, t, settings, { faults });
      const messageIds = [];
      analytics.on('error', ({ ctx }) => messageIds.push(ctx.event.messageId));
      const ends = fates(analytics, 3);
      trackAll(analytics, 3);
      await ends;
      assert.deepEqual(messageIds.toSorted(), ['m0', 'm1', 'm2']);
    },
  },
  {
    name: 'error without a listener throws nothing',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, {}, OUTAGE);
      const drained = next(analytics, 'drained');
      analytics.track(MINIMAL.track);
      await drained;
    },
  },
  {
    name: 'http_request has { url, method, headers, body } before each attempt',
    async run(library, t) {
      const { calls, segment } = await heard(library, t, 'http_request', {}, { faults: [{ status: 500 }] });
      assert.equal(calls.length, 2);
      for (const [{ url, method, headers, body }] of calls) {
        assert.deepEqual([url, method], [`${segment.url}/v1/batch`, 'POST']);
        assert.equal(typeof headers, 'object');
        assert.equal(JSON.parse(body).batch[0].event, MINIMAL.track.event);
      }
    },
  },
  {
    name: 'http_request has the X-Retry-Count of the second attempt',
    async run(library, t) {
      const { calls } = await heard(library, t, 'http_request', {}, { faults: [{ status: 500 }] });
      const counts = calls.map(([{ headers }]) => new Headers(headers).get('x-retry-count'));
      assert.deepEqual(counts, [null, '1']);
    },
  },
  {
    name: 'the write key and the authorization in http_request',
    async run(library, t) {
      const { calls } = await heard(library, t, 'http_request');
      const [{ headers, body }] = calls[0];
      assert.equal(new Headers(headers).get('authorization'), null);
      assert.ok(!body.includes(KEY));
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'are there',
      ours: 'are not',
      why: 'listeners log what they get',
      advice: 'a listener that wants them needs `httpClient`',
      async run(library, t) {
        const { calls } = await heard(library, t, 'http_request');
        const [{ headers, body }] = calls[0];
        assert.match(new Headers(headers).get('authorization'), /^Basic /);
        assert.equal(JSON.parse(body).writeKey, KEY);
      },
    },
  },
  {
    name: 'a listener of http_request that changes the headers',
    run: async (library, t) => assert.equal(await changedHeader(library, t), undefined),
    differs: {
      kind: DELIBERATE,
      theirs: 'changes the request',
      ours: 'changes nothing',
      why: 'the request is on another thread',
      advice: 'add headers in `httpClient`',
      run: async (library, t) => assert.equal(await changedHeader(library, t), 'mine'),
    },
  },
  {
    name: 'a listener of http_request that changes the body changes nothing',
    async run(library, t) {
      const { segment, analytics } = await onSegment(library, t);
      analytics.on('http_request', (request) => (request.body = '{}'));
      assert.equal((await fateOf(analytics)).reason, undefined);
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'http_response has { status, statusText, url, body, headers } of each answer',
    async run(library, t) {
      const { calls, segment } = await heard(library, t, 'http_response', {}, { faults: [{ status: 500 }] });
      const seen = calls.map(([{ status, statusText, url }]) => [status, statusText, url]);
      const url = `${segment.url}/v1/batch`;
      assert.deepEqual(seen, [
        [500, 'Internal Server Error', url],
        [200, 'OK', url],
      ]);
    },
  },
  {
    name: "the body in http_response is the request's",
    async run(library, t) {
      const { calls } = await heard(library, t, 'http_response');
      const [{ body }] = calls[0];
      assert.equal(JSON.parse(body).batch[0].event, MINIMAL.track.event);
    },
  },
  {
    name: 'the headers in http_response are a plain object in lower case',
    async run(library, t) {
      const faults = [{ headers: { 'X-Mine': 'yes' } }];
      const { calls } = await heard(library, t, 'http_response', {}, { faults });
      assert.equal(calls[0][0].headers['x-mine'], 'yes');
    },
  },
  {
    name: 'http_request, http_response and the event come in this order',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      const order = [];
      for (const event of ['http_request', 'http_response', 'track']) {
        analytics.on(event, () => order.push(event));
      }
      const drained = next(analytics, 'drained');
      analytics.track(MINIMAL.track);
      await drained;
      assert.deepEqual(order, ['http_request', 'http_response', 'track']);
    },
  },
  {
    name: 'call_after_close has the event, inside the call',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      await analytics.closeAndFlush();
      const calls = [];
      analytics.on('call_after_close', (...args) => calls.push(args));
      for (const method of METHODS) analytics[method](MINIMAL[method]);
      assert.deepEqual(
        calls.map(([{ type }]) => type),
        METHODS,
      );
      assert.equal(calls[1][0].event, MINIMAL.track.event);
    },
  },
  {
    name: 'drained is told each time nothing is pending any more',
    async run(library, t) {
      const { analytics } = await onSegment(library, t);
      for (let round = 0; round < 2; round += 1) {
        const drained = next(analytics, 'drained');
        analytics.track(MINIMAL.track);
        assert.deepEqual(await drained, []);
      }
    },
  },
  {
    name: 'drained is told after the last event of several',
    async run(library, t) {
      const { analytics } = await onSegment(library, t, { flushAt: 3 });
      let events = 0;
      analytics.on('track', () => (events += 1));
      const drained = next(analytics, 'drained');
      trackAll(analytics, 3);
      await drained;
      assert.equal(events, 3);
    },
  },
  {
    name: 'dispatch_start',
    run: async (library, t) => assert.deepEqual((await heard(library, t, 'dispatch_start')).calls, []),
    differs: {
      kind: DELIBERATE,
      theirs: 'inside the call, with a `Context`; in no type and no document',
      ours: 'is not told',
      why: 'there is no context on your thread unless somebody needs it',
      advice: 'a plugin of type `before`',
      async run(library, t) {
        const { calls } = await heard(library, t, 'dispatch_start');
        assert.ok(calls[0][0] instanceof library.Context);
      },
    },
  },
];

async function changedHeader(library, t) {
  const { collector, analytics } = await onCollector(library, t);
  analytics.on('http_request', ({ headers }) => (headers['X-Mine'] = 'mine'));
  await fateOf(analytics);
  return collector.requests[0].headers['x-mine'];
}
