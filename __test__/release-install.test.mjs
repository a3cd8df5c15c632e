/**
 * What a user does: `npm install @companion/segment`, that alone, from a registry, and then events through every way out of
 * a process. On glibc, and on Linux for x64 also on musl, as Alpine has it. `npm run release:check` does it everywhere.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { addonPath } from '../scripts/addons/build.mjs';
import { installed } from '../scripts/release/installers.mjs';
import { packAddon, packRoot } from '../scripts/release/packages.mjs';
import { publishAll, startRegistry } from '../scripts/release/registry.mjs';
import { smoke } from '../scripts/release/smoke/run.mjs';
import { muslNode } from '../scripts/setup/musl.mjs';
import { outcome } from '../scripts/test-nest/program.mjs';

/** Of those that the release is checked with. */
const { node: NODES } = JSON.parse(
  readFileSync(new URL('../scripts/release/versions.json', import.meta.url), 'utf8'),
);
const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl'];

describe('from the registry', () => {
  const packages = mkdtempSync(join(tmpdir(), 'packages-'));
  let registry;

  before(async () => {
    for (const platform of PLATFORMS) packAddon(platform, addonPath(platform), packages);
    packRoot(packages);
    registry = await startRegistry();
    await publishAll(registry.url, packages);
  });
  after(async () => {
    await registry?.close();
    rmSync(packages, { recursive: true, force: true });
  });

  /** Installs, and gives back what is in the scope of the package. */
  async function install(t, options = []) {
    const { directory, code, output, remove } = await installed('npm', registry.url, { options });
    t.after(remove);
    assert.equal(code, 0, output);
    return { directory, names: readdirSync(join(directory, 'node_modules', '@companion')).toSorted() };
  }
  const problemsOf = (steps) => steps.filter(({ problem }) => problem !== undefined);

  test('npm installs the root and the addon of this machine, and all of it works', async (t) => {
    const { directory, names } = await install(t);
    assert.deepEqual(names, ['segment', 'segment-linux-x64-gnu']);
    const steps = await smoke(directory, { command: [process.execPath] });
    assert.deepEqual(problemsOf(steps), []);
    assert.equal(steps.length, 8);
  });

  test('and on musl', async (t) => {
    const { directory, names } = await install(t, ['--os=linux', '--cpu=x64', '--libc=musl']);
    assert.deepEqual(names, ['segment', 'segment-linux-x64-musl']);
    const { loader, node } = muslNode(NODES['linux-x64-musl'].versions.at(-1));
    const steps = await smoke(directory, { command: [loader, node] });
    assert.deepEqual(problemsOf(steps), []);
    assert.equal(steps.length, 8);
  });

  for (const [what, options, pattern] of [
    [
      'without optional dependencies',
      ['--omit=optional'],
      /@companion\/segment-linux-x64-gnu is not installed\. .*without --omit=optional/,
    ],
    [
      'on another system',
      ['--os=linux', '--cpu=x64', '--libc=musl'],
      /@companion\/segment-linux-x64-gnu is not installed, only @companion\/segment-linux-x64-musl for another system\. /,
    ],
  ]) {
    test(`what was installed ${what} says what to do`, async (t) => {
      const { directory } = await install(t, options);
      const script = "require('@companion/segment')";
      const { code, output } = await outcome(process.execPath, ['-e', script], { cwd: directory });
      assert.equal(code, 1);
      assert.match(output, pattern);
      assert.match(output, /code: 'ERR_ADDON'/);
    });
  }
});
