import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startSegment } from './support/clients.mjs';
import { runProgram } from './support/programs.mjs';

/** Tracks, then gets the signal as from outside. `handlers`: the application has one of its own. */
async function program({ Analytics }, { url, signal, settings, handlers }) {
  const analytics = new Analytics({ writeKey: 'k', host: url, flushInterval: 1_000_000, ...settings });
  if (handlers) process.on(signal, () => setTimeout(() => process.exit(3), 100));
  for (let number = 0; number < 10; number += 1) analytics.track({ userId: 'u1', event: 'Ordered' });
  // The loop has work of its own: only the signal ends this process.
  setInterval(() => {}, 1_000);
  process.kill(process.pid, signal);
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  test(`flushOnSignal delivers and then dies of the same ${signal}`, async (t) => {
    const segment = await startSegment(t);
    const settings = { flushOnSignal: [signal] };
    const ended = await runProgram(t, program, { url: segment.url, signal, settings });
    assert.deepEqual([ended.code, ended.signal, ended.stderr], [null, signal, '']);
    assert.equal(segment.eventCount, 10);
  });
}

test('signals are left alone by default', async (t) => {
  const segment = await startSegment(t);
  const ended = await runProgram(t, program, { url: segment.url, signal: 'SIGTERM' });
  assert.deepEqual([ended.code, ended.signal], [null, 'SIGTERM']);
});

test('a handler of the application rules: it decides how the process ends', async (t) => {
  const segment = await startSegment(t);
  const settings = { flushOnSignal: ['SIGTERM'] };
  const ended = await runProgram(t, program, {
    url: segment.url,
    signal: 'SIGTERM',
    settings,
    handlers: true,
  });
  assert.deepEqual([ended.code, ended.signal], [3, null]);
  assert.equal(segment.eventCount, 10, 'delivery began all the same');
});

test('a server that hangs holds the process no longer than exitTimeout', async (t) => {
  const segment = await startSegment(t, { faults: [{ hang: true, times: Infinity }] });
  const settings = { flushOnSignal: ['SIGTERM'], exitTimeout: 50 };
  const ended = await runProgram(t, program, { url: segment.url, signal: 'SIGTERM', settings });
  assert.deepEqual([ended.code, ended.signal], [null, 'SIGTERM']);
});

test('several clients share one handler, and all of them deliver', async (t) => {
  const segment = await startSegment(t);
  const several = async ({ Analytics }, { url }) => {
    const settings = { writeKey: 'k', host: url, flushInterval: 1_000_000, flushOnSignal: ['SIGTERM'] };
    const clients = Array.from({ length: 20 }, () => new Analytics(settings));
    for (const client of clients) client.track({ userId: 'u1', event: 'Ordered' });
    if (process.listenerCount('SIGTERM') !== 1) throw new Error('one listener for all');
    setInterval(() => {}, 1_000);
    process.kill(process.pid, 'SIGTERM');
  };
  const ended = await runProgram(t, several, { url: segment.url });
  assert.deepEqual([ended.signal, ended.stderr], ['SIGTERM', '']);
  assert.equal(segment.eventCount, 20);
});
