/**
 * The package as npm would publish it: the tarball of the root, and that of this platform's addon, in `target/packed/`.
 * Both have a hash of their content in their name, so that npm installs what has changed and nothing else.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { run } from './test-nest/program.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKED = join(ROOT, 'target', 'packed');
/** What lies in `PACKED`, and as of when; written last. */
const RECORD = join(PACKED, 'packed.json');
/** What the tarball of the root is made of, beside the addon. */
const SOURCES = ['dist', 'index.js', 'index.d.ts', 'package.json', 'README.md', 'CHANGELOG.md', 'LICENSE'];

/**
 * Packs what is stale.
 *
 * @returns {Promise<Record<string, string>>} name of the package to path of its tarball
 */
export async function packed() {
  const addon = await builtAddon();
  const sources = [...SOURCES.map((name) => join(ROOT, name)), addon.path, addon.packageDirectory];
  const changed = await lastChange(sources);
  const recorded = existsSync(RECORD) ? await readJson(RECORD) : undefined;
  if (recorded?.changed === changed) return recorded.tarballs;
  await rm(PACKED, { recursive: true, force: true });
  await mkdir(PACKED, { recursive: true });
  const tarballs = Object.fromEntries([await pack(ROOT), await packAddon(addon)]);
  await writeFile(RECORD, JSON.stringify({ changed, tarballs }, undefined, 2));
  return tarballs;
}

/** The addon that `npm run setup` has built, and the package that it is published in. */
async function builtAddon() {
  const ours = `companion-segment.${process.platform}-${process.arch}`;
  const names = await readdir(ROOT);
  const name = names.find((entry) => entry.startsWith(ours) && entry.endsWith('.node'));
  if (name === undefined) throw new Error(`There is no ${ours}*.node: run npm run setup.`);
  const platform = name.slice('companion-segment.'.length, -'.node'.length);
  return { name, path: join(ROOT, name), packageDirectory: join(ROOT, 'npm', platform) };
}

/** `npm/` stays as it is: the addon joins a copy of its package. */
async function packAddon({ name, path, packageDirectory }) {
  const copy = await mkdtemp(join(PACKED, 'addon-'));
  await cp(packageDirectory, copy, { recursive: true });
  await cp(path, join(copy, name));
  const entry = await pack(copy);
  await rm(copy, { recursive: true });
  return entry;
}

async function pack(directory) {
  const made = await mkdtemp(join(PACKED, 'made-'));
  // Without scripts: `prepublishOnly` and its like are for a release.
  const args = ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', made];
  await run('npm', args, { cwd: directory });
  const [name] = await readdir(made);
  const hash = createHash('sha256')
    .update(await readFile(join(made, name)))
    .digest('hex');
  const path = join(PACKED, `${name.slice(0, -'.tgz'.length)}-${hash.slice(0, 12)}.tgz`);
  await rename(join(made, name), path);
  await rm(made, { recursive: true });
  const { name: packageName } = await readJson(join(directory, 'package.json'));
  return [packageName, path];
}

/** When anything of these was changed last. A directory's own time tells of files that are gone. */
async function lastChange(paths) {
  const times = await Promise.all(
    paths.map(async (path) => {
      const entry = await stat(path);
      if (!entry.isDirectory()) return entry.mtimeMs;
      const names = await readdir(path);
      return Math.max(entry.mtimeMs, await lastChange(names.map((name) => join(path, name))));
    }),
  );
  return Math.max(...times);
}

const readJson = async (path) => JSON.parse(await readFile(path, 'utf8'));
