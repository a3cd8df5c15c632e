/** What the application throws while it is told something keeps nobody else from being told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { KEY, NEVER_MS, startSegment } from './support/clients.mjs';
import { lastLine, runProgram } from './support/programs.mjs';

const COUNT = 50;
/** Where somebody is not told, a flush would never end. */
const TIMEOUT_MS = 60_000;

/** Runs a program in a process that counts what nobody has caught. */
async function run(t, options, use) {
  const segment = await startSegment(t, options);
  const program = `async ({ Analytics }, { settings, count }) => {
    const uncaught = [];
    process.on('uncaughtException', (error) => void uncaught.push('uncaught'));
    process.on('unhandledRejection', (error) => void uncaught.push('unhandled'));
    // An error that cannot even be looked at.
    const hostile = () => {
      const error = new Error('hostile');
      Object.defineProperty(error, 'name', { get: () => { throw new Error('no name'); } });
      return error;
    };
    const silent = { error() {}, warn() {}, info() {}, debug() {} };
    const make = (more) => new Analytics({ ...settings, ...more });
    const told = [];
    const result = await (${use})({ make, silent, hostile, told, count });
    await new Promise((resolve) => setTimeout(resolve, 5));
    console.log(JSON.stringify({ told, uncaught: uncaught.length, result }));
  }`;
  const settings = { writeKey: KEY, host: segment.url, flushInterval: NEVER_MS, flushAt: 2_500 };
  const { code, stderr, stdout } = await runProgram(t, program, { settings, count: COUNT });
  assert.deepEqual([code, stderr], [0, '']);
  return lastLine(stdout);
}

const ALL = Array.from({ length: COUNT }, (_, number) => `m${number}`);

describe('one batch, and somebody who throws at each of its events', () => {
  for (const [what, options, event, read] of [
    ['deliveries', {}, 'track', '(context) => context.event.messageId'],
    [
      'failures',
      { faults: [{ status: 404, times: Infinity }] },
      'error',
      '({ ctx }) => ctx?.event.messageId',
    ],
  ]) {
    test(
      `callbacks and listeners of ${what}: all are told, and flush() is over`,
      { timeout: TIMEOUT_MS },
      async (t) => {
        const use = `async ({ make, silent, hostile, told, count }) => {
        const analytics = make({ logger: silent });
        const read = ${read};
        analytics.on('${event}', (given) => {
          told.push(read(given));
          throw hostile();
        });
        const called = [];
        for (let number = 0; number < count; number += 1) {
          const event = { userId: 'u1', event: 'e', messageId: 'm' + number };
          analytics.track(event, () => {
            called.push(event.messageId);
            throw number % 2 === 0 ? new Error('boom') : hostile();
          });
        }
        const { pending } = await analytics.flush();
        return { pending, called };
      }`;
        const { told, uncaught, result } = await run(t, options, use);
        assert.deepEqual([told, result], [ALL, { pending: 0, called: ALL }]);
        // Each of them is the application's own mistake, and it hears of each.
        assert.equal(uncaught, COUNT);
      },
    );
  }

  test(
    'an emit() of the application: callbacks and promises are settled all the same',
    { timeout: TIMEOUT_MS },
    async (t) => {
      const use = async ({ make, told: list, count }) => {
        const analytics = make();
        analytics.on('track', () => {});
        analytics.emit = () => {
          throw new Error('boom');
        };
        const deliveries = [];
        for (let number = 0; number < count; number += 1) {
          const event = { userId: 'u1', event: 'e', messageId: `m${number}` };
          if (number % 2 === 0) analytics.track(event, () => void list.push(event.messageId));
          else deliveries.push(analytics.deliver.track(event).then(({ messageId }) => list.push(messageId)));
        }
        const { delivered } = await analytics.flush();
        await Promise.all(deliveries);
        return delivered;
      };
      const { told, uncaught, result } = await run(t, {}, use);
      assert.deepEqual([told.toSorted(), result], [ALL.toSorted(), COUNT]);
      assert.ok(uncaught >= COUNT, `${uncaught} uncaught`);
    },
  );
});
