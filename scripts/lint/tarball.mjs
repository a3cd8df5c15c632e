// What npm would publish: does it resolve, with types, in every kind of project that may use it?
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from './command.mjs';

export async function tarball() {
  const directory = await mkdtemp(join(tmpdir(), 'companion-segment-'));
  try {
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', directory]);
    const [name] = await readdir(directory);
    const path = join(directory, name);
    await run('publint', ['run', path, '--strict']);
    // node16 leaves out `moduleResolution: node10`, which knows no `exports` and so no subpath of any package;
    // the main entrance works there too, through `main` and `types`.
    await run('attw', [path, '--profile', 'node16', '--no-color', '--no-emoji']);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
