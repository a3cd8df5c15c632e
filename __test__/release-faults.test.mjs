/** A fault planted in each thing that a release looks at stops the release. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { addonPath } from '../scripts/addons/build.mjs';
import { faultsOf, inspect, MAX_BYTES } from '../scripts/addons/inspection.mjs';
import { committedFiles, rootManifest } from '../scripts/addons/manifests.mjs';
import { PLATFORMS, addonFile, packageName } from '../scripts/addons/platforms.mjs';
import { packAddon, packRoot, packagesIn, publishedManifest } from '../scripts/release/packages.mjs';
import { obstacles } from '../scripts/release/readiness.mjs';
import { builtAddon } from '../scripts/setup/addon.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { version } = rootManifest();
const HERE = 'linux-x64-gnu';

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'release-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe('an addon', () => {
  const sound = inspect(addonPath(HERE));
  const faults = (change, platform = HERE) => faultsOf(platform, { ...sound, ...change }, version);

  test('as it is built has no fault, on any platform that is built', () => {
    assert.deepEqual(faults({}), []);
    const musl = inspect(addonPath('linux-x64-musl'));
    assert.deepEqual(faultsOf('linux-x64-musl', musl, version), []);
    const arm = inspect(addonPath('linux-arm64-gnu'));
    assert.deepEqual(faultsOf('linux-arm64-gnu', arm, version), []);
  });

  test('that this machine linked for itself asks for its glibc, and is refused', () => {
    const own = inspect(builtAddon().path);
    assert.match(
      faultsOf(HERE, own, version).join('\n'),
      /^needs glibc 2\.(?:2[89]|[3-9]\d); 2\.17 is the limit$/m,
    );
  });

  test('of another processor or C library is refused', () => {
    const arm = faultsOf(HERE, inspect(addonPath('linux-arm64-gnu')), version);
    assert.deepEqual(arm, ['is elf64-littleaarch64, not elf64-x86-64']);
    const glibc = faultsOf('linux-x64-musl', sound, version);
    assert.match(
      glibc.join('\n'),
      /^needs ld-linux-x86-64\.so\.2, libc\.so\.6,.* which not every such machine has$/m,
    );
    const musl = faultsOf(HERE, inspect(addonPath('linux-x64-musl')), version);
    assert.deepEqual(musl, ['needs libc.so, which not every such machine has']);
  });

  for (const [what, change, pattern] of [
    ['asks for a newer glibc', { glibc: '2.18' }, /^needs glibc 2\.18; 2\.17 is the limit$/],
    ['asks for a newer macOS', { macos: '11.1' }, /^needs macOS 11\.1; 11\.0 is the limit$/],
    [
      'needs a library of somebody',
      { libraries: ['libc.so.6', 'libssl.so.3'] },
      /^needs libssl\.so\.3, which/,
    ],
    ['is too large', { bytes: MAX_BYTES + 1 }, /^has 6000001 bytes; 6000000 is the limit$/],
    ['has its symbols', { isStripped: false }, /^is not stripped$/],
    ['has no entrance', { hasEntrance: false }, /^has no napi_register_module_v1: Node can't load it$/],
    [
      'names who built it',
      { paths: ['/home/ada/src/main.rs'] },
      /^names paths of .*: \/home\/ada\/src\/main\.rs$/,
    ],
    ['is of another version', { version: '0.0.9' }, /^is of version 0\.0\.9, not /],
    ['is of no version', { version: undefined }, /^is of version unknown, not /],
  ]) {
    test(`that ${what} is refused`, () => {
      const found = faults(change);
      assert.equal(found.length, 1);
      assert.match(found[0], pattern);
    });
  }

  test('what is read is what is there', (t) => {
    const changed = join(folder(t), 'changed.node');
    const bytes = readFileSync(addonPath(HERE));
    writeFileSync(changed, Buffer.concat([bytes, Buffer.from('\0/home/ada/project/src/main.rs\0')]));
    assert.deepEqual(inspect(changed).paths, ['/home/ada/project/src/main.rs']);
    const other = bytes
      .toString('latin1')
      .replaceAll(`companion-segment/${version} `, 'companion-segment/0.0.9 ');
    writeFileSync(changed, other, 'latin1');
    assert.equal(inspect(changed).version, '0.0.9');
  });
});

describe('a release', () => {
  /** A folder with all packages; those of platforms that are not built here hold the bytes of one that is. */
  function packages(t, { without = [], change = () => {} } = {}) {
    const path = folder(t);
    for (const platform of Object.keys(PLATFORMS)) {
      if (!without.includes(platform)) packAddon(platform, addonPath(HERE), path);
    }
    packRoot(path);
    change(path);
    return packagesIn(path);
  }

  const state = (found, more = {}) => ({
    version,
    crateVersion: version,
    changelog: `# Changelog\n\n## [${version}] - 2026-12-01\n`,
    changes: [],
    env: {},
    packages: found,
    ...more,
  });

  /** Packs a platform's package anew after something was changed in it. */
  function repack(path, platform, change) {
    const tarball = packagesIn(path).find(({ name }) => name === packageName(platform)).path;
    const unpacked = join(path, 'unpacked');
    mkdirSync(unpacked);
    execFileSync('tar', ['-xzf', tarball, '-C', unpacked]);
    change(join(unpacked, 'package'));
    execFileSync('tar', ['-czf', tarball, '-C', unpacked, 'package']);
    rmSync(unpacked, { recursive: true });
  }
  const edited = (edit) => (directory) => {
    const path = join(directory, 'package.json');
    writeFileSync(path, JSON.stringify(edit(JSON.parse(readFileSync(path, 'utf8')))));
  };

  test('of sound packages has nothing in its way', (t) => {
    assert.deepEqual(obstacles(state(packages(t))), []);
  });

  test('is stopped by what surrounds it', (t) => {
    const sound = packages(t);
    for (const [more, pattern] of [
      [{ changes: [' M README.md'] }, /^the working tree is not clean: +M README\.md$/],
      [{ changelog: '## [Unreleased]\n' }, /^CHANGELOG\.md has no heading/],
      [{ crateVersion: '0.0.9' }, /^Cargo\.toml is of version 0\.0\.9/],
      [{ env: { NPM_TOKEN: 'x' } }, /^NPM_TOKEN is set/],
      [{ env: { NODE_AUTH_TOKEN: 'x' } }, /^NODE_AUTH_TOKEN is set/],
    ]) {
      const found = obstacles(state(sound, more));
      assert.equal(found.length, 1);
      assert.match(found[0], pattern);
    }
  });

  test('is stopped by a platform without its package', (t) => {
    assert.deepEqual(obstacles(state(packages(t, { without: ['darwin-arm64'] }))), [
      '@companion/segment-darwin-arm64 is not packed',
    ]);
  });

  for (const [what, change, pattern] of [
    [
      'without notices',
      (directory) => rmSync(join(directory, 'THIRD-PARTY-NOTICES.txt')),
      /lacks THIRD-PARTY-NOTICES\.txt$/,
    ],
    [
      'with notices of something else',
      (directory) => writeFileSync(join(directory, 'THIRD-PARTY-NOTICES.txt'), 'none'),
      /has notices without tokio, rustls, ring, hyper$/,
    ],
    ['without a licence', (directory) => rmSync(join(directory, 'LICENSE')), /lacks LICENSE$/],
    [
      'without its addon',
      (directory) => rmSync(join(directory, addonFile('linux-x64-musl'))),
      /lacks companion-/,
    ],
    [
      'with an addon of another version',
      (directory) => {
        const path = join(directory, addonFile('linux-x64-musl'));
        const text = readFileSync(path, 'latin1');
        writeFileSync(
          path,
          text.replaceAll(`companion-segment/${version} `, 'companion-segment/0.0.9 '),
          'latin1',
        );
      },
      /has an addon of another version than /,
    ],
    [
      'of another version',
      edited((manifest) => ({ ...manifest, version: '0.0.9' })),
      /is of version 0\.0\.9, not /,
    ],
    [
      'for another system',
      edited((manifest) => ({ ...manifest, libc: ['glibc'] })),
      /is for linux x64 glibc, not /,
    ],
    ['with scripts', edited((manifest) => ({ ...manifest, scripts: { install: 'true' } })), /has scripts/],
    [
      'without provenance',
      edited((manifest) => ({ ...manifest, publishConfig: {} })),
      /asks for no provenance$/,
    ],
  ]) {
    test(`is stopped by a package ${what}`, (t) => {
      const found = packages(t, { change: (path) => repack(path, 'linux-x64-musl', change) });
      const problems = obstacles(state(found));
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0], /^@companion\/segment-linux-x64-musl /);
      assert.match(problems[0], pattern);
    });
  }

  test('of a dirty tree ends with 1, and publishes nothing', (t) => {
    const clone = join(folder(t), 'clone');
    execFileSync('git', ['clone', '--quiet', '--shared', ROOT, clone]);
    symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
    // As it is here, committed or not; then one file more.
    cpSync(join(ROOT, 'scripts'), join(clone, 'scripts'), { recursive: true });
    writeFileSync(join(clone, 'litter.txt'), '');
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/release.mjs'], {
      cwd: clone,
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /^release: the working tree is not clean: .*litter\.txt/m);
    assert.match(stderr, /^release: @companion\/segment is not packed$/m);
    assert.equal(stdout, '');
  });
});

test('the published root asks for exactly the platforms that there are packages for', () => {
  const { optionalDependencies, ...manifest } = publishedManifest();
  assert.deepEqual(
    Object.keys(optionalDependencies).toSorted(),
    Object.keys(PLATFORMS).map(packageName).toSorted(),
  );
  assert.deepEqual(new Set(Object.values(optionalDependencies)), new Set([version]));
  for (const name of ['scripts', 'workspaces', 'devDependencies', 'dependencies', 'napi']) {
    assert.equal(manifest[name], undefined, name);
  }
  for (const path of Object.values(manifest.bin)) assert.doesNotMatch(path, /^\./);
});

test('what is committed in npm/ follows from the table of platforms', () => {
  for (const platform of Object.keys(PLATFORMS)) {
    for (const [name, text] of Object.entries(committedFiles(platform))) {
      assert.equal(readFileSync(join(ROOT, 'npm', platform, name), 'utf8'), text, `npm/${platform}/${name}`);
    }
  }
});
