/** A client that nobody holds is collected, but never with events in it whose end is not told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MINIMAL, NEVER_MS, messageIdsOf, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

/** Runs `use(analytics, track)` on a client, lets go of it, and tells whether it was collected. */
function isCollected(t, segment, use, settings = {}) {
  const program = `async ({ Analytics }, { host, settings }) => {
    const httpClient = settings.httpClient ? (url, request) => fetch(url, request) : undefined;
    const reference = await (async () => {
      const analytics = new Analytics({ writeKey: 'k', host, flushAt: 1, ...settings, httpClient });
      const track = (callback) => analytics.track({ userId: 'u1', event: 'e' }, callback);
      await (${use})(analytics, track);
      return new WeakRef(analytics);
    })();
    for (let turn = 0; turn < 200 && reference.deref() !== undefined; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      globalThis.gc();
    }
    console.log(JSON.stringify(reference.deref() === undefined));
  }`;
  const running = runProgram(t, program, { host: segment.url, settings }, { nodeOptions: ['--expose-gc'] });
  return running.then(({ stdout, stderr }) => {
    assert.equal(stderr, '');
    return lastLine(stdout);
  });
}

describe('collection', { concurrency: 2 }, () => {
  for (const [what, use] of [
    ['that did nothing', () => {}],
    ['that has listeners', (analytics) => void analytics.on('track', () => {}).on('error', () => {})],
    [
      'that has delivered',
      async (analytics, track) => {
        track();
        await analytics.flush();
      },
    ],
    ['whose callbacks have been called', (_analytics, track) => new Promise((resolve) => track(resolve))],
    [
      'whose listeners have been told',
      async (analytics, track) => {
        const drained = new Promise((resolve) => analytics.once('drained', resolve));
        analytics.on('track', () => {});
        track();
        await drained;
      },
    ],
    [
      'whose listeners were removed while it was busy',
      async (analytics, track) => {
        const listener = () => {};
        analytics.on('track', listener);
        track();
        analytics.off('track', listener);
        await analytics.flush();
      },
    ],
    [
      'that is closed',
      async (analytics, track) => {
        track(() => {});
        await analytics.closeAndFlush();
      },
    ],
    [
      'that is closed with events in it',
      async (analytics, track) => {
        track(() => {});
        await analytics.closeAndFlush({ timeout: 0 });
      },
    ],
    [
      'whose calls were refused',
      (analytics, track) => {
        track(() => {});
        analytics.track({ userId: 'u1', event: 'e', properties: { big: 'x'.repeat(40_000) } }, () => {});
        return analytics.flush();
      },
    ],
    ['whose events are settled, with nobody to tell', (_analytics, track) => void track()],
  ]) {
    for (const [how, settings] of [
      ['', {}],
      [' with an httpClient', { httpClient: true }],
      [', disabled,', { disable: true }],
    ]) {
      test(`a client${how} ${what} is collected`, async (t) => {
        const segment = await startSegment(t);
        assert.equal(await isCollected(t, segment, use, settings), true);
      });
    }
  }

  for (const [what, use] of [
    ['with a callback open', (_analytics, track) => void track(() => {})],
    ['with events under way, although nobody listens', (_analytics, track) => void track()],
  ]) {
    for (const [how, settings] of [
      ['', {}],
      [' with an httpClient', { httpClient: true }],
    ]) {
      test(`a client${how} ${what} is not`, async (t) => {
        const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
        const hanging = { ...settings, exitTimeout: 50 };
        // What would hold its request open at the end of the process is not the subject here.
        if (settings.httpClient) hanging.httpRequestTimeout = 1_000;
        assert.equal(await isCollected(t, segment, use, hanging), false);
      });
    }
  }
});

/** Lets go of a client at once, collects what can be collected, and ends. Lines of it are what was told. */
async function lines(t, segment, use) {
  const program = `async ({ Analytics }, { settings, minimal }) => {
    const httpClient = (url, request) => fetch(url, request);
    const say = (...words) => console.log(words.join(' '));
    await (${use})({ make: (more) => new Analytics({ ...settings, ...more }), httpClient, minimal, say, Analytics });
    for (let turn = 0; turn < 50; turn += 1) {
      globalThis.gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    say('collected');
  }`;
  const settings = { writeKey: 'k', host: segment.url, flushInterval: NEVER_MS, exitTimeout: NEVER_MS };
  const argument = { settings, minimal: { ...MINIMAL.track, messageId: 'm1' } };
  const ended = await runProgram(t, program, argument, { nodeOptions: ['--expose-gc'] });
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
  return ended.stdout.trim().split('\n');
}

describe('what nobody holds delivers and tells all the same', { concurrency: 2 }, () => {
  for (const [how, settings] of [
    ['the engine', '{}'],
    ['an httpClient', '{ httpClient }'],
    ['redact', '{ redact: (event) => event }'],
    ['an httpClient and redact', '{ httpClient, redact: (event) => event }'],
  ]) {
    for (const [when, listen, track] of [
      ['before', "analytics.once('track', () => say('heard'))", ''],
      ['after', '', "analytics.once('track', () => say('heard'))"],
      ['after, on and off', "analytics.once('error', say)", "analytics.on('track', () => say('heard'))"],
    ]) {
      test(`with ${how}, to a listener that came ${when} the call`, async (t) => {
        const segment = await startSegment(t);
        const use = `({ make, httpClient, minimal, say }) => {
          const analytics = make(${settings});
          ${listen};
          analytics.track(minimal);
          ${track};
          if (${when.endsWith('off')}) analytics.off('error', say);
        }`;
        assert.deepEqual(await lines(t, segment, use), ['collected', 'heard']);
        assert.deepEqual(messageIdsOf(segment.events), ['m1']);
      });
    }

    test(`with ${how}, to nobody`, async (t) => {
      const segment = await startSegment(t);
      const use = `({ make, httpClient, minimal }) => void make(${settings}).track(minimal)`;
      assert.deepEqual(await lines(t, segment, use), ['collected']);
      assert.deepEqual(messageIdsOf(segment.events), ['m1']);
    });

    test(`with ${how}, through plugins`, async (t) => {
      const segment = await startSegment(t);
      const use = `async ({ make, httpClient, minimal, say }) => {
        const analytics = make(${settings});
        const turns = () => new Promise((resolve) => setTimeout(resolve, 1));
        const slow = { isLoaded: () => true, load: async () => {}, track: turns };
        await analytics.register({ name: 'slow', type: 'before', ...slow }, { name: 'last', type: 'after', ...slow });
        analytics.track(minimal, () => say('called'));
        analytics.once('track', () => say('heard'));
      }`;
      assert.deepEqual(await lines(t, segment, use), ['collected', 'called', 'heard']);
      assert.deepEqual(messageIdsOf(segment.events), ['m1']);
    });
  }

  test('after a failed attempt', async (t) => {
    const segment = await startSegment(t, { faults: [{ status: 500 }] });
    const use = ({ make, httpClient, minimal, say }) => {
      const analytics = make({ httpClient, flushAt: 1 });
      analytics.track(minimal);
      analytics.once('track', () => say('heard'));
    };
    assert.deepEqual((await lines(t, segment, use)).toSorted(), ['collected', 'heard']);
    assert.deepEqual(messageIdsOf(segment.events), ['m1']);
  });

  test('when the copy of the package that it is of is gone too', async (t) => {
    const segment = await startSegment(t);
    const use = async ({ minimal, say, make }) => {
      const { createRequire } = await import('node:module');
      const require = createRequire(`${process.cwd()}/index.js`);
      const path = require.resolve('@companion/segment');
      const folder = path.slice(0, -'index.js'.length);
      const ours = Object.keys(require.cache).filter(
        (name) => name.startsWith(folder) && !name.endsWith('.node'),
      );
      for (const name of ours) Reflect.deleteProperty(require.cache, name);
      const { Analytics: Copy } = require('@companion/segment');
      for (const name of Object.keys(require.cache)) {
        if (name.startsWith(folder)) Reflect.deleteProperty(require.cache, name);
      }
      if (make() instanceof Copy) throw new Error('this is no copy');
      const httpClient = (url, request) => fetch(url, request);
      const analytics = new Copy({ writeKey: 'k', host: minimal.host, flushInterval: 1_000_000, httpClient });
      analytics.track({ userId: 'u1', event: 'e', messageId: 'm1' });
      analytics.once('track', () => say('heard'));
    };
    const source = String(use).replace('minimal.host', JSON.stringify(segment.url));
    assert.deepEqual(await lines(t, segment, source), ['collected', 'heard']);
    assert.deepEqual(messageIdsOf(segment.events), ['m1']);
  });
});
