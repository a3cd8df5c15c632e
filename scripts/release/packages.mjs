/**
 * The packages as they are published: made in a folder of their own from what is built, never from a checkout's manifest
 * with its scripts and workspaces.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

import { addonFile, packageName, PLATFORMS } from '../addons/platforms.mjs';
import { committedFiles, rootManifest } from '../addons/manifests.mjs';
import { noticesFor } from '../addons/notices.mjs';
import { ROOT } from '../setup/steps.mjs';

/** Where a release lies before it is published. */
export const PACKAGES = join(ROOT, 'target', 'release', 'packages');

/** What a user's package manager has no use for. */
const OURS_ALONE = new Set(['scripts', 'workspaces', 'devDependencies', 'napi']);

/**
 * The manifest of the root as it is published: with the packages of all platforms, of which a package manager takes the
 * one that fits.
 */
export function publishedManifest() {
  const manifest = rootManifest();
  const kept = Object.entries(manifest).filter(([name]) => !OURS_ALONE.has(name));
  const platforms = Object.keys(PLATFORMS).map((platform) => [packageName(platform), manifest.version]);
  return { ...Object.fromEntries(kept), optionalDependencies: Object.fromEntries(platforms) };
}

/**
 * Packs the root into `folder`.
 *
 * @returns {string} path of the tarball
 */
export function packRoot(folder) {
  return pack(folder, (stage) => {
    for (const name of ['dist', 'docs', 'index.d.ts', 'README.md', 'CHANGELOG.md', 'LICENSE']) {
      cpSync(join(ROOT, name), join(stage, name), { recursive: true });
    }
    writeFileSync(join(stage, 'package.json'), `${JSON.stringify(publishedManifest(), undefined, 2)}\n`);
  });
}

/**
 * Packs a platform's addon into `folder`.
 *
 * @param {string} platform
 * @param {string} addon path of what is built
 * @returns {string} path of the tarball
 */
export function packAddon(platform, addon, folder) {
  return pack(folder, (stage) => {
    for (const [name, text] of Object.entries(committedFiles(platform)))
      writeFileSync(join(stage, name), text);
    cpSync(join(ROOT, 'LICENSE'), join(stage, 'LICENSE'));
    writeFileSync(join(stage, 'THIRD-PARTY-NOTICES.txt'), noticesFor(PLATFORMS[platform].target));
    cpSync(addon, join(stage, addonFile(platform)));
  });
}

function pack(folder, fill) {
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, '.stage-'));
  try {
    const stage = join(work, 'package');
    mkdirSync(stage);
    fill(stage);
    execFileSync('npm', ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', work], {
      cwd: stage,
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32',
    });
    const name = readdirSync(work).find((entry) => entry.endsWith('.tgz'));
    renameSync(join(work, name), join(folder, name));
    return join(folder, name);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * The packages in a folder by their names, those of platforms first, as they have to be published.
 *
 * @returns {{ name: string, version: string, path: string, manifest: object }[]}
 */
export function packagesIn(folder) {
  if (!existsSync(folder)) return [];
  const packages = readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => {
      const path = join(folder, name);
      const manifest = JSON.parse(fileIn(path, 'package.json').toString());
      return { name: manifest.name, version: manifest.version, path, manifest };
    });
  const isRoot = ({ name }) => name === '@companion/segment';
  return packages.toSorted(
    (left, right) => Number(isRoot(left)) - Number(isRoot(right)) || left.name.localeCompare(right.name),
  );
}

/** A file of a tarball. */
export function fileIn(tarball, name) {
  return execFileSync('tar', ['-xzOf', basename(tarball), `package/${name}`], {
    cwd: join(tarball, '..'),
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** The names of files in a tarball. */
export function filesIn(tarball) {
  const list = execFileSync('tar', ['-tzf', basename(tarball)], {
    cwd: join(tarball, '..'),
    encoding: 'utf8',
  });
  return list
    .trim()
    .split('\n')
    .map((name) => name.replace(/^package\//, ''));
}
