/** What Node makes of a console's events on Windows. Not part of `npm test`: `npm run release:check` runs it there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startSegment } from '../support/clients.mjs';
import { runProgram } from '../support/programs.mjs';

const ENDED_BY_CONSOLE = 0xc000013a;

/** Nothing but a console can raise these; from there on everything is as it is for the real ones. */
for (const signal of ['SIGINT', 'SIGBREAK', 'SIGHUP']) {
  test(`flushOnSignal delivers on ${signal} and ends as a console ends a program`, async (t) => {
    const segment = await startSegment(t);
    const program = ({ Analytics }, { url, signal: name }) => {
      const analytics = new Analytics({
        writeKey: 'k',
        host: url,
        flushInterval: 1_000_000,
        flushOnSignal: [name],
      });
      for (let number = 0; number < 10; number += 1) analytics.track({ userId: 'u1', event: 'Ordered' });
      setInterval(() => {}, 1_000);
      process.emit(name, name);
    };
    const { code, stderr } = await runProgram(t, program, { url: segment.url, signal });
    assert.deepEqual([code, stderr], [ENDED_BY_CONSOLE, '']);
    assert.equal(segment.eventCount, 10);
  });
}

test('a server that hangs holds the process for one exitTimeout, not for two', async (t) => {
  const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
  const program = ({ Analytics }, { url }) => {
    const settings = { writeKey: 'k', host: url, flushInterval: 1_000_000, exitTimeout: 50 };
    const analytics = new Analytics({ ...settings, flushOnSignal: ['SIGINT'] });
    analytics.track({ userId: 'u1', event: 'Ordered' });
    setInterval(() => {}, 1_000);
    process.emit('SIGINT', 'SIGINT');
  };
  const { code, stderr } = await runProgram(t, program, { url: segment.url });
  assert.deepEqual([code, stderr], [ENDED_BY_CONSOLE, '']);
});
