/** Finds and loads the addon of this platform. The only file that does, and the only one that says what is wrong with it. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type * as Binding from '../index.js';
import { AnalyticsError } from './errors.js';
import { VERSION } from './version.js';

/** What the addon exports: `index.d.ts` is generated from its sources, but for what is written by hand there. */
export type Addon = typeof Binding & {
  /** Returns the event's sequence number from 1, or minus the number of the reason it was refused for. */
  readonly enqueue: (handle: number, text: string, flags: number) => number;
};

const HELP = 'https://github.com/companion/segment/blob/main/docs/TROUBLESHOOTING.md#the-addon';

/**
 * The published addons, by what Node calls a platform. The first that is installed is taken: a Node for Windows loads
 * what either of the two toolchains there has built.
 */
const ADDONS: Record<string, readonly string[]> = {
  'linux-x64-glibc': ['linux-x64-gnu'],
  'linux-x64-musl': ['linux-x64-musl'],
  'linux-arm64-glibc': ['linux-arm64-gnu'],
  'linux-arm64-musl': ['linux-arm64-musl'],
  'linux-arm-glibc': ['linux-arm-gnueabihf'],
  'darwin-x64': ['darwin-x64'],
  'darwin-arm64': ['darwin-arm64'],
  'win32-x64': ['win32-x64-msvc', 'win32-x64-gnu'],
  'win32-arm64': ['win32-arm64-msvc', 'win32-arm64-gnu'],
};

/**
 * Loads the addon of this platform.
 *
 * @throws AnalyticsError `ERR_ADDON` when there is none for this platform, when it is not installed, can't be loaded, or
 *   is of another version than this package
 */
export function loadAddon(): Addon {
  const platform = platformName();
  const names = ADDONS[platform];
  if (names === undefined) {
    const known = Object.values(ADDONS).map(([name]) => name);
    throw addonError(`There is no addon for ${platform}; there is one for ${known.join(', ')}`);
  }
  for (const name of names) {
    let addon: Addon;
    try {
      addon = requireAddon(name) as Addon;
    } catch (error) {
      if (isMissing(error, name)) continue;
      throw addonError(`${packageOf(name)} can't be loaded: ${textOf(error)}`, error);
    }
    checkVersion(addon, name);
    return addon;
  }
  throw addonError(`${packageOf(names[0] ?? platform)} is not installed${othersInstalled(names)}`);
}

/** Each name is written out, so that bundlers and tracers of files see which packages may be loaded. */
/* oxlint-disable typescript/no-require-imports */
function requireAddon(name: string): unknown {
  // Inside of `try`, bundlers take a package that is not installed for what it is: one for another platform.
  try {
    switch (name) {
      case 'linux-x64-gnu':
        return require('@companion/segment-linux-x64-gnu');
      case 'linux-x64-musl':
        return require('@companion/segment-linux-x64-musl');
      case 'linux-arm64-gnu':
        return require('@companion/segment-linux-arm64-gnu');
      case 'linux-arm64-musl':
        return require('@companion/segment-linux-arm64-musl');
      case 'linux-arm-gnueabihf':
        return require('@companion/segment-linux-arm-gnueabihf');
      case 'darwin-x64':
        return require('@companion/segment-darwin-x64');
      case 'darwin-arm64':
        return require('@companion/segment-darwin-arm64');
      case 'win32-x64-msvc':
        return require('@companion/segment-win32-x64-msvc');
      case 'win32-x64-gnu':
        return require('@companion/segment-win32-x64-gnu');
      case 'win32-arm64-msvc':
        return require('@companion/segment-win32-arm64-msvc');
      case 'win32-arm64-gnu':
        return require('@companion/segment-win32-arm64-gnu');
      default:
        throw new Error(`unknown addon ${name}`);
    }
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error));
  }
}
/* oxlint-enable typescript/no-require-imports */

/** The platform of this process: on Linux with the C library that it runs on. */
export function platformName(): string {
  const { platform, arch } = process;
  if (platform !== 'linux') return `${platform}-${arch}`;
  return `${platform}-${arch}-${runsOnMusl() ? 'musl' : 'glibc'}`;
}

/**
 * Node says nothing of its C library but in a report, which takes longer to write than all of this file. What is mapped
 * into the process is the truth in any case: a machine may have both.
 */
function runsOnMusl(): boolean {
  // Deno asks the user before it lets anybody read in /proc.
  if (process.versions['deno'] === undefined) {
    try {
      // By one of the names that distributions give it; glibc is libc.so.6.
      return /\/(?:ld-musl-.+|libc\.musl-.+|libc\.so)$/m.test(readFileSync('/proc/self/maps', 'latin1'));
    } catch {
      // A sandbox without /proc.
    }
  }
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header !== undefined && report.header.glibcVersionRuntime === undefined;
}

/** The package itself is missing, and not something that it needs. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  // Below the first line is who asked for it.
  const [said = ''] = String(message).split('\n', 1);
  return String(code).endsWith('MODULE_NOT_FOUND') && said.includes(packageOf(name));
}

function checkVersion(addon: Addon, name: string): void {
  const found = typeof addon.version === 'function' ? addon.version() : 'older';
  if (found === VERSION) return;
  throw addonError(
    `${packageOf(name)} is version ${found} and @companion/segment ${VERSION}: both have to be the same`,
  );
}

/** A folder of modules that was made on another system has the addon of that system. */
function othersInstalled(wanted: readonly string[]): string {
  const others = Object.values(ADDONS)
    .flat()
    .filter((name) => !wanted.includes(name) && isInstalled(name));
  if (others.length === 0) return '';
  return `, only ${others.map(packageOf).join(', ')} for another system`;
}

function isInstalled(name: string): boolean {
  try {
    // Not by this module's `require`: what is only looked for is not to be bundled. A bundle of ES modules has no name.
    createRequire(__filename).resolve(`${packageOf(name)}/package.json`);
    return true;
  } catch {
    return false;
  }
}

const packageOf = (name: string): string => `@companion/segment-${name}`;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function addonError(problem: string, cause?: unknown): AnalyticsError {
  // A bundle of ES modules does not know where it lies.
  const isCheckout = typeof __dirname === 'string' && existsSync(join(__dirname, '..', 'Cargo.toml'));
  const cure = isCheckout
    ? 'This is a checkout: run npm run setup.'
    : 'It comes as an optional dependency: install on the system that the program runs on, without --omit=optional, and ' +
      'if package-lock.json was made on another system, without it.';
  const error = new AnalyticsError('ERR_ADDON', `${problem}. ${cure} See ${HELP}`);
  if (cause !== undefined) Object.defineProperty(error, 'cause', { value: cause, configurable: true });
  return error;
}
