/** Builds the addon of a platform into its package in `npm/`: with the system's own tools there, elsewhere with zig's. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

import { llvmTool } from '../setup/llvm-tools.mjs';
import { PYTHON, pythonTools } from '../setup/python.mjs';
import { requireTarget } from '../setup/rust-target.mjs';
import { ADDON_SOURCES, ROOT, fail, filesIn, isFresh, replace, run, step } from '../setup/steps.mjs';
import { addonFile, GLIBC, MACOS, PLATFORMS } from './platforms.mjs';

/** Where the addon of a platform lies once it is built. */
export const addonPath = (platform) => join(ROOT, 'npm', platform, addonFile(platform));

/**
 * Whether this machine has what links for the platform without zig: on macOS and Windows the linker of the system. On
 * Linux zig is used even for the machine's own kind: it has the symbols of every glibc, and the addon has to run on old ones.
 */
function isOwn({ npm }) {
  return process.platform !== 'linux' && npm.os === process.platform;
}

/**
 * Builds what is stale, two at a time: the last step of a build, which takes most of the time, has one thread.
 *
 * @param {readonly string[]} platforms
 */
export async function buildAddons(platforms) {
  const stale = platforms.filter((platform) => !isFresh(addonPath(platform), ADDON_SOURCES));
  if (stale.length === 0) return;
  for (const platform of stale) requireTarget(targetOf(PLATFORMS[platform]));
  if (stale.some((platform) => !isOwn(PLATFORMS[platform]))) pythonTools();
  // A platform always has the same lane: what the lane has compiled for it is there next time.
  const lanes = [0, 1].map((lane) => stale.filter((_, index) => index % 2 === lane));
  const built = lanes.map(async (lane, number) => {
    for (const platform of lane) await build(platform, join('target', 'cross', `lane-${number}`));
  });
  await Promise.all(built);
}

async function build(platform, directory) {
  const facts = PLATFORMS[platform];
  const target = targetOf(facts);
  step(`Building the engine for ${platform} (a minute or two the first time)`);
  const command = isOwn(facts) ? 'build' : 'zigbuild';
  const wanted = facts.npm.libc === 'glibc' ? `${target}.${GLIBC}` : target;
  const args = [command, '--release', '--lib', '--locked', '--quiet', '--target', wanted];
  const status = await cargo(args, environmentFor(facts, target, directory));
  if (status !== 0) fail(`"cargo ${args.join(' ')}" failed; its output is above.`);
  const out = join(directory, target, 'release');
  const library = ['libcompanion_segment.so', 'libcompanion_segment.dylib', 'companion_segment.dll']
    .map((name) => join(out, name))
    .find((path) => existsSync(path));
  mkdirSync(join('npm', platform), { recursive: true });
  replace(library, addonPath(platform));
}

function targetOf(facts) {
  return isOwn(facts) ? facts.target : (facts.targetElsewhere ?? facts.target);
}

function environmentFor({ npm }, target, directory) {
  const flags = remapped();
  // An addon is a shared library, and musl's Node brings the C library.
  if (npm.libc === 'musl') flags.push('-C', 'target-feature=-crt-static');
  if (process.platform === 'linux' && npm.os === 'darwin') flags.push(...macosLinker());
  if (target.endsWith('gnullvm')) flags.push('-C', `link-arg=${exportsOfWindows(npm.cpu)}`);
  const name = target.toUpperCase().replaceAll('-', '_');
  return {
    PATH: join(ROOT, PYTHON, 'bin') + delimiter + process.env.PATH,
    CARGO_TARGET_DIR: directory,
    [`CARGO_TARGET_${name}_RUSTFLAGS`]: flags.join(' '),
    MACOSX_DEPLOYMENT_TARGET: MACOS,
    // rustc looks for Apple's own, and says so at length when there is none.
    ...(npm.os === 'darwin' && !isOwn({ npm }) ? { SDKROOT: folderOf('macos') } : {}),
    LIBNODE_PATH: emptyNodeLibrary(),
    LLD: process.platform === 'linux' ? llvmTool('gcc-ld/ld64.lld') : '',
    SYSTEM_LIBRARY: folderOf('macos'),
  };
}

/** What a panic would name: the paths of whoever built it are nobody's business, and differ from machine to machine. */
function remapped() {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  return [`--remap-path-prefix=${ROOT}=segment`, `--remap-path-prefix=${cargoHome}=cargo`];
}

/** The linker that comes with Rust, and Apple's system library as zig describes it, in all its names. */
function macosLinker() {
  const source = join(ROOT, PYTHON, 'lib');
  const described = filesIn(source).find((path) => path.endsWith(join('darwin', 'libSystem.tbd')));
  // Rust's linker does not know Apple's latest processors, which need nothing of their own.
  const library = readFileSync(described, 'utf8').replaceAll(/,\s*arm64e\.x\d+-\w+/g, '');
  for (const name of ['System', 'c', 'm', 'iconv'])
    writeFileSync(join(folderOf('macos'), `lib${name}.tbd`), library);
  const linker = join(ROOT, 'scripts', 'addons', 'link-for-macos.mjs');
  return ['-C', `linker=${linker}`, '-C', 'linker-flavor=ld64.lld'];
}

/**
 * zig's linker for Windows exports every function of the engine, which keeps the third of it that nobody calls, unless an
 * object says what is to be exported.
 */
function exportsOfWindows(cpu) {
  const folder = folderOf('windows');
  const [source, object] = [join(folder, 'exports.c'), join(folder, `exports-${cpu}.o`)];
  writeFileSync(
    source,
    '__asm__(".section .drectve,\\"yn\\"\\n.ascii \\" -export:napi_register_module_v1\\"\\n");\n',
  );
  const target = `${cpu === 'x64' ? 'x86_64' : 'aarch64'}-windows-gnu`;
  run(join(PYTHON, 'bin', 'python'), ['-m', 'ziglang', 'cc', '-target', target, '-c', source, '-o', object]);
  return object;
}

/**
 * For Windows without Microsoft's tools, napi-build insists on a libnode to link with, though an addon looks up Node's
 * functions when it is loaded, by name, in whatever program has loaded it: an archive that holds nothing.
 */
function emptyNodeLibrary() {
  const folder = folderOf('node-library');
  for (const name of ['libnode.dll', 'libnode.a']) writeFileSync(join(folder, name), '!<arch>\n');
  return folder;
}

function folderOf(name) {
  const folder = join(ROOT, 'target', 'cross', name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function cargo(args, environment) {
  return new Promise((resolve, reject) => {
    // RUSTFLAGS of the caller's shell would take the place of those above.
    const { RUSTFLAGS: _, ...inherited } = process.env;
    const child = spawn('cargo', args, {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...inherited, ...environment },
    });
    child.once('error', reject);
    child.once('close', resolve);
  });
}
