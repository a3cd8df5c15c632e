/**
 * Packs an entry point and the addon of Lambda's architecture into a folder: `index.js` and one `.node` file. A bundler
 * alone would pack the addon of the machine that it runs on.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import * as segment from '@companion/segment/bundler';
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
    plugins: [addonPlugin(architecture, addonPath)],
  });
  if (!usesPackage(Object.keys(result.metafile.inputs), dirname(path), packageRoot)) {
    throw new BundleError(`${entry} does not use ${PACKAGE}: there is nothing to load the addon.`);
  }
  const files = ['index.js', addonFileName(architecture)];
  await Promise.all(files.map((file) => chmod(join(outdir, file), FILE_MODE)));
}

/** Whether the module that loads the addon is among those that were bundled. */
function usesPackage(inputs: readonly string[], base: string, packageRoot: string): boolean {
  const loader = join(packageRoot, 'dist', 'addon.js');
  return inputs.some((input) => resolve(base, input) === loader);
}

/**
 * For esbuild: the addon of one architecture is copied beside the bundle, which loads it from there.
 *
 * @param addon its path, if it is not to be looked for in `node_modules`
 */
export function addonPlugin(architecture: LambdaArchitecture, addon?: string): Plugin {
  const platform = packageOf(architecture).replace(`${PACKAGE}-`, '');
  const addons = addon === undefined ? undefined : { [platform]: addon };
  return segment.esbuild({ mode: 'copy', platforms: [platform], addons });
}
