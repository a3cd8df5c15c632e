/** Finds the addon of an architecture, which need not be that of this machine, and makes sure that Lambda can load it. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { machineOf, neededVersions } from './elf.js';

/** Architectures of Lambda that there is an addon for, by Lambda's names. */
export const ARCHITECTURES = ['x86_64', 'arm64'] as const;

export type LambdaArchitecture = (typeof ARCHITECTURES)[number];

/** What stands in the way of a bundle, in one line for whoever builds it. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** Node's names. */
const CPU = { x86_64: 'x64', arm64: 'arm64' } as const;

/** Of Amazon Linux 2023, where the runtimes nodejs20.x and later live. */
const LAMBDA_GLIBC = [2, 34] as const;

const PACKAGE = '@companion/segment';

/** The name of the addon's file, in the package and beside the bundle. */
export function addonFileName(architecture: LambdaArchitecture): string {
  return `companion-segment.linux-${CPU[architecture]}-gnu.node`;
}

/**
 * The folder of the package `@companion/segment`, as a module sees it.
 *
 * @throws BundleError it is not there
 */
export function packageRootFrom(module: string): string {
  let manifest: string;
  try {
    manifest = createRequire(module).resolve(`${PACKAGE}/package.json`);
  } catch {
    throw new BundleError(`${PACKAGE} is not installed for ${module}.`);
  }
  return realpathSync(dirname(manifest));
}

/**
 * The path of the addon for an architecture.
 *
 * @param packageRoot folder of `@companion/segment`
 * @throws BundleError there is none, or Lambda can't load it
 */
export function findAddon(packageRoot: string, architecture: LambdaArchitecture): string {
  const path = placesOf(packageRoot, architecture).find((place) => existsSync(place));
  if (path === undefined) {
    throw new BundleError(`The addon for ${architecture} is missing. ${cure(packageRoot, architecture)}`);
  }
  checkAddon(path, packageRoot, architecture);
  return path;
}

/** @throws BundleError it is for another architecture, needs a newer glibc than Lambda has, or is another version's */
export function checkAddon(path: string, packageRoot: string, architecture: LambdaArchitecture): void {
  const library = readFileSync(path);
  const machine = machineOf(library);
  if (machine !== architecture) {
    const what = machine === undefined ? 'no shared library of Linux' : `for ${machine}`;
    throw new BundleError(`${path} is ${what}; the function is for ${architecture}.`);
  }
  const how = cure(packageRoot, architecture);
  const tooNew = neededVersions(library).find(isNewerThanLambda);
  if (tooNew !== undefined) {
    throw new BundleError(`${path} needs ${tooNew}, and Lambda has ${LAMBDA_GLIBC.join('.')}. ${how}`);
  }
  const version = versionOf(packageRoot);
  // The addon says its name and version with every request.
  if (!library.includes(`companion-segment/${version}`)) {
    throw new BundleError(`${path} is of another version than ${PACKAGE} ${version}. ${how}`);
  }
}

/** In a checkout, what is built against an old glibc; else the installed package. */
function placesOf(packageRoot: string, architecture: LambdaArchitecture): string[] {
  const built = join(packageRoot, 'npm', `linux-${CPU[architecture]}-gnu`, addonFileName(architecture));
  try {
    return [built, createRequire(join(packageRoot, 'package.json')).resolve(packageOf(architecture))];
  } catch {
    return [built];
  }
}

function isNewerThanLambda(version: string): boolean {
  const [, major, minor] = /^GLIBC_(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) return false;
  const [lambdaMajor, lambdaMinor] = LAMBDA_GLIBC;
  return Number(major) > lambdaMajor || (Number(major) === lambdaMajor && Number(minor) > lambdaMinor);
}

/** A checkout builds it; npm leaves out what is for another machine, unless it is forced to. */
function cure(packageRoot: string, architecture: LambdaArchitecture): string {
  if (existsSync(join(packageRoot, 'Cargo.toml'))) return 'Run: npm run build:lambda';
  return `Run: npm install --no-save --force ${packageOf(architecture)}@${versionOf(packageRoot)}`;
}

function versionOf(packageRoot: string): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** The package of the addon. */
export function packageOf(architecture: LambdaArchitecture): string {
  return `${PACKAGE}-linux-${CPU[architecture]}-gnu`;
}
