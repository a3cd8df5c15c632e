/** Programs for Windows on Linux: Wine, with a prefix of the checkout's own that says it is Windows 10. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { PYTHON, pythonTools } from '../setup/python.mjs';
import { ROOT, fail, run, step } from '../setup/steps.mjs';

const PREFIX = join(ROOT, 'target', 'wine');
const PROGRAMS = ['/usr/lib/wine/wine64', '/usr/bin/wine64', '/usr/bin/wine'];

/** What a program needs in its environment. Without a display: none of them opens a window. */
export const WINE_ENVIRONMENT = { WINEPREFIX: PREFIX, WINEARCH: 'win64', WINEDEBUG: '-all', DISPLAY: '' };

/** What Windows calls a path of this machine. */
export const windowsPath = (path) => `Z:${path.replaceAll('/', '\\')}`;

/** The path of Wine, made ready. */
export function wine() {
  const program = PROGRAMS.find((path) => existsSync(path));
  if (program === undefined) fail('Wine was not found. On Debian: apt-get install wine64');
  const stamp = join(PREFIX, 'ready');
  if (existsSync(stamp)) return program;
  step('Making Wine ready');
  mkdirSync(PREFIX, { recursive: true });
  const inside = (...args) =>
    spawnSync(program, args, { env: { ...process.env, ...WINE_ENVIRONMENT }, encoding: 'utf8' });
  inside('wineboot', '--init');
  // Node does not run on what Wine calls itself otherwise.
  const { status, stderr } = inside('reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f');
  if (status !== 0) fail(`Wine could not be set up: ${stderr}`);
  addRandomness();
  writeFileSync(stamp, '');
  return program;
}

/**
 * Windows has had a library with this one function since version 7, and Rust's standard library asks it for random bytes.
 * Wine has it since version 9.
 */
function addRandomness() {
  const library = join(PREFIX, 'drive_c', 'windows', 'system32', 'bcryptprimitives.dll');
  if (existsSync(library)) return;
  pythonTools();
  const source = join(PREFIX, 'bcryptprimitives.c');
  writeFileSync(
    source,
    `#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length) {
  return RtlGenRandom(bytes, (ULONG)length);
}
`,
  );
  const compile = ['-m', 'ziglang', 'cc', '-target', 'x86_64-windows-gnu', '-shared'];
  run(join(PYTHON, 'bin', 'python'), [...compile, '-o', library, source, '-ladvapi32']);
}
