/** Puts addons beside the output. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Addon } from './addons.js';

/** Writes addons into a folder. One that is there already is left alone: a program may have it loaded. */
export async function place(folder: string, addons: readonly Addon[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { file, content } of addons) {
    const path = join(folder, file);
    const present = await readFile(path).catch(() => undefined);
    if (present?.equals(content) === true) continue;
    // In one step: whoever has the old one loaded keeps it.
    const temporary = `${path}.${process.pid}`;
    await writeFile(temporary, content);
    await rename(temporary, path);
  }
}
