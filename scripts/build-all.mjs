/**
 * npm run build:all: the addon of every platform that can be built on this machine, each into its package in `npm/`.
 *
 *   --only name   this platform only; may be repeated
 *   --list        says which there are
 */
import { parseArgs } from 'node:util';

import { buildAddons } from './addons/build.mjs';
import { PLATFORMS } from './addons/platforms.mjs';
import { fail } from './setup/steps.mjs';

const { values } = parseArgs({
  options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' } },
});
const wanted = values.only ?? Object.keys(PLATFORMS);
const unknown = wanted.filter((name) => !Object.hasOwn(PLATFORMS, name));
if (unknown.length > 0) fail(`No such platform: ${unknown.join(', ')}. See --list.`);
if (values.list === true) console.log(Object.keys(PLATFORMS).join('\n'));
else await buildAddons(wanted);
