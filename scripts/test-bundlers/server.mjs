// Starts a server, asks it once, and ends it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

import { strangersEnvironment } from '../test-nest/program.mjs';

/** How long a server may take to begin. */
const PATIENCE_MS = 60_000;

/**
 * Resolves with what the server printed, once it has answered a POST with 2xx and has ended.
 *
 * @param {string[]} args of Node
 * @param {{ cwd: string, env: Record<string, string> }} options
 * @param {{ path: string, ready: RegExp }} question `ready`: what it prints when it listens
 */
export async function askServer(args, { cwd, env }, { path, ready }) {
  const port = await freePort();
  const child = spawn(process.execPath, args, {
    cwd,
    env: strangersEnvironment({ ...env, PORT: String(port), HOSTNAME: '127.0.0.1', HOST: '127.0.0.1' }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const end = once(child, 'close');
  let output = '';
  const listens = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
        output += text;
        if (ready.test(output)) resolve(true);
      });
    }
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    const isReady = await Promise.race([listens, end.then(() => false)]);
    assert.ok(isReady, `It ended before it listened.\n${output}`);
    const { status } = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST' });
    assert.ok(status >= 200 && status < 300, `It answered ${status}.\n${output}`);
  } finally {
    child.kill('SIGTERM');
    await end;
    clearTimeout(timer);
  }
  return output;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
