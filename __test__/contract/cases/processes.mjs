import assert from 'node:assert/strict';

import { DEFECT, DELIBERATE } from '../libraries.mjs';
import { KEY, startSegment } from '../stage.mjs';
import { NEVER_MS } from '../../support/clients.mjs';
import { lastLine, runScript } from '../../support/programs.mjs';

/** Runs a program with a client in a process of its own. */
async function run(library, t, program, { settings, options, nodeOptions } = {}) {
  const segment = await startSegment(t, options);
  const given = { writeKey: KEY, host: segment.url, maxRetries: 1, flushInterval: 50, ...settings };
  const source = `
    import { createRequire } from 'node:module';
    const { Analytics } = createRequire(process.cwd() + '/')(${JSON.stringify(library.name)});
    const SETTINGS = ${JSON.stringify(given)};
    const analytics = new Analytics(SETTINGS);
    const track = (callback) => analytics.track({ userId: 'u1', event: 'e' }, callback);
    ${program}
  `;
  return { segment, ...(await runScript(t, source, { nodeOptions })) };
}

const DRAINED_THROWS = `
  const unhandled = [];
  process.on('unhandledRejection', ({ message }) => unhandled.push(message));
  const drained = new Promise((resolve) => {
    analytics.on('drained', () => {
      resolve();
      throw new Error('boom');
    });
  });
  track();
  await drained;
  setImmediate(() => setImmediate(() => console.log(JSON.stringify(unhandled))));
`;

/** Programs that track three events, one of them from the end of the one before. */
const CHAINS = {
  'a callback': `track(() => track(() => track()));`,
  'a listener': `let left = 2; analytics.on('track', () => left-- > 0 && track()); track();`,
  'a listener of drained': `let left = 2; analytics.on('drained', () => left-- > 0 && track()); track();`,
  'a listener of http_response': `let left = 2; analytics.on('http_response', () => left-- > 0 && track()); track();`,
  'an after plugin': `
    let left = 2;
    const after = { name: 'p', type: 'after', isLoaded: () => true, load: async () => {} };
    await analytics.register({ ...after, track: async (context) => (left-- > 0 && track(), context) });
    track();`,
  beforeExit: `process.once('beforeExit', () => { track(); track(); track(); });`,
};

/** Lets go of its client, and collects what can be collected. */
const UNHELD = `
  const httpClient = (url, request) => fetch(url, request);
  (() => {
    const unheld = new Analytics({ ...SETTINGS, httpClient, flushInterval: 200 });
    unheld.track({ userId: 'u1', event: 'e' });
    unheld.once('track', () => console.log(JSON.stringify('heard')));
  })();
  const collecting = setInterval(() => globalThis.gc(), 20);
  setTimeout(() => clearInterval(collecting), 1_000);
`;

/** Tracks in a listener of `exit` that was added after the client. */
const AT_EXIT = `process.on('exit', () => { track(); track(); });`;

export const cases = [
  ...Object.entries(CHAINS).map(([where, program]) => ({
    name: `what ${where} tracks while the process ends by itself is delivered`,
    async run(library, t) {
      // Theirs knows no such setting and ignores it.
      const { segment, code } = await run(library, t, program, { settings: { exitTimeout: NEVER_MS } });
      assert.deepEqual([code, segment.eventCount], [0, 3]);
    },
  })),
  {
    name: 'a client that nobody refers to delivers, and calls a listener that came after the call',
    async run(library, t) {
      const { segment, stdout } = await run(library, t, UNHELD, { nodeOptions: ['--expose-gc'] });
      assert.equal(lastLine(stdout), 'heard');
      assert.equal(segment.eventCount, 1);
    },
  },
  {
    name: 'what is tracked in a listener of exit',
    async run(library, t) {
      const { segment, code } = await run(library, t, AT_EXIT, { settings: { exitTimeout: NEVER_MS } });
      assert.deepEqual([code, segment.eventCount], [0, 2]);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'is lost',
      ours: 'is delivered within `exitTimeout`; with `httpClient` or plugins refused (`false`)',
      why: 'what returns `true` is delivered',
      async run(library, t) {
        const { segment, code } = await run(library, t, AT_EXIT);
        assert.deepEqual([code, segment.eventCount], [0, 0]);
      },
    },
  },
  {
    name: 'a process that has nothing else to do delivers what waits, and ends',
    async run(library, t) {
      const { segment, code } = await run(library, t, 'track(); track();');
      assert.deepEqual([code, segment.eventCount], [0, 2]);
    },
  },
  {
    name: 'a client without events keeps no process alive',
    async run(library, t) {
      const { code } = await run(library, t, '', { settings: { flushInterval: 60_000 } });
      assert.equal(code, 0);
    },
  },
  {
    name: 'await closeAndFlush() and process.exit() deliver everything',
    async run(library, t) {
      const program = 'track(); track(); await analytics.closeAndFlush(); process.exit(3);';
      const { segment, code } = await run(library, t, program, { settings: { flushInterval: 60_000 } });
      assert.deepEqual([code, segment.eventCount], [3, 2]);
    },
  },
  {
    name: 'a failed delivery without a listener is no unhandled rejection',
    async run(library, t) {
      const options = { faults: [{ status: 404, times: Infinity }] };
      const { code, stderr } = await run(library, t, 'track();', { options });
      assert.deepEqual([code, stderr], [0, '']);
    },
  },
  {
    name: 'process.exit() with events that wait',
    async run(library, t) {
      const { segment, code } = await run(library, t, 'track(); process.exit(3);');
      assert.deepEqual([code, segment.eventCount], [3, 1]);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'loses them',
      ours: 'delivers for up to `exitTimeout` (1 s)',
      why: 'an accepted event is not lost without need',
      advice: 'delete hooks on `exit` and `beforeExit`',
      async run(library, t) {
        const { segment, code } = await run(library, t, 'track(); process.exit(3);');
        assert.deepEqual([code, segment.eventCount], [3, 0]);
      },
    },
  },
  {
    name: 'how long a process without other work waits for flushInterval',
    async run(library, t) {
      const { segment, code } = await run(library, t, 'track();', {
        settings: { flushInterval: 2_147_483_647 },
      });
      assert.deepEqual([code, segment.eventCount], [0, 1]);
    },
    differs: {
      kind: DELIBERATE,
      theirs: 'until the timer has run out',
      ours: 'not at all: it sends and ends',
      why: 'a script ends when its work is done',
      async run(library, t) {
        const program = `track(); setImmediate(() => {
          const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
          console.log(JSON.stringify(timers.length > 0));
          process.exit();
        });`;
        const { stdout } = await run(library, t, program, { settings: { flushInterval: 2_147_483_647 } });
        assert.equal(lastLine(stdout), true);
      },
    },
  },
  {
    name: 'a listener of drained that throws',
    async run(library, t) {
      const { stdout } = await run(library, t, DRAINED_THROWS);
      assert.deepEqual(lastLine(stdout), []);
    },
    differs: {
      kind: DEFECT,
      theirs: 'an unhandled rejection, which ends the process',
      ours: 'harms nothing',
      why: 'a listener can end the process',
      async run(library, t) {
        const { stdout } = await run(library, t, DRAINED_THROWS);
        assert.deepEqual(lastLine(stdout), ['boom']);
      },
    },
  },
];
