/** Applications as somebody writes them from the README, on the packed package: installed, compiled, run, terminated. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { packed } from '../scripts/packed.mjs';
import { strangersEnvironment } from '../scripts/test-nest/program.mjs';
import { compile, copySources, insideOnly, install, requireInside } from '../scripts/test-nest/project.mjs';
import { startSegment } from './support/clients.mjs';

const HERE = fileURLToPath(new URL('consumers', import.meta.url));
const TARGET = fileURLToPath(new URL('../target/consumers', import.meta.url));
const KEYS = { SEGMENT_WRITE_KEY: 'consumer-key', MARKETING_WRITE_KEY: 'marketing-key' };
const ORDERS = 3;

describe('an application on the packed package', { concurrency: true }, async () => {
  const tarballs = await packed();

  for (const name of ['commonjs', 'esm']) {
    test(`${name}: every event arrives before SIGTERM ends it`, async (t) => {
      const directory = await build(name, tarballs);
      const segment = await startSegment(t, { writeKeys: [KEYS.SEGMENT_WRITE_KEY] });
      const marketing = await startSegment(t, { writeKeys: [KEYS.MARKETING_WRITE_KEY] });
      const hosts = { SEGMENT_HOST: segment.url, MARKETING_SEGMENT_HOST: marketing.url };
      const application = await start(t, directory, { ...KEYS, ...hosts });

      const receipts = [];
      for (let number = 1; number <= ORDERS; number += 1) receipts.push(await application.order(number));
      assert.deepEqual(receipts, ['receipt-1', 'receipt-2', 'receipt-3']);
      const { code, signal, stdout, stderr } = await application.terminate();

      assert.ok(signal === 'SIGTERM' || code === 0, `ended with ${code ?? signal}\n${stderr}`);
      assert.deepEqual(namesOf(segment.events), { identify: ORDERS, 'Order Completed': ORDERS });
      assert.deepEqual(namesOf(marketing.events), { 'Campaign Converted': ORDERS });
      const completed = segment.events.filter(({ event }) => event === 'Order Completed');
      assert.deepEqual(
        completed.map(({ userId, properties }) => ({ userId, ...properties })),
        receipts.map((receipt, index) => ({ userId: `u${index + 1}`, total: index + 1, receipt })),
      );
      for (const client of ['default', 'marketing']) {
        const closing = stdout.filter((line) => line.includes(`closed {"client":"${client}"`));
        assert.equal(closing.length, 1, `closing lines of ${client}:\n${stdout.join('\n')}`);
      }
      for (const key of Object.values(KEYS)) assert.ok(!`${stdout.join('\n')}${stderr}`.includes(key));
    });
  }
});

/** Installs and compiles a copy. */
async function build(name, tarballs) {
  const directory = join(TARGET, name);
  const manifest = JSON.parse(await readFile(join(HERE, name, 'package.json'), 'utf8'));
  await install(directory, manifest, tarballs);
  await requireInside(directory);
  await copySources(join(HERE, name, 'src'), join(directory, 'src'));
  await writeFile(join(directory, 'tsconfig.json'), await readFile(join(HERE, name, 'tsconfig.json')));
  await compile(directory, 'dist');
  return directory;
}

/** Resolves when the application listens. */
async function start(t, directory, env) {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: directory,
    env: strangersEnvironment({ ...insideOnly(directory), ...env, PORT: '0', NO_COLOR: '1' }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  // Not `exit`: what it has printed last is here only then.
  const end = once(child, 'close');
  const stderr = text(child.stderr);
  const stdout = [];
  const port = await new Promise((resolve, reject) => {
    const lines = createInterface(child.stdout);
    lines.on('line', (line) => {
      stdout.push(line);
      const { port: found } = /Listening on .*:(?<port>\d+)$/.exec(line)?.groups ?? {};
      if (found !== undefined) resolve(found);
    });
    lines.once('close', () => {
      const ended = (told) =>
        reject(new Error(`It ended before it listened.\n${stdout.join('\n')}\n${told}`));
      void Promise.resolve(stderr).then(ended);
    });
  });
  return {
    /** Takes one order over HTTP; resolves with its receipt. */
    async order(number) {
      const response = await fetch(`http://127.0.0.1:${port}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ userId: `u${number}`, email: `u${number}@example.com`, total: number }),
      });
      assert.equal(response.status, 201);
      const { id } = await response.json();
      return id;
    },
    async terminate() {
      child.kill('SIGTERM');
      const [code, signal] = await end;
      return { code, signal, stdout, stderr: await stderr };
    },
  };
}

/** How often each name is there. Events that are no `track` have the name of their type. */
function namesOf(events) {
  const counts = {};
  for (const { type, event } of events) counts[event ?? type] = (counts[event ?? type] ?? 0) + 1;
  return counts;
}
