/** The platforms that there are addons for, and which of them this is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { platformName } from '../addon.js';

/** A call of the loader, which writes each name out. */
export const REQUIRED_ADDON = /\brequire\(['"]@companion\/segment-(?<platform>[a-z0-9-]+)['"]\)/g;

let known: readonly string[] | undefined;

/** Every platform that the loader knows: it is the one that says so. */
export function knownPlatforms(): readonly string[] {
  known ??= platformsIn(readFileSync(join(__dirname, '..', 'addon.js'), 'utf8'));
  return known;
}

/** The platforms whose addons a loader's text requires. */
export function platformsIn(loader: string): string[] {
  return Array.from(loader.matchAll(REQUIRED_ADDON), ({ groups }) => groups?.['platform'] ?? '');
}

/** Those that the process which bundles could load, the likeliest first. */
export function platformsHere(): readonly string[] {
  const [system, processor, library] = platformName().split('-');
  const name = `${system}-${processor}`;
  const fitting = knownPlatforms().filter((platform) => platform === name || platform.startsWith(`${name}-`));
  if (library === undefined) return fitting;
  return fitting.filter((platform) => platform.includes(library === 'musl' ? 'musl' : 'gnu'));
}

/** The package of an addon. */
export const packageOf = (platform: string): string => `@companion/segment-${platform}`;

/** The file of an addon, in its package and beside a bundle. */
export const fileOf = (platform: string): string => `companion-segment.${platform}.node`;

/** The platform of an addon's package; `undefined` for what is no such package. */
export function platformOf(request: string): string | undefined {
  return knownPlatforms().find((platform) => request === packageOf(platform));
}

/** Whether a module asks for the package, a subpath of it or an addon. */
export function isOurs(request: string): boolean {
  return /^@companion\/segment(?:\/|$)/.test(request) || platformOf(request) !== undefined;
}
