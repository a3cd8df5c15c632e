/** What runs a script on each platform from this machine: natively, or under an emulator of a processor or a system. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { PLATFORMS } from '../../addons/platforms.mjs';
import { debianFolder } from '../../setup/debian.mjs';
import { muslNode } from '../../setup/musl.mjs';
import { toolFolder } from '../../setup/tools.mjs';
import { WINE_ENVIRONMENT, windowsPath, wine } from '../wine.mjs';

const { node: NODES } = JSON.parse(readFileSync(new URL('../versions.json', import.meta.url), 'utf8'));

/** A Debian whose libraries a Node for another processor needs. */
const SUITE = 'trixie';
const LIBRARIES = ['libatomic1', 'libc6', 'libgcc-s1', 'libstdc++6'];

/** How a platform is reached from here; `undefined` where it can only be linked and inspected. */
export const UNDER = {
  'linux-x64-gnu': 'natively',
  'linux-x64-musl': 'natively, musl',
  'linux-arm64-gnu': 'qemu',
  'linux-arm64-musl': 'qemu, musl',
  'linux-arm-gnueabihf': 'qemu',
  'win32-x64-msvc': 'Wine',
};

/** The versions of Node that a platform is tried with. */
export const nodeVersions = (platform) => NODES[platform]?.versions ?? [];

/**
 * A runtime for the smoke test.
 *
 * @returns {import('../smoke/run.mjs').Runtime}
 */
export function runtimeFor(platform, version) {
  const { cpu } = PLATFORMS[platform].npm;
  switch (platform) {
    case 'linux-x64-gnu':
      return { command: [nodeOf(platform, version)] };
    case 'linux-x64-musl': {
      const { loader, node } = muslNode(version, cpu);
      return { command: [loader, node] };
    }
    case 'linux-arm64-musl': {
      const { loader, node } = muslNode(version, cpu);
      return { command: ['qemu-aarch64-static', loader, node] };
    }
    case 'linux-arm64-gnu':
      return { command: ['qemu-aarch64-static', '-L', libraries(cpu), nodeOf(platform, version)] };
    case 'linux-arm-gnueabihf':
      return { command: ['qemu-arm-static', '-L', libraries(cpu), nodeOf(platform, version)] };
    case 'win32-x64-msvc': {
      const command = [wine(), nodeOf(platform, version)];
      return { command, env: WINE_ENVIRONMENT, pathInside: windowsPath };
    }
    default:
      throw new Error(`${platform} can't be run here.`);
  }
}

const libraries = (cpu) => debianFolder(SUITE, cpu, LIBRARIES);

function nodeOf(platform, version) {
  const { os, cpu } = PLATFORMS[platform].npm;
  // npm takes a package for another machine only when it is told to.
  const options = [`--os=${os}`, `--cpu=${cpu}`, '--force'];
  const folder = toolFolder(NODES[platform].package, version, { options });
  return join(folder, 'bin', os === 'win32' ? 'node.exe' : 'node');
}
