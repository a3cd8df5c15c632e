/**
 * npm run release:inspect: reads every addon in `npm/` and says what is wrong with it. Exits with 1 when anything is.
 *
 *   --only name   this platform only; may be repeated
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { addonPath } from '../addons/build.mjs';
import { faultsOf, inspect } from '../addons/inspection.mjs';
import { rootManifest } from '../addons/manifests.mjs';
import { PLATFORMS } from '../addons/platforms.mjs';
import { fail } from '../setup/steps.mjs';

const { values } = parseArgs({ options: { only: { type: 'string', multiple: true } } });
const built = Object.keys(PLATFORMS).filter((platform) => existsSync(addonPath(platform)));
const wanted = values.only ?? built;
const missing = wanted.filter((platform) => !built.includes(platform));
if (missing.length > 0) fail(`There is no addon for ${missing.join(', ')}. Build it: npm run build:all`);
if (wanted.length === 0) fail('There is no addon in npm/. Build them: npm run build:all');

const { version } = rootManifest();
for (const platform of wanted) {
  const facts = inspect(addonPath(platform));
  const faults = faultsOf(platform, facts, version);
  const asks = facts.glibc ?? facts.macos ?? '';
  console.log(`${faults.length === 0 ? 'ok    ' : 'failed'}  ${platform.padEnd(19)}  ${facts.bytes} B  ${asks}`);
  for (const fault of faults) console.log(`        ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}
