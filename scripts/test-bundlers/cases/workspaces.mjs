// Where package managers put the package and its addon: beside one another at the root, one in the other, and linked.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { packed } from '../../packed.mjs';
import { run } from '../../test-nest/program.mjs';
import { insideOnly } from '../../test-nest/project.mjs';
import { BUILD } from '../building.mjs';
import { addonHere, project, temporaryIn, versions, write } from '../projects.mjs';
import { APPLICATION, expectEvent, expectSelfContained } from '../running.mjs';
import { snippet } from '../snippets.mjs';

const QUIETLY = ['--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts', '--prefer-offline'];
const API = join('packages', 'api');
const PACKAGE = join(API, 'node_modules', '@companion', 'segment');

/** What installs, and where the addon has to be after that: seen from the root of the workspace. */
const LAYOUTS = {
  'npm, hoisted to the root': {
    install: (folder) => run('npm', ['install', ...QUIETLY], { cwd: folder }),
    present: (addon) => [join('node_modules', '@companion', 'segment'), join('node_modules', addon)],
    absent: () => [PACKAGE],
  },
  'npm, nested': {
    install: (folder) => run('npm', ['install', '--install-strategy=nested', ...QUIETLY], { cwd: folder }),
    present: (addon) => [PACKAGE, join(PACKAGE, 'node_modules', addon)],
    absent: (addon) => [join('node_modules', addon)],
  },
  'pnpm, linked': {
    install: async (folder) => {
      const pnpm = join(await project('managers'), 'node_modules', 'pnpm', 'bin', 'pnpm.cjs');
      const args = ['install', '--ignore-scripts', '--prefer-offline', '--no-frozen-lockfile'];
      return run(process.execPath, [pnpm, ...args], { cwd: folder, env: { CI: '1' } });
    },
    present: () => [PACKAGE, join('node_modules', '.pnpm')],
    absent: (addon) => [join('node_modules', addon), join(API, 'node_modules', addon)],
  },
};

export const cases = Object.entries(LAYOUTS).map(([layout, manager]) => ({
  tool: 'workspace',
  version: layout,
  mode: "as it is, and esbuild with the plugin, 'external' and 'copy'",
  run: () => expectTracking(manager),
}));

async function expectTracking({ install, present, absent }) {
  const folder = await workspace();
  await install(folder);
  const { name } = await addonHere();
  for (const place of present(name)) assert.ok(existsSync(join(folder, place)), `${place} is missing`);
  for (const place of absent(name)) assert.ok(!existsSync(join(folder, place)), `${place} is there`);
  const api = join(folder, API);
  const tracks = (file) => expectEvent(process.execPath, [file], { cwd: api, env: insideOnly(folder) });
  await tracks('main.mjs');
  await bundle(api, [["{ mode: 'copy' }", '']]);
  await tracks(join(BUILD, 'main.js'));
  await bundle(api, []);
  await expectSelfContained(join(api, BUILD), 'main.js');
}

async function workspace() {
  const { '@companion/segment': root, ...addons } = await packed();
  const files = Object.entries(addons).map(([name, path]) => [name, `file:${path}`]);
  // Nothing but the package asks for the addon, as with a registry.
  const overrides = Object.fromEntries(files);
  const dependencies = { '@companion/segment': `file:${root}`, esbuild: versions.bundlers.esbuild };
  return temporaryIn('workspaces', {
    'package.json': JSON.stringify({ name: 'shop', private: true, workspaces: ['packages/*'], overrides }),
    'pnpm-workspace.yaml': JSON.stringify({ packages: ['packages/*'], overrides }),
    [join(API, 'package.json')]: JSON.stringify({
      name: 'api',
      private: true,
      version: '1.0.0',
      dependencies,
    }),
    [join(API, 'main.mjs')]: APPLICATION,
  });
}

async function bundle(folder, changes) {
  await write(folder, { 'esbuild.mjs': snippet('esbuild.mjs', changes) });
  await run(process.execPath, ['esbuild.mjs'], { cwd: folder });
}
