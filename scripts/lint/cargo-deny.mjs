// Licences, banned crates and sources. cargo-deny is built once, into target/tools.
import { access } from 'node:fs/promises';
import { join } from 'node:path';

import { ROOT, run } from './command.mjs';

const VERSION = '0.20.2';
const PREFIX = join(ROOT, 'target/tools', `cargo-deny-${VERSION}`);
const PROGRAM = join(PREFIX, 'bin', process.platform === 'win32' ? 'cargo-deny.exe' : 'cargo-deny');

/** Its release profile takes minutes for a tool that runs for a second. */
const QUICK_BUILD = {
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
  CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
};

export async function cargoDeny() {
  const isThere = await access(PROGRAM).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    console.log(`installing cargo-deny ${VERSION} into target/tools, once; this takes a few minutes`);
    const version = ['--version', VERSION, '--locked'];
    await run('cargo', ['install', 'cargo-deny', ...version, '--root', PREFIX], QUICK_BUILD);
  }
  await run(PROGRAM, ['--locked', 'check', 'licenses', 'bans', 'sources']);
}
