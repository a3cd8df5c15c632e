/**
 * npm run release:pack: the packages of a release, in target/release/packages: the root, and each platform whose addon is
 * built (npm run build:all).
 *
 *   --all   fails when the addon of any platform is missing
 */
import { existsSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';

import { addonPath } from '../addons/build.mjs';
import { PLATFORMS } from '../addons/platforms.mjs';
import { fail } from '../setup/steps.mjs';
import { PACKAGES, packAddon, packRoot } from './packages.mjs';

const { values } = parseArgs({ options: { all: { type: 'boolean' } } });
const platforms = Object.keys(PLATFORMS).filter((platform) => existsSync(addonPath(platform)));
const missing = Object.keys(PLATFORMS).filter((platform) => !platforms.includes(platform));
if (values.all === true && missing.length > 0) {
  fail(`The addon is missing for ${missing.join(', ')}. Build it: npm run build:all`);
}
rmSync(PACKAGES, { recursive: true, force: true });
const tarballs = [
  ...platforms.map((platform) => packAddon(platform, addonPath(platform), PACKAGES)),
  packRoot(PACKAGES),
];
for (const path of tarballs) console.log(basename(path));
if (missing.length > 0) console.log(`Not built, not packed: ${missing.join(', ')}`);
