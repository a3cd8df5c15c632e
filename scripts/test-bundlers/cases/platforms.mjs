// A bundle for other platforms than the one that bundles, and one that is made again from a cache.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { packed } from '../../packed.mjs';
import { packAddon } from '../../release/packages.mjs';
import { outcome, run } from '../../test-nest/program.mjs';
import { install } from '../../test-nest/project.mjs';
import { BUILD, build } from '../building.mjs';
import { addonHere, elsewhere, project, temporaryIn, versions, write } from '../projects.mjs';
import { APPLICATION, expectSelfContained } from '../running.mjs';
import { snippet } from '../snippets.mjs';

export const cases = [
  {
    tool: 'esbuild',
    version: versions.bundlers.esbuild,
    mode: "plugin, 'copy', for another platform that is installed as the error says",
    run: forAnotherPlatform,
  },
  {
    tool: 'webpack',
    version: versions.bundlers.webpack,
    mode: "plugin, 'copy', again from a cache",
    run: fromCache,
  },
];

async function forAnotherPlatform() {
  const here = await addonHere();
  const other = here.platform === 'linux-arm64-gnu' ? 'linux-x64-gnu' : 'linux-arm64-gnu';
  const names = JSON.stringify([here.platform, other]);
  const folder = await temporaryIn('platforms', {});
  const { esbuild } = versions.bundlers;
  await install(folder, { name: 'for-platforms', dependencies: { esbuild } }, await packed());
  const platforms = ["mode: 'copy'", `mode: 'copy', platforms: ${names}`];
  await write(folder, { 'main.mjs': APPLICATION, 'esbuild.mjs': snippet('esbuild.mjs', [platforms]) });

  const { code, output } = await outcome(process.execPath, ['esbuild.mjs'], { cwd: folder });
  assert.notEqual(code, 0, output);
  const { command, asked } =
    /Run: (?<command>npm install .*)(?<asked>@companion\/\S+)/.exec(output)?.groups ?? {};
  assert.ok(asked?.startsWith(`@companion/segment-${other}@`), output);
  // What npm would fetch for this machine's sake is for another: it has to be talked into that.
  const [npm, ...args] = command.trim().split(' ');
  await run(npm, [...args, await standIn(other), '--no-audit', '--no-fund'], { cwd: folder });

  await run(process.execPath, ['esbuild.mjs'], { cwd: folder });
  const files = [here.file, `companion-segment.${other}.node`, 'main.js'];
  assert.deepEqual((await readdir(join(folder, BUILD))).toSorted(), files.toSorted());
  await expectSelfContained(join(folder, BUILD), 'main.js');
}

/** The package of another platform. Nobody here can load its addon, so any file does. */
async function standIn(platform) {
  const folder = await mkdtemp(join(await elsewhere(), 'packed-'));
  const addon = join(folder, 'addon.node');
  await writeFile(addon, `the addon for ${platform}`);
  return packAddon(platform, addon, folder);
}

async function fromCache() {
  const cached = [
    "target: 'node',",
    "target: 'node', cache: { type: 'filesystem', cacheDirectory: `${import.meta.dirname}/cache` },",
  ];
  const { folder, built, code, output } = await build(['webpack'], {
    'main.mjs': APPLICATION,
    'webpack.config.mjs': snippet('webpack.config.mjs', [cached]),
  });
  assert.equal(code, 0, output);
  await rm(built, { recursive: true });
  const webpack = join(await project('bundlers'), 'node_modules', '.bin', 'webpack');
  assert.match(await run(webpack, [], { cwd: folder }), /^cached modules /m);
  await expectSelfContained(built, 'main.js');
}
