/** What the package says when it can't load its addon. Each case is an installation of its own. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { PLATFORMS } from '../scripts/addons/platforms.mjs';
import { outcome } from '../scripts/test-nest/program.mjs';
import { builtAddon } from '../scripts/setup/addon.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const HERE = builtAddon().platform;

/** @param {Record<string, Record<string, string>>} addons name of a platform to files beside its package.json */
function install(t, addons) {
  const directory = mkdtempSync(join(tmpdir(), 'addon-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const scope = join(directory, 'node_modules', '@companion');
  for (const name of ['dist', 'package.json']) {
    cpSync(join(ROOT, name), join(scope, 'segment', name), { recursive: true });
  }
  for (const [platform, files] of Object.entries(addons)) {
    const folder = join(scope, `segment-${platform}`);
    mkdirSync(folder, { recursive: true });
    const [main] = Object.keys(files);
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: `@companion/segment-${platform}`, main }),
    );
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  }
  return directory;
}

/** Loads the package, perhaps as if on another machine. */
async function load(directory, machine = {}) {
  const pretend = Object.entries(machine).map(
    ([name, value]) => `Object.defineProperty(process, '${name}', { value: ${JSON.stringify(value)} });`,
  );
  const script = `${pretend.join('')}
    try { require('@companion/segment'); console.log('loaded'); }
    catch ({ code, name, message, cause }) { console.log(JSON.stringify({ code, name, message, cause: cause?.message })); }`;
  const { output } = await outcome(process.execPath, ['-e', script], { cwd: directory });
  return output.trim() === 'loaded' ? 'loaded' : JSON.parse(output);
}

test('the addon of this version loads', async (t) => {
  const directory = install(t, { [HERE]: { 'addon.node': readFileSync(builtAddon().path) } });
  assert.equal(await load(directory), 'loaded');
});

for (const [what, source, found] of [
  ['of another version', "exports.version = () => '0.0.9';", '0.0.9'],
  ['of before addons told their version', 'exports.enqueue = () => 1;', 'older'],
]) {
  test(`an addon ${what} is refused`, async (t) => {
    const { code, name, message } = await load(install(t, { [HERE]: { 'addon.js': source } }));
    assert.deepEqual([code, name], ['ERR_ADDON', 'AnalyticsError']);
    assert.ok(
      message.startsWith(
        `@companion/segment-${HERE} is version ${found} and @companion/segment ${version}: both have to be the same.`,
      ),
      message,
    );
  });
}

test('one that the system does not load is told with what the system says', async (t) => {
  const { code, message, cause } = await load(install(t, { [HERE]: { 'addon.node': 'not a library' } }));
  assert.equal(code, 'ERR_ADDON');
  assert.ok(message.startsWith(`@companion/segment-${HERE} can't be loaded: ${cause}`), message);
});

test('one whose own requirements are missing is not called missing itself', async (t) => {
  const addon = { 'addon.js': "require('a-library-that-is-not-there');" };
  const { message } = await load(install(t, { [HERE]: addon }));
  assert.match(message, /can't be loaded: Cannot find module 'a-library-that-is-not-there'/);
});

test('none is told with what there is instead, and what to do', async (t) => {
  const { code, message } = await load(install(t, {}));
  assert.equal(code, 'ERR_ADDON');
  assert.match(
    message,
    new RegExp(`^@companion/segment-${HERE} is not installed\\. .*without --omit=optional`),
  );
  const others = install(t, { 'darwin-arm64': { 'addon.js': '' }, 'win32-x64-msvc': { 'addon.js': '' } });
  assert.match(
    (await load(others)).message,
    /is not installed, only @companion\/segment-darwin-arm64, @companion\/segment-win32-x64-msvc for another system\. /,
  );
});

test('a machine that there is none for is told which there are', async (t) => {
  const { code, message } = await load(install(t, {}), { platform: 'freebsd', arch: 'riscv64' });
  assert.equal(code, 'ERR_ADDON');
  assert.match(
    message,
    /^There is no addon for freebsd-riscv64; there is one for linux-x64-gnu, linux-x64-musl, /,
  );
});

test('Windows takes what either of its toolchains has built', async (t) => {
  const addon = { 'addon.js': `exports.version = () => '${version}'; exports.NativeClient = class {};` };
  for (const name of ['win32-x64-msvc', 'win32-x64-gnu']) {
    assert.equal(await load(install(t, { [name]: addon }), { platform: 'win32', arch: 'x64' }), 'loaded');
  }
});

test('the loader and the table of platforms name the same packages', () => {
  const loader = readFileSync(join(ROOT, 'ts', 'addon.ts'), 'utf8');
  const required = Array.from(
    loader.matchAll(/require\('@companion\/segment-([\w-]+)'\)/g),
    ([, name]) => name,
  );
  const unpublished = ['win32-x64-gnu', 'win32-arm64-gnu'];
  assert.deepEqual(required.toSorted(), [...Object.keys(PLATFORMS), ...unpublished].toSorted());
  for (const platform of required) assert.ok(loader.includes(`'${platform}'`), platform);
});
