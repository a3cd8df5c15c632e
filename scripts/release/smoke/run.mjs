/** The smoke test of an installed package, on any runtime: events that are delivered through every way out of a process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { strangersEnvironment } from '../../test-nest/program.mjs';

const PROGRAM = fileURLToPath(new URL('program.cjs', import.meta.url));
/** Emulated processors take their time. Nothing here is measured: it ends what hangs. */
const PATIENCE_MS = 240_000;

/**
 * @typedef {object} Runtime
 * @property {string[]} command what runs a script: the program and its arguments
 * @property {Record<string, string>} [env]
 * @property {(path: string) => string} [pathInside] what the runtime calls a path of this machine
 *
 * @typedef {{ step: string, problem?: string }} Step
 */

/**
 * Runs all steps; one that fails does not keep the others from running.
 *
 * @param {string} directory where the package is installed
 * @param {Runtime} runtime
 * @param {{ cli?: string }} [options] `cli`: path of the command line, if it is not in `node_modules`
 * @returns {Promise<Step[]>}
 */
export async function smoke(directory, runtime, { cli } = {}) {
  const program = join(directory, 'smoke.cjs');
  copyFileSync(PROGRAM, program);
  const spool = join(directory, 'spool');
  mkdirSync(spool, { recursive: true });
  const inside = runtime.pathInside ?? ((path) => path);
  const run = (...args) => execute(directory, runtime, args);
  const commands = cli ?? join(directory, 'node_modules', '@companion', 'segment', 'dist', 'cli', 'main.js');
  const segment = await startSegment(directory, runtime, inside(program));
  const steps = [];
  const step = async (name, check) => {
    const problem = await check().then(
      () => undefined,
      (error) => error.message,
    );
    steps.push(problem === undefined ? { step: name } : { step: name, problem });
  };
  /** The program ends with this code, and Segment has this many more events of this name. */
  const delivers = (name, code, count = 1, expected = name) =>
    step(name, async () => {
      requireCode(await run(inside(program), name, segment.url, inside(spool)), code);
      await segment.received(expected, count);
    });
  try {
    await delivers('deliver', 0);
    await delivers('exit', 7);
    await delivers('dry', 0);
    await delivers('uncaught', 1);
    await delivers('worker', 0, 2, 'dry');
    await step('kill', async () => {
      const { code, output } = await run(inside(program), 'kill', segment.url, inside(spool));
      if (code === 0 || /Error/.test(output)) throw new Error(`ended with ${code}\n${output}`);
    });
    await step('command line', async () => {
      if (!existsSync(commands)) throw new Error(`there is no ${commands}`);
      const ended = await run(inside(commands), 'spool', 'list', inside(spool));
      requireCode(ended, 0);
      if (!/\b5\b/.test(ended.output)) throw new Error(`it lists no 5 events:\n${ended.output}`);
    });
    await delivers('recover', 0, 5, 'kill');
  } finally {
    await segment.close();
  }
  return steps;
}

function requireCode({ code, signal, output }, expected) {
  if (code !== expected) throw new Error(`ended with ${code ?? signal} instead of ${expected}\n${output}`);
}

/** The package's own fake, on the same runtime. */
async function startSegment(directory, runtime, program) {
  const child = start(directory, runtime, [program, 'segment']);
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
  const ended = once(child, 'close');
  /** @type {Map<string, number>} */
  const counts = new Map();
  let told = () => {};
  let url;
  createInterface(child.stdout).on('line', (line) => {
    const [kind, value] = line.trim().split(' ');
    if (kind === 'listening') url = value;
    if (kind === 'event') counts.set(value, (counts.get(value) ?? 0) + 1);
    told();
  });
  const until = async (what, holds) => {
    const patience = new AbortController();
    const over = wait(PATIENCE_MS, 'over', { signal: patience.signal }).catch(() => 'over');
    const gone = ended.then(() => 'ended');
    while (!holds()) {
      const next = new Promise((resolve) => (told = resolve));
      const reason = await Promise.race([next, over, gone]);
      if (reason !== undefined && !holds()) throw new Error(`${what}: ${reason}\n${output}`);
    }
    patience.abort();
  };
  await until('the fake Segment did not start', () => url !== undefined);
  return {
    url,
    received: (name, count) =>
      until(`Segment has ${counts.get(name) ?? 0} of ${count} events "${name}"`, () => counts.get(name) === count),
    async close() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function execute(directory, runtime, args) {
  const child = start(directory, runtime, args);
  const guard = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  const [code, signal] = await once(child, 'close');
  clearTimeout(guard);
  return { code, signal, output };
}

function start(directory, { command: [program, ...before], env = {} }, args) {
  return spawn(program, [...before, ...args], {
    cwd: directory,
    env: strangersEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
