/**
 * npm run release:check: everything that a release promises and this machine can see. Builds, inspects, packs and publishes
 * all packages to a registry on loopback, installs them from there with every package manager, and runs them wherever they
 * can be run from here. Exits with 1 when anything fails.
 *
 *   --only part   this part only; may be repeated
 *   --list        says which parts there are
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { addonPath, buildAddons } from './addons/build.mjs';
import { faultsOf, inspect } from './addons/inspection.mjs';
import { rootManifest } from './addons/manifests.mjs';
import { PLATFORMS } from './addons/platforms.mjs';
import { checkTarball } from './lint/tarball.mjs';
import { checkManagers } from './release/check/managers.mjs';
import { checkOldSystems } from './release/check/old-systems.mjs';
import { checkPlatforms } from './release/check/platforms.mjs';
import { checkPrograms } from './release/check/programs.mjs';
import { Report } from './release/check/report.mjs';
import { checkWindows } from './release/check/windows.mjs';
import { PACKAGES, packagesIn, packAddon, packRoot } from './release/packages.mjs';
import { faultsOfPackage } from './release/readiness.mjs';
import { readmeWithTable } from './release/platform-table.mjs';
import { publishAll, startRegistry } from './release/registry.mjs';
import { fail } from './setup/steps.mjs';
import { run } from './test-nest/program.mjs';

/** What has to be on the machine, and how to get it on Debian. */
const PROGRAMS = {
  'qemu-aarch64-static': 'apt-get install qemu-user-static',
  'qemu-arm-static': 'apt-get install qemu-user-static',
  'apt-get': 'run it on Debian',
  dpkg: 'run it on Debian',
  '/usr/lib/wine/wine64': 'apt-get install wine64',
};

const report = new Report();
const { version } = rootManifest();
let registry;

/** In this order: each part uses what those before it have made. */
const PARTS = {
  async build() {
    const platforms = Object.keys(PLATFORMS);
    await report.check('build', platforms.join(', '), () => buildAddons(platforms));
  },
  async inspect() {
    for (const platform of Object.keys(PLATFORMS)) {
      await report.check('inspection', platform, () => {
        const facts = inspect(addonPath(platform));
        const faults = faultsOf(platform, facts, version);
        if (faults.length > 0) throw new Error(faults.join('\n'));
        const asks =
          facts.glibc === undefined ? facts.macos && `macOS ${facts.macos}` : `glibc ${facts.glibc}`;
        return [facts.format, `${facts.bytes} B`, asks, facts.libraries.join(' ')].filter(Boolean).join(', ');
      });
    }
  },
  async pack() {
    await report.check('packages', 'packed, each with notices and licence', () => {
      rmSync(PACKAGES, { recursive: true, force: true });
      for (const platform of Object.keys(PLATFORMS)) packAddon(platform, addonPath(platform), PACKAGES);
      packRoot(PACKAGES);
      const faults = packagesIn(PACKAGES).flatMap((found) => faultsOfPackage(found, version));
      if (faults.length > 0) throw new Error(faults.join('\n'));
      return `${packagesIn(PACKAGES).length} packages`;
    });
  },
  async served() {
    await report.check('packages', 'publint and attw on what the registry serves', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'served-'));
      try {
        const options = ['--registry', registry.url, '--pack-destination', folder, '--silent'];
        const name = (await run('npm', ['pack', '@companion/segment', ...options], { cwd: folder })).trim();
        await checkTarball(join(folder, name));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  },
  managers: () => checkManagers(registry.url, report.tell),
  platforms: () => checkPlatforms(registry.url, report.tell),
  programs: () => checkPrograms(registry.url, report),
  'old-systems': () => checkOldSystems(registry.url, report),
  windows: () => checkWindows(report),
  async bundlers() {
    await report.check('bundlers', 'npm run test:bundlers', async () => {
      const output = await run('npm', ['run', '--silent', 'test:bundlers'], { cwd: process.cwd() });
      console.log(output.replaceAll(/^/gm, '        '));
    });
  },
};

/** Those that install from the registry. */
const FROM_REGISTRY = new Set(['served', 'managers', 'platforms', 'programs', 'old-systems']);

const { values } = parseArgs({
  options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' } },
});
const wanted = values.only ?? Object.keys(PARTS);
const unknown = wanted.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) fail(`No such part: ${unknown.join(', ')}. See --list.`);
if (values.list === true) console.log(Object.keys(PARTS).join('\n'));
else await check();

async function check() {
  requirePrograms();
  const started = performance.now();
  for (const [name, part] of Object.entries(PARTS)) {
    if (!wanted.includes(name)) continue;
    if (FROM_REGISTRY.has(name) && registry === undefined) await openRegistry();
    await part();
  }
  await registry?.close();
  const failed = report.rows.filter(({ passed }) => !passed).length;
  const minutes = ((performance.now() - started) / 60_000).toFixed(1);
  console.log(`\n${report.rows.length - failed} passed, ${failed} failed in ${minutes} minutes`);
  report.save(version, values.only === undefined);
  writeFileSync('README.md', readmeWithTable());
  process.exitCode = report.passed ? 0 : 1;
}

async function openRegistry() {
  registry = await startRegistry();
  await report.check('packages', 'published to a registry on loopback, platforms first', () =>
    publishAll(registry.url, PACKAGES),
  );
}

function requirePrograms() {
  const missing = Object.entries(PROGRAMS).filter(([program]) =>
    program.startsWith('/') ? !existsSync(program) : spawnSync(program, ['--version']).error !== undefined,
  );
  for (const [program, cure] of missing) console.error(`release:check needs ${program}: ${cure}`);
  if (missing.length > 0) process.exit(1);
  mkdirSync(PACKAGES, { recursive: true });
}
