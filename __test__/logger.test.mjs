import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startOAuth } from './support/authorization-server.mjs';
import { KEY, MINIMAL, next, startClient, startPair, startSegment, trackMany } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

/** Loggers with the methods of the real ones; each writes `{ level, message, fields, context }` into `lines`. */
const SHAPES = {
  pino: (write) => {
    const line = (level) => (fields, message) => write({ level, message, fields });
    const levels = Object.fromEntries(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace'].map((level) => [level, line(level)]),
    );
    return { ...levels, bindings: () => ({}), child: () => {}, isLevelEnabled: () => true, silent() {} };
  },
  winston: (write) => {
    const log = (level, message, fields) =>
      write({ level: level === 'silly' ? 'trace' : level, message, fields });
    const levels = Object.fromEntries(
      ['error', 'warn', 'info', 'http', 'verbose', 'debug', 'silly'].map((level) => [
        level,
        () => assert.fail(),
      ]),
    );
    return { ...levels, log, add() {}, remove() {}, configure() {} };
  },
  Nest: (write) => {
    const line = (level) => (text, context) => {
      const [message, fields] = text.split(/ (?=\{)/);
      return write({ level, message: `segment: ${message}`, fields: JSON.parse(fields), context });
    };
    const logger = { log: line('info'), error: line('error'), warn: line('warn') };
    return { ...logger, debug: line('debug'), verbose: line('trace'), fatal: line('fatal') };
  },
  console: (write) => {
    const line = (level) => (message, fields) => write({ level, message, fields });
    const logger = { error: line('error'), warn: line('warn'), info: line('info'), debug: line('debug') };
    return { ...logger, log: () => assert.fail(), trace: () => assert.fail(), table() {} };
  },
};
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

/** One retry, one drop, one refusal, one failing listener. */
async function exerciseAll(t, settings) {
  const faults = [{ status: 500 }, { status: 404 }];
  const { analytics, segment } = await startPair(t, settings, { faults });
  analytics.on('identify', () => {
    throw new Error('canary');
  });
  analytics.track({ ...MINIMAL.track, properties: { email: 'canary@b.example' } });
  assert.equal(analytics.track({ ...MINIMAL.track, properties: { n: 1n } }), false);
  await analytics.flush();
  analytics.identify(MINIMAL.identify);
  await analytics.flush();
  await analytics.closeAndFlush();
  assert.equal(segment.requestCount, 3);
}

for (const [shape, make] of Object.entries(SHAPES)) {
  describe(`a ${shape} logger`, { concurrency: true }, () => {
    test('is told of retries, drops and refusals, each at its level', async (t) => {
      const lines = [];
      await exerciseAll(t, { logger: make((line) => lines.push(line)), logLevel: 'trace' });
      const find = (level, pattern) =>
        lines.find((line) => line.level === level && pattern.test(line.message));
      const retry = find('info', /^segment: delivery failed, trying again$/);
      assert.deepEqual([retry.fields.reason, retry.fields.status, retry.fields.attempts], ['server', 500, 1]);
      assert.equal(typeof retry.fields.pause_ms, 'number');
      const drop = find('warn', /^segment: events dropped$/);
      assert.deepEqual(drop.fields, { events: 1, reason: 'rejected', status: 404, attempts: 2 });
      assert.equal(find('warn', /^segment: A listener of identify failed\.$/).fields.error, 'Error');
      assert.equal(find('debug', /BigInt/).fields.code, 'ERR_NOT_SERIALIZABLE');
      assert.ok(find('debug', /^segment: batch delivered$/));
      for (const { level, message, context } of lines) {
        assert.ok(LEVELS.includes(level), level);
        assert.match(message, /^segment: \S/);
        assert.equal(context, shape === 'Nest' ? 'Segment' : undefined);
      }
      assert.ok(!JSON.stringify(lines).includes('canary'));
      assert.ok(!JSON.stringify(lines).includes(KEY));
    });

    for (const logLevel of [...LEVELS, undefined]) {
      test(`with logLevel ${logLevel} hears that level and the graver ones`, async (t) => {
        const lines = [];
        await exerciseAll(t, { logger: make((line) => lines.push(line)), logLevel });
        const heard = new Set(LEVELS.slice(0, LEVELS.indexOf(logLevel ?? 'info') + 1));
        for (const { level, message } of lines) assert.ok(heard.has(level), `${level}: ${message}`);
        for (const level of ['warn', 'info', 'debug']) {
          assert.equal(
            lines.some((line) => line.level === level),
            heard.has(level),
            level,
          );
        }
      });
    }

    for (const [what, write] of [
      [
        'throws',
        () => {
          throw new Error('broken');
        },
      ],
      ['rejects', () => Promise.reject(new Error('broken'))],
    ]) {
      test(`that ${what} harms nothing`, async (t) => {
        const { analytics, segment } = await startPair(
          t,
          { logger: make(write), logLevel: 'trace' },
          { faults: [{ status: 500 }] },
        );
        trackMany(analytics, 2);
        assert.equal(analytics.track({ ...MINIMAL.track, properties: { n: 1n } }), false);
        assert.equal((await analytics.flush()).delivered, 2);
        assert.equal(segment.requestCount, 2);
      });
    }
  });
}

test('a logger keeps its this, private members too', async (t) => {
  const lines = [];
  class Private {
    #sink = lines;
    error(message) {
      this.#sink.push(message);
    }
    warn(message) {
      this.#sink.push(message);
    }
    info(message) {
      this.#sink.push(message);
    }
  }
  const { analytics } = await startPair(t, { logger: new Private() }, { faults: [{ status: 404 }] });
  analytics.track(MINIMAL.track);
  await analytics.flush();
  assert.deepEqual(lines, ['segment: events dropped']);
});

test('every client writes to its own logger', async (t) => {
  const segment = await startSegment(t, { faults: [{ status: 404 }] });
  const heard = { a: [], b: [] };
  const pair = async (name) =>
    startPair(t, {
      host: segment.url,
      logLevel: 'trace',
      logger: SHAPES.console((line) => heard[name].push(line.message)),
    });
  const [{ analytics: a }, { analytics: b }] = [await pair('a'), await pair('b')];
  const failed = next(a, 'error');
  a.track(MINIMAL.track);
  await a.flush();
  await failed;
  b.track(MINIMAL.track);
  await b.flush();
  assert.ok(heard.a.includes('segment: events dropped') && !heard.a.includes('segment: batch delivered'));
  assert.ok(heard.b.includes('segment: batch delivered') && !heard.b.includes('segment: events dropped'));
});

test('without a logger nothing is written, whatever happens', async (t) => {
  const segment = await startSegment(t, {
    faults: [{ status: 500 }, { status: 404 }, { reset: 'after-body' }],
  });
  const program = async ({ Analytics: Client }, { host }) => {
    const analytics = new Client({ writeKey: 'k', host, logLevel: 'trace' });
    const boom = () => {
      throw new Error('boom');
    };
    for (const event of ['track', 'error', 'drained']) analytics.on(event, boom);
    await analytics.register({ name: 'bad', type: 'before', isLoaded: () => true, load: boom });
    for (let round = 0; round < 3; round += 1) {
      analytics.track({ userId: 'u1', event: 'e' }, boom);
      analytics.track({ userId: 'u1', event: 'e', properties: { n: 1n } });
      await analytics.flush();
    }
    await analytics.closeAndFlush();
    analytics.track({ userId: 'u1', event: 'late' });
    process.stdout.write(`${JSON.stringify(analytics.stats())}\n`);
  };
  const { code, stdout, stderr } = await runProgram(
    t,
    program,
    { host: segment.url },
    { env: { RUST_LOG: 'trace', DEBUG: '*' } },
  );
  assert.deepEqual([code, stderr, stdout.trimEnd().split('\n').length], [0, '', 1]);
  assert.equal(lastLine(stdout).delivered, 2);
});

test('a Nest logger finds no stack where it looks for one in an error', async (t) => {
  const server = await startOAuth(t, { answers: [{ status: 400, body: '{"error":"invalid_client"}' }] });
  const errors = [];
  const none = () => {};
  const logger = { log: none, warn: none, debug: none, verbose: none, error: (...args) => errors.push(args) };
  const analytics = startClient(t, { url: server.host }, { logger, oauthSettings: server.oauthSettings });
  analytics.track(MINIMAL.track);
  await analytics.flush();
  const [[message, stack, context]] = errors;
  assert.match(message, /^the authorization server refused the OAuth client/);
  assert.deepEqual([stack, context], [undefined, 'Segment']);
});
