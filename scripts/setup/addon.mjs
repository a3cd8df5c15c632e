/**
 * The addon for this machine, built as quickly as its own compiler can, and linked into `node_modules` under the name of
 * its package: a checkout loads it in the way that an installed package does.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';

import { ADDON_SOURCES, isFresh, replace, run, step } from './steps.mjs';

const BUILT = join('target', 'addon');
const SCOPE = join('node_modules', '@companion');

/**
 * Builds it if it is stale. `index.d.ts` is generated with it.
 *
 * @param {{ rebuilds: boolean }} options `rebuilds`: even if it is fresh
 */
export function buildAddonHere({ rebuilds }) {
  if (rebuilds || !isFresh(builtAddon()?.path, ADDON_SOURCES)) {
    step('Building the engine (a minute or two the first time)');
    const types = ['--no-js', '--dts', 'index.d.ts'];
    run('npx', [
      'napi',
      'build',
      '--platform',
      '--release',
      '--output-dir',
      BUILT,
      ...types,
      '--',
      '--locked',
    ]);
    replace(join(BUILT, 'index.d.ts'), 'index.d.ts');
    packAddon();
  }
  link();
}

/** The addon of this machine and its platform; `undefined` before there is one. */
export function builtAddon() {
  const platform = existsSync(BUILT)
    ? readdirSync(BUILT).find((name) => existsSync(join(BUILT, name, 'package.json')))
    : undefined;
  if (platform === undefined) return undefined;
  return { platform, path: join(BUILT, platform, `companion-segment.${platform}.node`) };
}

function packAddon() {
  const [, platform] = readdirSync(BUILT)
    .map((name) => /^companion-segment\.(?<platform>.+)\.node$/.exec(name))
    .find((match) => match !== null);
  const file = `companion-segment.${platform}.node`;
  const folder = join(BUILT, platform);
  mkdirSync(folder, { recursive: true });
  replace(join(BUILT, file), join(folder, file));
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const manifest = { name: `@companion/segment-${platform}`, version, main: file };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** npm takes the link away whenever it installs. */
function link() {
  const { platform } = builtAddon();
  const name = join(SCOPE, `segment-${platform}`);
  if (existsSync(name)) return;
  mkdirSync(SCOPE, { recursive: true });
  rmSync(name, { force: true });
  symlinkSync(resolve(BUILT, platform), name, 'junction');
}
