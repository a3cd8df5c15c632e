/**
 * Packs an entry point and the addon of Lambda's architecture into a folder: `index.js` and one `.node` file. A bundler
 * alone would pack the addon of the machine that it runs on.
 */
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { build, type Plugin } from 'esbuild';

import {
  addonFileName,
  BundleError,
  checkAddon,
  findAddon,
  packageOf,
  packageRootFrom,
  type LambdaArchitecture,
} from './addon.js';

export interface BundleOptions {
  /** Path of the module that exports `handler`. */
  readonly entry: string;
  readonly architecture: LambdaArchitecture;
  /** Folder to write to; made if it is not there. */
  readonly outdir: string;
  /** Path of the addon, if it is not to be looked for. */
  readonly addon?: string;
}

const PACKAGE = '@companion/segment';

/** Anybody may read it: Lambda runs as a user of its own. */
const FILE_MODE = 0o644;

/**
 * Writes `index.js` and the addon. The same input gives the same bytes.
 *
 * @throws BundleError no addon, or one that Lambda can't load, or the entry does not use the package
 */
export async function bundle({ entry, architecture, outdir, addon }: BundleOptions): Promise<void> {
  const path = resolve(entry);
  const packageRoot = packageRootFrom(path);
  const addonPath = addon ?? findAddon(packageRoot, architecture);
  checkAddon(addonPath, packageRoot, architecture);
  await mkdir(outdir, { recursive: true });
  const result = await build({
    entryPoints: [path],
    // Paths in comments are relative to it: the bytes must not depend on where the command runs.
    absWorkingDir: dirname(path),
    outfile: resolve(outdir, 'index.js'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // Names and lines stay as they are written, so that stack traces need no source map.
    minify: false,
    // Part of the runtime.
    external: ['@aws-sdk/*'],
    metafile: true,
    logLevel: 'silent',
    plugins: [addonPlugin(architecture)],
  });
  const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports);
  if (!imports.some((imported) => basename(imported.path) === addonFileName(architecture))) {
    throw new BundleError(`${entry} does not use ${PACKAGE}: there is nothing to load the addon.`);
  }
  const target = join(outdir, addonFileName(architecture));
  await copyFile(addonPath, target);
  await Promise.all([chmod(target, FILE_MODE), chmod(join(outdir, 'index.js'), FILE_MODE)]);
}

/**
 * For esbuild: the package loads the addon of one architecture from beside the bundle; those of other platforms are none
 * of its business.
 */
export function addonPlugin(architecture: LambdaArchitecture): Plugin {
  return {
    name: 'companion-segment-addon',
    setup(esbuild) {
      esbuild.onResolve({ filter: /^@companion\/segment-[a-z0-9-]+$/ }, ({ path }) => ({
        path: path === packageOf(architecture) ? `./${addonFileName(architecture)}` : path,
        external: true,
      }));
    },
  };
}
