/** The tests of the built package that are not POSIX's by nature, in Node for Windows under Wine. */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { ROOT } from '../../setup/steps.mjs';
import { strangersEnvironment } from '../../test-nest/program.mjs';
import { runtimeFor } from './runtimes.mjs';

/** V8 of newer ones asks Wine 8 for memory in a way that it does not know. */
const NODE = '22.22.2';
/** A file that takes longer hangs. */
const PATIENCE_MS = 150_000;
/**
 * Wine does not always tell a program that one that it has started has ended, which then waits for ever. Only that is tried
 * again, and told; a test that fails has failed.
 */
const ATTEMPTS = 3;

/** What can't be as it is elsewhere, and why. */
const POSIX = {
  modes: 'umask|0600|0700|without permission|nobody else|another user',
  links:
    'symbolic link|symlink|stops when the spool can not be used|starts from a link|as source directory|as dead/|as an instance|as the directory of',
  signals: 'by signals: no handler|at SIGINT|at SIGTERM|by a signal that flushOnSignal names',
  // SIGSTOP keeps a process from tidying up.
  stopped: 'shows instances and sources|writes every undelivered|delivers what ended processes left',
  // A command line has 32,767 characters at most.
  'command lines': 'ends quietly when its reader does',
  devices: 'full disk|ENOSPC|/dev/full',
};
const WINE = {
  // libuv's connect() ends with UNKNOWN there: what Node itself sends does not leave. The engine's requests do.
  client: 'through a client of the application|when its client is|httpClient',
  // No pseudo-terminals.
  terminals: 'on a terminal|progress bar|colours',
  // Reads of a file that another process holds a lock on fail.
  does: 'does nothing when it is only loaded',
};

/** Of the files, those about disks that are mounted, and users, are POSIX's altogether. */
const FILES = [
  'callbacks',
  'cli',
  'collection',
  'events',
  'exits',
  'exits-held',
  'flush',
  'imports',
  'listeners',
  'options',
  'spool',
  'spool-exits',
  'spool-options',
  'spool-persisted',
  'spool-security',
  'validation',
  'windows/console',
  'windows/paths',
  'workers',
];
const LEFT_OUT = [...Object.values(POSIX), ...Object.values(WINE)].join('|');

/** @param {import('./report.mjs').Report} report */
export async function checkWindows(report) {
  const runtime = runtimeFor('win32-x64-msvc', NODE);
  const link = join(ROOT, 'node_modules', '@companion', 'segment-win32-x64-msvc');
  rmSync(link, { force: true });
  symlinkSync(join(ROOT, 'npm', 'win32-x64-msvc'), link, 'dir');
  try {
    for (const name of FILES) {
      await report.check('Windows under Wine', `__test__/${name}.test.mjs`, async () => {
        const { code, output, hangs } = await runTests(runtime, `__test__/${name}.test.mjs`);
        const [passed, failed] = ['pass', 'fail'].map((word) =>
          Number(new RegExp(`^# ${word} (\\d+)`, 'm').exec(output)?.[1]),
        );
        if (code !== 0 || failed !== 0 || !(passed > 0)) throw new Error(failuresIn(output, code));
        return `${passed} tests${hangs > 0 ? `, after ${hangs} hangs` : ''}`;
      });
    }
  } finally {
    rmSync(link, { force: true });
  }
}

async function runTests(runtime, file) {
  for (let hangs = 0; ; hangs += 1) {
    const { code, output, hung } = await runOnce(runtime, file);
    if (!hung || hangs + 1 === ATTEMPTS || /^ *not ok/m.test(output)) return { code, output, hangs };
  }
}

async function runOnce({ command: [program, ...before], env }, file) {
  const results = join(ROOT, 'target', 'release', 'windows');
  mkdirSync(results, { recursive: true });
  const path = join(results, `${file.replaceAll('/', '-')}.tap`);
  const descriptor = openSync(path, 'w');
  const args = ['--test', '--test-reporter=tap', `--test-skip-pattern=/${LEFT_OUT}/`, file];
  // A group of its own: what hangs is ended with all that it has started.
  const child = spawn(program, [...before, ...args], {
    cwd: ROOT,
    detached: true,
    env: strangersEnvironment(env),
    stdio: ['ignore', descriptor, descriptor],
  });
  closeSync(descriptor);
  let hung = false;
  const guard = setTimeout(() => {
    hung = true;
    process.kill(-Number(child.pid), 'SIGKILL');
  }, PATIENCE_MS);
  const [code] = await once(child, 'close');
  clearTimeout(guard);
  return { code, output: readFileSync(path, 'utf8'), hung };
}

/** The names of tests that failed and what each said first. */
function failuresIn(output, code) {
  const failed = Array.from(
    output.matchAll(/^ *not ok \d+ - (.+)$[\s\S]*?error: ([^\n]*(?:\n(?! *code:)[^\n]*){0,6})/gm),
  );
  const lines = failed.map(([, name, error]) => `${name}: ${error.replaceAll(/\s+/g, ' ').slice(0, 300)}`);
  return lines.length > 0 ? lines.join('\n') : `ended with ${code}:\n${output.slice(-1_500)}`;
}
