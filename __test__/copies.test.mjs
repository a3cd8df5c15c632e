/**
 * A process may load the package more than once: `jest.resetModules()` does, and so does a package of another version below
 * a dependency. All copies share what there is one of in a process, and a client that was closed leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { NEVER_MS, messageIdsOf, startSegment } from './support/clients.mjs';
import { endBy, lastLine, runScript } from './support/programs.mjs';

const COPIES = 12;

/** Runs `program({ load, settings, httpClient })` in a process of its own; `load()` is one more copy of the package. */
function run(t, segment, program, settings = {}) {
  const given = {
    writeKey: 'k',
    host: segment.url,
    flushInterval: NEVER_MS,
    exitTimeout: NEVER_MS,
    ...settings,
  };
  const source = `
    const folder = require.resolve('@companion/segment').slice(0, -'index.js'.length);
    const load = () => {
      for (const file of Object.keys(require.cache)) if (file.startsWith(folder)) delete require.cache[file];
      return require('@companion/segment');
    };
    const httpClient = (url, request) => fetch(url, request);
    (${program})({ load, settings: ${JSON.stringify(given)}, httpClient });
  `;
  return runScript(t, source, { type: 'commonjs', nodeOptions: ['--expose-gc'] });
}

const everyId = Array.from({ length: COPIES }, (_, index) => `m${index}`).toSorted();

/** A client of each copy. */
const CLIENTS = `
  const clients = Array.from({ length: ${COPIES} }, (_, index) => {
    const { Analytics } = load();
    return new Analytics({ ...settings, ...(index % 2 === 1 && { httpClient }) });
  });
  if (new Set(clients.map((client) => client.constructor)).size !== clients.length) throw new Error('no copies');
  const track = (more) =>
    clients.map((client, index) => client.track({ userId: 'u1', event: 'e', messageId: more + index }));
`;

describe('copies of the package', { concurrency: 2 }, () => {
  test('have one set of process listeners, and no warning is told', async (t) => {
    const segment = await startSegment(t);
    const signals = ['SIGTERM', 'SIGINT'];
    const program = `async ({ load, settings, httpClient }) => {
      const names = ['exit', 'beforeExit', 'SIGTERM', 'SIGINT'];
      const before = names.map((name) => process.listenerCount(name));
      ${CLIENTS}
      const after = names.map((name) => process.listenerCount(name));
      console.log(JSON.stringify(after.map((count, index) => count - before[index])));
    }`;
    const ended = await run(t, segment, program, { flushOnSignal: signals });
    assert.deepEqual([ended.code, ended.stderr], [0, '']);
    assert.deepEqual(lastLine(ended.stdout), [1, 1, 1, 1]);
  });

  test('all deliver when the process ends by itself', async (t) => {
    const segment = await startSegment(t);
    const program = `({ load, settings, httpClient }) => { ${CLIENTS} track('m'); }`;
    const ended = await run(t, segment, program);
    assert.deepEqual([ended.code, ended.stderr], [0, '']);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), everyId);
  });

  test('all deliver at process.exit(), as far as they can', async (t) => {
    const segment = await startSegment(t);
    const program = `({ load, settings, httpClient }) => {
      ${CLIENTS}
      track('m');
      process.exit(3);
    }`;
    const ended = await run(t, segment, program);
    assert.deepEqual([ended.code, ended.stderr], [3, '']);
    const byEngine = everyId.filter((id) => Number(id.slice(1)) % 2 === 0);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), byEngine);
  });

  test('all deliver on a signal', { skip: process.platform === 'win32' }, async (t) => {
    const segment = await startSegment(t);
    const program = `({ load, settings, httpClient }) => {
      ${CLIENTS}
      track('m');
      setInterval(() => {}, 1_000);
      process.kill(process.pid, 'SIGTERM');
    }`;
    const ended = await run(t, segment, program, { flushOnSignal: ['SIGTERM'] });
    assert.deepEqual([{ code: ended.code, signal: ended.signal }, ended.stderr], [endBy('SIGTERM'), '']);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), everyId);
  });

  test('what one tracks in the callback of another while the process ends is delivered', async (t) => {
    const segment = await startSegment(t);
    const program = `({ load, settings, httpClient }) => {
      ${CLIENTS}
      const next = (index) => {
        if (index === clients.length) return;
        clients[index].track({ userId: 'u1', event: 'e', messageId: 'm' + index }, () => next(index + 1));
      };
      next(0);
    }`;
    const ended = await run(t, segment, program);
    assert.deepEqual([ended.code, ended.stderr], [0, '']);
    assert.deepEqual(messageIdsOf(segment.events).toSorted(), everyId);
  });
});

/** What jest leaves out of --detectOpenHandles. */
const HARMLESS = [
  'PROMISE',
  'TIMERWRAP',
  'ELDHISTOGRAM',
  'PerformanceObserver',
  'RANDOMBYTESREQUEST',
  'DNSCHANNEL',
].concat(['ZLIB', 'SIGNREQUEST', 'TLSWRAP', 'TCPWRAP', 'CustomGC']);

/** As jest's --detectOpenHandles does: the types of what is open once the program has run. */
const WATCH = `
  const open = new Map();
  let isWatching = true;
  const hook = require('node:async_hooks').createHook({
    init(id, type, _trigger, resource) {
      if (isWatching && !${JSON.stringify(HARMLESS)}.includes(type)) open.set(id, [type, new WeakRef(resource)]);
    },
    destroy: (id) => open.delete(id),
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const isOpen = ([, resource]) => resource.deref()?.hasRef?.() ?? true;
  const stillOpen = async () => {
    isWatching = false;
    for (let turns = 0; turns < 20; turns += 1) {
      await turn();
      globalThis.gc();
    }
    hook.disable();
    return [...open.values()].filter(isOpen).map(([type]) => type);
  };
`;

const SETTINGS = {
  'the engine': '{}',
  'an httpClient': "{ httpClient: async () => ({ status: 200, statusText: 'OK' }) }",
  disable: '{ disable: true }',
  'a logger': '{ logger: { debug() {}, info() {}, warn() {}, error() {} } }',
};

const ENDS = {
  'closeAndFlush()': 'await analytics.closeAndFlush();',
  'closeAndFlush() without time': 'await analytics.closeAndFlush({ timeout: 0 });',
  'closeAndFlush() twice': 'await Promise.all([analytics.closeAndFlush(), analytics.closeAndFlush()]);',
  'closeAndFlush() between flushes':
    'await Promise.all([analytics.flush(), analytics.closeAndFlush(), analytics.flush({ timeout: 5 })]);',
  'closeAndFlush(), and calls and flushes after it':
    'await analytics.closeAndFlush(); track(); await analytics.flush();',
};

describe('nothing of a client is open', { concurrency: 2 }, () => {
  for (const [how, settings] of Object.entries(SETTINGS)) {
    for (const [end, close] of Object.entries(ENDS)) {
      test(`with ${how}, after ${end}`, async (t) => {
        const segment = await startSegment(t);
        const program = `async ({ load, settings }) => {
          const { Analytics } = load();
          ${WATCH}
          hook.enable();
          await (async () => {
            const analytics = new Analytics({ ...settings, ...${settings} });
            const track = () => analytics.track({ userId: 'u1', event: 'e' }, () => {});
            analytics.on('error', () => {}).on('drained', () => {});
            track();
            analytics.deliver.track({ userId: 'u1', event: 'e' }).catch(() => {});
            ${close}
          })();
          console.log(JSON.stringify(await stillOpen()));
        }`;
        const ended = await run(t, segment, program);
        assert.deepEqual([ended.code, ended.stderr, lastLine(ended.stdout)], [0, '', []]);
      });
    }
  }

  test('of one that has events under way something is: the test sees it', async (t) => {
    const segment = await startSegment(t, { faults: [{ hang: true }] });
    const program = `async ({ load, settings }) => {
      const { Analytics } = load();
      ${WATCH}
      hook.enable();
      const analytics = new Analytics({ ...settings, exitTimeout: 0 });
      analytics.track({ userId: 'u1', event: 'e' });
      console.log(JSON.stringify((await stillOpen()).length > 0));
    }`;
    assert.equal(lastLine((await run(t, segment, program)).stdout), true);
  });
});
