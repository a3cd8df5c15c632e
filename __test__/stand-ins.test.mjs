/** Public classes work through whatever stands for an object of theirs: a Proxy, or what Object.create() made of it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, test } from 'node:test';

import { NestFactory } from '@nestjs/core';
import { Registry } from 'prom-client';
import { lastValueFrom, of } from 'rxjs';

import { Analytics, Context, FetchHTTPClient } from '@companion/segment';
import { withSegment } from '@companion/segment/aws';
import {
  createSegmentClient,
  NotificationReceiver,
  SnsVerifier,
  sendCustomerToSegmentWithClient,
} from '@companion/segment/commercetools';
import { CommercetoolsWebhookModule, WebhookHandler } from '@companion/segment/commercetools/nestjs';
import {
  SegmentContextInterceptor,
  SegmentContextMiddleware,
  SegmentHealthIndicator,
  SegmentModule,
  SegmentService,
} from '@companion/segment/nestjs';
import { RecordingSegmentService } from '@companion/segment/nestjs/testing';
import { registerSegmentMetrics } from '@companion/segment/prometheus';
import { RecordingAnalytics } from '@companion/segment/testing';

import { KEY, METHODS, MINIMAL, NEVER_MS, startPair, startSegment } from './support/clients.mjs';
import { simplified } from './support/notifications.mjs';
import { SnsTopic, TOPIC_ARN } from './support/sns.mjs';

const STAND_INS = {
  'a Proxy': (object) => new Proxy(object, {}),
  'a Proxy that reads the object': (object) => new Proxy(object, { get: (target, name) => target[name] }),
  'a Proxy that binds methods to itself': (object) =>
    new Proxy(object, {
      get(target, name, receiver) {
        const value = Reflect.get(target, name, receiver);
        return typeof value === 'function' ? value.bind(receiver) : value;
      },
    }),
  'a Proxy that wraps methods': (object) =>
    new Proxy(object, {
      get(target, name, receiver) {
        const value = Reflect.get(target, name, receiver);
        if (typeof value !== 'function') return value;
        return function wrapped(...args) {
          return Reflect.apply(value, this, args);
        };
      },
    }),
  'what Object.create() made': (object) => Object.create(object),
  'what Object.create() made of a Proxy': (object) => Object.create(new Proxy(object, {})),
};

/** Names that subclasses may override and nobody calls from outside. */
const PROTECTED = new Set(['hears', 'listenersChanged', 'listenerFailed']);

/** What the classes of an object declare that can be called or read. */
function publicNames(object) {
  const names = new Set();
  let prototype = Object.getPrototypeOf(object);
  while (prototype !== null && prototype !== Object.prototype) {
    for (const name of Reflect.ownKeys(prototype)) names.add(name);
    prototype = Object.getPrototypeOf(prototype);
  }
  return [...names].filter((name) => name !== 'constructor' && !PROTECTED.has(name));
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, log() {} };
const plugin = (name) => ({ name, type: 'before', isLoaded: () => true, load: async () => {} });
const topic = new SnsTopic();
const customer = { id: 'c1', email: 'a@example.com', version: 1 };

/** The fate of a call, through its callback. */
const called = (subject, method) =>
  new Promise((resolve) => {
    const isTaken = subject[method](MINIMAL[method], (error, { event }) =>
      resolve([isTaken, error, event.type]),
    );
    subject.flush();
  });

const callMethods = Object.fromEntries(
  METHODS.map((method) => [method, (subject) => called(subject, method)]),
);

/** Listens, emits by hand, and gives back what was heard. */
const heard = (subject, listen) => {
  const events = [];
  const listener = (...args) => events.push(args);
  listen(subject, listener);
  for (const word of ['a', 'b']) subject.emit('call_after_close', word);
  return events;
};

const ANALYTICS = {
  ...callMethods,
  VERSION: (subject) => subject.VERSION,
  flush: async (subject) => (subject.track(MINIMAL.track), (await subject.flush()).delivered),
  closeAndFlush: async (subject, { object }) => {
    const { unflushed } = await subject.closeAndFlush();
    return [unflushed, subject.track(MINIMAL.track), object.track(MINIMAL.track)];
  },
  reconnect: (subject) => subject.reconnect(),
  stats: (subject) => (subject.track(MINIMAL.track), subject.stats().accepted),
  identifyNatively: (subject) => typeof subject.identifyNatively(() => '+'),
  refusedEvent: (subject) => subject.refusedEvent('track', {}).type,
  register: (subject) => subject.register(plugin('p')),
  deregister: async (subject, { object }) => {
    const unloaded = [];
    await object.register({ ...plugin('p'), unload: () => unloaded.push('p') });
    await subject.deregister('p');
    return unloaded;
  },
  on: (subject) =>
    heard(subject, (from, listener) => assert.equal(from.on('call_after_close', listener), from)),
  once: (subject) => heard(subject, (from, listener) => from.once('call_after_close', listener)),
  off: (subject, { object }) =>
    heard(subject, (from, listener) => {
      object.on('call_after_close', listener);
      from.off('call_after_close', listener);
    }),
  emit: (subject, { object }) => {
    const events = [];
    object.on('call_after_close', (word) => events.push(word));
    subject.emit('call_after_close', 'a');
    return events;
  },
};

const lists = ['identifies', 'tracks', 'pages', 'screens', 'groups', 'aliases'];
const typesOf = (events) => events.map(({ type }) => type);
const RECORDING = {
  ...Object.fromEntries(
    lists.map((list) => [
      list,
      (subject) => {
        for (const method of METHODS) subject[method](MINIMAL[method]);
        return typesOf(subject[list]());
      },
    ]),
  ),
  events: (subject) => (subject.track(MINIMAL.track), typesOf(subject.events)),
  failNext: async (subject, { object }) => {
    subject.failNext(new Error('boom'));
    return new Promise((resolve) => object.track(MINIMAL.track, (error) => resolve(error.message)));
  },
  waitFor: async (subject, { object }) => {
    const waiting = subject.waitFor(1);
    object.track(MINIMAL.track);
    return (await waiting).length;
  },
  clear: (subject, { object }) => (object.track(MINIMAL.track), subject.clear(), object.events.length),
};

const SERVICE = {
  ...callMethods,
  flush: ANALYTICS.flush,
  stats: ANALYTICS.stats,
  isClosed: async (subject, { object }) => {
    await object.onApplicationShutdown();
    return subject.isClosed;
  },
  warn: (subject) => subject.warn('a line'),
  beforeApplicationShutdown: (subject) => subject.beforeApplicationShutdown(),
  onApplicationShutdown: async (subject, { object }) => {
    await subject.onApplicationShutdown();
    return object.isClosed;
  },
};

/** An application without a server, gone with the test. */
async function application(t, ...imports) {
  class Application {}
  const app = await NestFactory.createApplicationContext(
    { module: Application, imports },
    { logger: silent },
  );
  t.after(() => app.close());
  return app;
}

/** Checks and counts calls, and sends nothing. */
const DISABLED = { enabled: false, logger: silent };

/** Of each class: how one is made, and what is done with each of its names, as something that can be compared. */
const CLASSES = {
  Analytics: {
    make: async (t) => (await startPair(t)).analytics,
    calls: ANALYTICS,
  },
  'a subclass of Analytics': {
    make: async (t) => {
      class Mine extends Analytics {
        track(params, callback) {
          return super.track({ ...params, event: 'mine' }, callback);
        }
      }
      const segment = await startSegment(t);
      const analytics = new Mine({ writeKey: KEY, host: segment.url, flushInterval: NEVER_MS });
      t.after(() => analytics.closeAndFlush({ timeout: 0 }));
      return analytics;
    },
    calls: ANALYTICS,
  },
  RecordingAnalytics: { make: () => new RecordingAnalytics(), calls: { ...ANALYTICS, ...RECORDING } },
  Context: {
    make: () => new Context({ type: 'track', event: 'e', properties: { a: 1 } }, 'id'),
    calls: {
      stats: (subject) => subject.stats.serialize(),
      isSame: (subject, { object }) => [subject.isSame(object), object.isSame(subject)],
      cancel: (subject) => assert.throws(() => subject.cancel(new Error('boom')), /boom/),
      log: (subject, { object }) => (subject.log('info', 'm'), object.logs().length),
      logs: (subject, { object }) => (object.log('info', 'm'), subject.logs().length),
      flush: (subject, { object }) => (object.log('info', 'm'), subject.flush(), subject.logs()),
      updateEvent: (subject, { object }) => (subject.updateEvent('properties.a', 2), object.event),
      failedDelivery: (subject, { object }) => (
        object.setFailedDelivery({ reason: 1 }),
        subject.failedDelivery()
      ),
      setFailedDelivery: (subject) => (subject.setFailedDelivery({ reason: 1 }), subject.failedDelivery()),
      settle: (subject) => (subject.settle(null, 2), subject.attempts),
      toJSON: (subject) => JSON.stringify(subject),
    },
  },
  'the logger of a Context': {
    make: () => new Context({ type: 'track', event: 'e' }).logger,
    calls: {
      log: (subject) => (subject.log('info', 'm'), subject.logs.length),
      flush: (subject) => (subject.log('info', 'm'), subject.flush(), subject.logs),
    },
  },
  'the stats of a Context': {
    make: () => new Context({ type: 'track', event: 'e' }).stats,
    calls: {
      increment: (subject) => subject.increment('m'),
      gauge: (subject) => subject.gauge('m', 1),
      flush: (subject) => subject.flush(),
      serialize: (subject) => subject.serialize(),
    },
  },
  FetchHTTPClient: {
    make: () =>
      new FetchHTTPClient(async (url, { method }) => ({ status: 200, statusText: `${method} ${url}` })),
    calls: {
      makeRequest: (subject) =>
        subject.makeRequest({ url: 'u', method: 'POST', headers: {}, body: '', httpRequestTimeout: 1_000 }),
    },
  },
  'a fake Segment': {
    make: (t) => startSegment(t),
    calls: {
      ...Object.fromEntries(
        ['requests', 'events', 'rejected', 'eventCount', 'rejectedCount', 'requestCount', 'connectionCount']
          .concat(['openConnections', 'bytesOnWire', 'bytesRaw'])
          .map((name) => [name, (subject) => subject[name]]),
      ),
      port: (subject, { object }) => subject.port === object.port,
      url: (subject, { object }) => subject.url === object.url,
      duplicates: (subject) => subject.duplicates(),
      addFaults: (subject) => typeof subject.addFaults({ status: 500 }),
      clearFaults: (subject) => typeof subject.clearFaults(),
      waitForEvents: (subject) => subject.waitForEvents(0),
      waitForRequests: (subject) => subject.waitForRequests(0),
      reset: (subject) => subject.reset(),
      start: () => undefined,
      pause: (subject) => subject.pause(),
      resume: async (subject) => (await subject.pause(), await subject.resume()),
      close: (subject) => subject.close(),
      [Symbol.asyncDispose]: (subject) => subject[Symbol.asyncDispose](),
    },
  },
  SegmentService: {
    make: async (t) => {
      const app = await application(t, SegmentModule.forRoot(DISABLED));
      return app.get(SegmentService);
    },
    calls: SERVICE,
  },
  RecordingSegmentService: {
    make: () => new RecordingSegmentService({ logger: silent }),
    calls: { ...SERVICE, ...RECORDING },
  },
  SegmentHealthIndicator: {
    make: () => new SegmentHealthIndicator(new RecordingSegmentService({ logger: silent })),
    calls: { isHealthy: async (subject) => (await subject.isHealthy()).segment.status },
  },
  SegmentModule: {
    make: () => new SegmentModule(),
    calls: { configure: (subject) => subject.configure() },
  },
  SegmentContextMiddleware: {
    make: () => new SegmentContextMiddleware({ userId: () => 'u1' }),
    calls: {
      use: (subject) => new Promise((resolve) => subject.use({ headers: {} }, {}, () => resolve('next'))),
    },
  },
  SegmentContextInterceptor: {
    make: () => new SegmentContextInterceptor(),
    calls: {
      intercept: (subject) => {
        const request = { headers: {} };
        const context = { getType: () => 'http', switchToHttp: () => ({ getRequest: () => request }) };
        return lastValueFrom(subject.intercept(context, { handle: () => of('handled') }));
      },
    },
  },
  CommercetoolsWebhookModule: {
    make: () =>
      new CommercetoolsWebhookModule('hook', {
        httpAdapter: { getType: () => 'express', use() {}, getInstance() {} },
      }),
    calls: { configure: (subject) => subject.configure() },
  },
  WebhookHandler: {
    make: async (t) => {
      const webhook = CommercetoolsWebhookModule.forRoot({ authentication: 'none', logger: silent });
      const app = await application(t, SegmentModule.forRoot(DISABLED), webhook);
      return app.get(WebhookHandler);
    },
    calls: {
      handle: (subject) => subject.handle({}, 'no JSON'),
      stats: async (subject, { object }) => (await object.handle({}, 'no JSON'), subject.stats().invalid),
    },
  },
  'a client of createSegmentClient()': {
    // Of one key there is one.
    make: () => createSegmentClient(randomUUID(), { disable: true }),
    calls: {
      isClosed: (subject) => subject.isClosed,
      identify: (subject) => subject.identify({ userId: 'u1', traits: {} }),
      flush: (subject) => subject.flush(),
      closeAndFlush: async (subject, { object }) => (await subject.closeAndFlush(), object.isClosed),
      accept: (subject) => subject.accept({ userId: 'u1', traits: {} }),
      acceptNatively: (subject) => subject.acceptNatively(() => '+'),
      reconnect: (subject) => subject.reconnect(),
      deliver: (subject) => subject.deliver({ userId: 'u1', traits: {} }),
    },
  },
  NotificationReceiver: {
    make: () => new NotificationReceiver({ client: new RecordingAnalytics() }),
    calls: {
      receive: (subject) => subject.receive('no JSON'),
      accept: (subject) => subject.accept('no JSON'),
      stats: (subject, { object }) => (object.accept('no JSON'), subject.stats().invalid),
    },
  },
  SnsVerifier: {
    make: () =>
      new SnsVerifier({
        topicArns: [TOPIC_ARN],
        certificateAuthorities: [topic.authority.pem],
        fetchBytes: async () => topic.certificate.pem,
      }),
    calls: {
      verify: async (subject) => typeof (await subject.verify(topic.notification('{}'))),
      forget: async (subject, { object }) => {
        const message = topic.notification('{}');
        const verified = await object.verify(message);
        subject.forget(verified);
        return typeof (await object.verify(message));
      },
      confirm: (subject) => subject.confirm(topic.confirmation()),
    },
  },
};

for (const [name, { make, calls }] of Object.entries(CLASSES)) {
  describe(name, { concurrency: 4 }, () => {
    test('every name is tried', async (t) => {
      const missing = publicNames(await make(t)).filter((known) => calls[known] === undefined);
      assert.deepEqual(missing, []);
    });

    for (const [what, standIn] of Object.entries(STAND_INS)) {
      test(`works through ${what}`, async (t) => {
        for (const known of Reflect.ownKeys(calls)) {
          const plain = await make(t);
          const expected = await calls[known](plain, { object: plain });
          const object = await make(t);
          assert.deepEqual(await calls[known](standIn(object), { object }), expected, String(known));
        }
      });
    }
  });
}

describe('clients that are given to others', () => {
  for (const [what, standIn] of Object.entries(STAND_INS)) {
    test(`${what}: customers are sent, however many there are of it`, async (t) => {
      const { segment, analytics } = await startPair(t);
      const warnings = [];
      const warned = (warning) => warnings.push(warning.message);
      process.on('warning', warned);
      t.after(() => process.off('warning', warned));
      const payload = { userId: customer.email, traits: {} };
      for (let call = 0; call < 12; call += 1) {
        assert.deepEqual(await sendCustomerToSegmentWithClient(standIn(analytics), payload), {
          success: true,
        });
      }
      // A warning is told in the turn that follows.
      const last = once(process, 'warning');
      process.emitWarning('the last');
      await last;
      assert.deepEqual(warnings, ['the last']);
      assert.equal(segment.eventCount, 12);
    });

    test(`${what}: what takes clients takes it`, async (t) => {
      const { segment, analytics } = await startPair(t);
      const client = standIn(analytics);
      const handler = withSegment(() => client.track(MINIMAL.track), { client });
      assert.equal(await handler({}, {}), true);
      const receiver = new NotificationReceiver({ client });
      assert.equal(receiver.accept(JSON.stringify(simplified())).outcome, 'accepted');
      await client.flush();
      const registry = new Registry();
      registerSegmentMetrics(registry, { it: client });
      assert.match(await registry.metrics(), /segment_events_accepted_total\{client="it"\} 2/);
      assert.equal(segment.eventCount, 2);
    });

    test(`${what}, of a service`, async () => {
      const recording = new RecordingSegmentService({ logger: silent });
      const service = standIn(recording);
      const health = await new SegmentHealthIndicator(service).isHealthy();
      assert.equal(health.segment.status, 'up');
      const payload = { userId: customer.email, traits: {} };
      assert.deepEqual(await sendCustomerToSegmentWithClient(service, payload), { success: true });
      assert.equal(recording.identifies().length, 1);
    });
  }
});
