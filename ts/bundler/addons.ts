/** Finds the addons to copy. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { AnalyticsError } from '../errors.js';
import type { Settings } from './options.js';
import { fileOf, packageOf } from './platforms.js';

/** An addon that goes with the bundle. */
export interface Addon {
  readonly platform: string;
  /** Its name beside the output. */
  readonly file: string;
  readonly content: Buffer;
}

/**
 * The addons that a bundle needs.
 *
 * @param packageRoot folder of `@companion/segment`
 * @throws AnalyticsError `ERR_ADDON` one is not installed, or of another version than the package
 */
export function findAddons(packageRoot: string, { wanted, addons }: Settings): readonly Addon[] {
  return wanted.map((names) => {
    const found = names.map((platform) => ({
      platform,
      path: addons[platform] ?? installed(packageRoot, platform),
    }));
    const { platform, path } = found.find((one) => one.path !== undefined) ?? {};
    if (platform === undefined || path === undefined) throw missing(packageRoot, names[0] ?? 'this platform');
    return { platform, file: fileOf(platform), content: readFileSync(path) };
  });
}

/** The path of an installed addon. */
function installed(packageRoot: string, platform: string): string | undefined {
  const { resolve } = createRequire(join(packageRoot, 'package.json'));
  let manifest: string;
  try {
    manifest = resolve(`${packageOf(platform)}/package.json`);
  } catch {
    return undefined;
  }
  const version = versionIn(manifest);
  const expected = versionIn(join(packageRoot, 'package.json'));
  if (version === expected) return join(manifest, '..', fileOf(platform));
  const problem = `${packageOf(platform)} is version ${version} and @companion/segment ${expected}`;
  throw new AnalyticsError('ERR_ADDON', `${problem}. Run: ${installLine(platform, expected)}`);
}

function missing(packageRoot: string, platform: string): AnalyticsError {
  const line = installLine(platform, versionIn(join(packageRoot, 'package.json')));
  return new AnalyticsError('ERR_ADDON', `${packageOf(platform)} is not installed. Run: ${line}`);
}

/** npm leaves out what is for another machine, unless it is forced. */
const installLine = (platform: string, version: string): string =>
  `npm install --no-save --force ${packageOf(platform)}@${version}`;

function versionIn(manifest: string): string {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
