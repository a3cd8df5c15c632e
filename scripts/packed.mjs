/**
 * The package as it is published: the tarball of the root, and that of this platform's addon, in `target/packed/`. Both
 * have a hash of their content in their name, so that npm installs what has changed and nothing else.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { packageName } from './addons/platforms.mjs';
import { packAddon, packRoot } from './release/packages.mjs';
import { builtAddon } from './setup/addon.mjs';
import { ROOT } from './setup/steps.mjs';

const PACKED = join(ROOT, 'target', 'packed');
/** What lies in `PACKED`, and as of when; written last. */
const RECORD = join(PACKED, 'packed.json');
/** What the tarball of the root is made of, beside the addon. */
const SOURCES = [
  'dist',
  'docs',
  'index.d.ts',
  'package.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'scripts',
];

/**
 * Packs what is stale.
 *
 * @returns {Promise<Record<string, string>>} name of the package to path of its tarball
 */
export async function packed() {
  const addon = builtAddon();
  if (addon === undefined) throw new Error('There is no addon: run npm run setup.');
  const changed = lastChange([...SOURCES.map((name) => join(ROOT, name)), addon.path]);
  const recorded = existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, 'utf8')) : undefined;
  if (recorded?.changed === changed) return recorded.tarballs;
  rmSync(PACKED, { recursive: true, force: true });
  const tarballs = {
    '@companion/segment': named(packRoot(PACKED)),
    [packageName(addon.platform)]: named(packAddon(addon.platform, addon.path, PACKED)),
  };
  writeFileSync(RECORD, JSON.stringify({ changed, tarballs }, undefined, 2));
  return tarballs;
}

function named(path) {
  const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
  const name = path.replace(/\.tgz$/, `-${hash.slice(0, 12)}.tgz`);
  renameSync(path, name);
  return name;
}

/** When anything of these was changed last. A directory's own time tells of files that are gone. */
function lastChange(paths) {
  const times = paths.map((path) => {
    const entry = statSync(path);
    if (!entry.isDirectory()) return entry.mtimeMs;
    return Math.max(entry.mtimeMs, lastChange(readdirSync(path).map((name) => join(path, name))));
  });
  return Math.max(0, ...times);
}
