/** What stands in the way of publishing a folder of packages. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { addonFile, packageName, PLATFORMS } from '../addons/platforms.mjs';
import { fileIn, filesIn } from './packages.mjs';

const ROOT_NAME = '@companion/segment';
/** Beside the addon and the manifest. A part of the licences says that it has to be passed on. */
const WITH_EVERY_ADDON = ['LICENSE', 'THIRD-PARTY-NOTICES.txt', 'README.md'];
/** Crates that are in every addon: notices without them are those of something else. */
const NOTED_CRATES = ['tokio', 'rustls', 'ring', 'hyper'];
/** npm would use one of these instead of the trust that it has in the workflow. */
const TOKENS = ['NPM_TOKEN', 'NODE_AUTH_TOKEN'];

/**
 * @param {object} state
 * @param {string} state.version of package.json
 * @param {string} state.crateVersion of Cargo.toml
 * @param {string} state.changelog
 * @param {string[]} state.changes of files that are not committed
 * @param {NodeJS.ProcessEnv} state.env
 * @param {{ name: string, version: string, path: string, manifest: any }[]} state.packages
 * @returns {string[]} a line each; none when all is well
 */
export function obstacles({ version, crateVersion, changelog, changes, env, packages }) {
  const tokens = TOKENS.filter((name) => env[name] !== undefined && env[name] !== '');
  return [
    changes.length > 0 && `the working tree is not clean: ${changes.slice(0, 5).join(', ')}`,
    crateVersion !== version && `Cargo.toml is of version ${crateVersion}, package.json of ${version}`,
    !changelog.includes(`\n## [${version}]`) && `CHANGELOG.md has no heading "## [${version}] - <date>"`,
    tokens.length > 0 && `${tokens.join(' and ')} is set: npm would use it instead of trusted publishing`,
    ...missingPackages(packages),
    ...packages.flatMap((found) => faultsOfPackage(found, version)),
  ].filter((line) => line !== false);
}

function missingPackages(packages) {
  const names = packages.map(({ name }) => name);
  const wanted = [...Object.keys(PLATFORMS).map(packageName), ROOT_NAME];
  return [
    ...wanted.filter((name) => !names.includes(name)).map((name) => `${name} is not packed`),
    ...names.filter((name) => !wanted.includes(name)).map((name) => `${name} is no package of this project`),
    ...names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${name} is packed twice`),
  ];
}

/** What is wrong with one package. */
export function faultsOfPackage({ name, version: found, path, manifest }, version) {
  const faults = [
    found !== version && `is of version ${found}, not ${version}`,
    manifest.scripts !== undefined && 'has scripts, which would run where it is installed',
    manifest.publishConfig?.provenance !== true && 'asks for no provenance',
    manifest.repository?.url === undefined && 'names no repository',
    ...(name === ROOT_NAME ? faultsOfRoot(manifest, version) : faultsOfAddon(name, path, manifest, version)),
  ];
  return faults.filter((fault) => fault !== false).map((fault) => `${name} ${fault}`);
}

function faultsOfRoot({ optionalDependencies = {}, dependencies, workspaces }, version) {
  const wanted = Object.keys(PLATFORMS).map(packageName);
  const wrong = wanted.filter((name) => optionalDependencies[name] !== version);
  return [
    wrong.length > 0 && `does not ask for version ${version} of ${wrong.join(', ')}`,
    Object.keys(optionalDependencies).some((name) => !wanted.includes(name)) && 'asks for an unknown platform',
    dependencies !== undefined && 'has dependencies',
    workspaces !== undefined && 'has workspaces',
  ];
}

function faultsOfAddon(name, path, manifest, version) {
  const platform = name.slice(`${ROOT_NAME}-`.length);
  const expected = PLATFORMS[platform];
  if (expected === undefined) return [];
  const files = filesIn(path);
  const missing = [...WITH_EVERY_ADDON, addonFile(platform)].filter((file) => !files.includes(file));
  if (missing.length > 0) return [`lacks ${missing.join(', ')}`];
  const notices = fileIn(path, 'THIRD-PARTY-NOTICES.txt').toString();
  const unnoted = NOTED_CRATES.filter((crate) => !new RegExp(`^${crate} \\d`, 'm').test(notices));
  const { os, cpu, libc } = expected.npm;
  const fits = [manifest.os, manifest.cpu, manifest.libc].map(String).join() === [os, cpu, libc].map(String).join();
  return [
    unnoted.length > 0 && `has notices without ${unnoted.join(', ')}`,
    !fits && `is for ${[manifest.os, manifest.cpu, manifest.libc].join(' ')}, not ${[os, cpu, libc].join(' ')}`,
    !fileIn(path, addonFile(platform)).includes(`companion-segment/${version} `) &&
      `has an addon of another version than ${version}`,
  ];
}

/** What npm compares contents by. */
export function integrityOf(path) {
  return `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`;
}
