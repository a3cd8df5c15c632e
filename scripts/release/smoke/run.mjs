/** The smoke test of an installed package, on any runtime: events that are delivered through every way out of a process. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { strangersEnvironment } from '../../test-nest/program.mjs';

const PROGRAM = fileURLToPath(new URL('program.cjs', import.meta.url));
/** Emulated processors take their time. Nothing here is measured: it ends what hangs. */
const PATIENCE_MS = 240_000;
const LOOK_EVERY_MS = 20;

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
      if (code === 0 || output.includes('Error')) throw new Error(`ended with ${code}\n${output}`);
    });
    await step('command line', async () => {
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

/** The package's own fake, on the same runtime: its address, and how many events of each name it has seen. */
async function startSegment(directory, runtime, program) {
  const { child, output } = start(directory, runtime, [program, 'segment']);
  let hasEnded = false;
  const ended = once(child, 'close').then(() => (hasEnded = true));
  const lines = (kind) =>
    output()
      .split(/\r?\n/)
      .filter((line) => line.startsWith(`${kind} `))
      .map((line) => line.slice(kind.length + 1));
  const until = async (what, holds) => {
    const deadline = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (hasEnded || performance.now() > deadline) throw new Error(`${what()}\n${output()}`);
      await wait(LOOK_EVERY_MS);
    }
  };
  await until(
    () => 'the fake Segment did not start',
    () => lines('listening').length > 0,
  );
  const seen = (name) => lines('event').filter((event) => event === name).length;
  return {
    url: lines('listening')[0],
    received: (name, count) =>
      until(
        () => `Segment has ${seen(name)} of ${count} events "${name}"`,
        () => seen(name) === count,
      ),
    async close() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function execute(directory, runtime, args) {
  const { child, output } = start(directory, runtime, args);
  const guard = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  const [code, signal] = await once(child, 'close');
  clearTimeout(guard);
  return { code, signal, output: output() };
}

/** What it prints goes into a file: Node for Windows can't write into a pipe of Linux. */
function start(directory, { command: [program, ...before], env = {} }, args) {
  const file = join(directory, `output-${randomUUID()}.txt`);
  const descriptor = openSync(file, 'w');
  const child = spawn(program, [...before, ...args], {
    cwd: directory,
    env: strangersEnvironment(env),
    stdio: ['ignore', descriptor, descriptor],
  });
  closeSync(descriptor);
  return { child, output: () => readFileSync(file, 'utf8') };
}
