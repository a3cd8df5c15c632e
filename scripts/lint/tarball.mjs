// What npm would publish: is it what the sources say, and does it resolve, with types, in every kind of project?
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { staleFiles } from '../addons/manifests.mjs';
import { packRoot } from '../release/packages.mjs';
import { readmeWithTable } from '../release/platform-table.mjs';
import { ROOT, run } from './command.mjs';

export async function tarball() {
  const directory = await mkdtemp(join(tmpdir(), 'companion-segment-'));
  try {
    await checkTarball(packRoot(directory));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Throws what is wrong with a tarball of the root. */
export async function checkTarball(path) {
  await run('publint', ['run', path, '--strict']);
  // node16 leaves out `moduleResolution: node10`, which knows no `exports` and so no subpath of any package;
  // the main entrance works there too, through `main` and `types`.
  await run('attw', [path, '--profile', 'node16', '--no-color', '--no-emoji']);
}

/** The packages of addons are committed; they have to be what the table of platforms makes of them. */
export async function npmPackages() {
  const stale = staleFiles();
  if (stale.length > 0) throw new Error(stale.join('\n'));
}

/** The README says of platforms what the last check of the release has found. */
export async function platformTable() {
  if ((await readFile(join(ROOT, 'README.md'), 'utf8')) === readmeWithTable()) return;
  throw new Error('README.md: run node scripts/release/platform-table.mjs');
}
