/**
 * What a command needs of a machine, in one table. It is looked for before anything is installed or built, and all that
 * is missing is told at once: a line for each, with the command that cures it.
 *
 *   node scripts/setup/prerequisites.mjs test                  tells what `npm test` lacks here
 *   node scripts/setup/prerequisites.mjs --debian test lint    the Debian packages that both lack, for scripts
 *
 * This file and steps.mjs keep to what Node 14 knows: a Node that is too old has to get as far as being told so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ROOT, isOlder } from './steps.mjs';

/** What `checkPrerequisites` is asked for. All build the addon of this machine; three do nothing else. */
const ALL = ['build', 'demo', 'chaos', 'aws', 'bench', 'lint', 'test', 'release'];
/** Addons for other platforms: zig links them, which comes from PyPI, against targets that rustup adds. */
const CROSS = ['aws', 'bench', 'test', 'release'];

const textOf = (name) => readFileSync(join(ROOT, name), 'utf8');

/** package.json and Cargo.toml say it to npm and cargo; npm run test:bare runs with these. */
export const OLDEST = {
  node: JSON.parse(textOf('package.json')).engines.node.replace('>=', ''),
  // That of the oldest Node. 9.2 packs workspaces instead of linking them, and fails on some overrides.
  npm: '10.8',
  rust: /^rust-version = "(.+)"$/m.exec(textOf('Cargo.toml'))[1],
  python: '3.11',
};
/** A package of scripts/setup/requirements.txt wants an older one. */
const TOO_NEW_PYTHON = '3.15';

const NOT_FOUND = 'it was not found';

/**
 * The machine that is looked at; tests look at others.
 *
 * @typedef {{ node: string, platform: string, arch: string, root: string, env: Record<string, string | undefined> }} Machine
 * @type {Machine}
 */
export const HERE = {
  node: process.versions.node,
  platform: process.platform,
  arch: process.arch,
  root: '/',
  env: process.env,
};

/**
 * `problem` says what is wrong, and nothing if all is well. `cure` is the way out if `debian` names no packages, and
 * for everybody else if it does; `update` the one for what is there and too old.
 *
 * @typedef {{
 *   name: string,
 *   what: string,
 *   commands: string[],
 *   problem: (machine: Machine) => string | undefined,
 *   debian?: string[],
 *   cure: string,
 *   update?: string,
 * }} Prerequisite
 * @type {Prerequisite[]}
 */
export const PREREQUISITES = [
  {
    name: 'node',
    what: `Node ${OLDEST.node} or newer`,
    commands: ALL,
    problem: ({ node }) => versionProblem(node, OLDEST.node),
    cure: 'Install it from https://nodejs.org (with nvm: nvm install 24)',
  },
  {
    name: 'npm',
    what: `npm ${OLDEST.npm} or newer`,
    commands: ALL,
    problem: (machine) => versionProblem(versionOf('npm', ['--version'], machine), OLDEST.npm),
    cure: 'It comes with Node: install that from https://nodejs.org',
    update: 'Run: npm install --global npm@10',
  },
  {
    name: 'rust',
    what: `Rust ${OLDEST.rust} or newer (cargo and rustc)`,
    commands: ALL,
    problem: rustProblem,
    cure: 'Run: curl -sSf https://sh.rustup.rs | sh, and open a new shell',
    update: 'Run: rustup update stable',
  },
  {
    name: 'c-compiler',
    what: 'A C compiler that links programs (cc)',
    commands: ALL,
    problem: linkProblem,
    debian: ['gcc', 'libc6-dev'],
    cure: 'Fedora: dnf install gcc glibc-devel; macOS: xcode-select --install',
  },
  {
    name: 'certificates',
    what: 'A list of certificate authorities, which cargo trusts,',
    commands: ALL,
    problem: certificatesProblem,
    debian: ['ca-certificates'],
    cure: 'Fedora: dnf install ca-certificates',
  },
  {
    name: 'rustup',
    what: 'rustup (it adds targets and tools to the Rust in use)',
    commands: [...CROSS, 'lint'],
    problem: rustupProblem,
    cure: 'Run: curl -sSf https://sh.rustup.rs | sh, and open a new shell',
  },
  {
    name: 'rust-checks',
    what: 'Rust with rustfmt and clippy',
    commands: ['lint'],
    problem: rustChecksProblem,
    cure: 'Run: rustup component add rustfmt clippy',
  },
  {
    name: 'git',
    what: 'git',
    commands: ['lint', 'release', 'test'],
    problem: (machine) => (isThere('git', ['--version'], machine) ? undefined : NOT_FOUND),
    debian: ['git'],
    cure: 'Fedora: dnf install git; macOS: xcode-select --install',
  },
  {
    name: 'python',
    what: `Python ${OLDEST.python} or newer, before ${TOO_NEW_PYTHON}, with venv and ensurepip (python3)`,
    commands: CROSS,
    problem: pythonProblem,
    debian: ['python3', 'python3-venv'],
    cure: 'Fedora: dnf install python3; macOS: brew install python@3.13',
    update: 'Install one of these from https://www.python.org and put it first on the PATH as python3',
  },
  {
    name: 'musl',
    what: 'The loader of musl, which runs the Node of Alpine,',
    commands: ['test', 'release'],
    problem: ({ platform, arch, root }) =>
      platform !== 'linux' || arch !== 'x64' || existsSync(join(root, 'lib', 'ld-musl-x86_64.so.1'))
        ? undefined
        : NOT_FOUND,
    debian: ['musl'],
    cure: 'Fedora: dnf install musl-libc',
  },
  {
    name: 'debian',
    what: 'Debian (apt-get and dpkg)',
    commands: ['release'],
    problem: (machine) =>
      ['apt-get', 'dpkg'].every((name) => isThere(name, ['--version'], machine)) ? undefined : NOT_FOUND,
    cure: 'Run it there',
  },
  {
    name: 'qemu',
    what: 'QEMU for programs of Linux on ARM (qemu-aarch64-static, qemu-arm-static)',
    commands: ['release'],
    problem: (machine) =>
      ['aarch64', 'arm'].every((cpu) => isThere(`qemu-${cpu}-static`, ['--version'], machine))
        ? undefined
        : NOT_FOUND,
    debian: ['qemu-user-static'],
    cure: 'Fedora: dnf install qemu-user-static',
  },
  {
    name: 'wine',
    what: 'Wine (wine64)',
    commands: ['release'],
    problem: ({ root }) =>
      ['usr/lib/wine/wine64', 'usr/bin/wine64', 'usr/bin/wine'].some((path) => existsSync(join(root, path)))
        ? undefined
        : NOT_FOUND,
    debian: ['wine64'],
    cure: 'Fedora: dnf install wine',
  },
];

/** Ends the process if anything is missing that `npm run <command>` needs. */
export const checkPrerequisites = (command) => endIfAny(missingFor(command));

/** Ends the process if this one is missing. For what not every way of a command needs. */
export const requirePrerequisite = (wanted) =>
  endIfAny(
    missingOf(
      PREREQUISITES.filter(({ name }) => name === wanted),
      HERE,
    ),
  );

function endIfAny(missing) {
  for (const { line } of missing) console.error(`setup: ${line}`);
  if (missing.length > 0) process.exit(1);
}

/** What is missing, in the order of the table. */
export function missingFor(command, machine = HERE) {
  return missingOf(neededFor(command), machine);
}

function missingOf(prerequisites, machine) {
  return prerequisites.flatMap((prerequisite) => {
    const problem = prerequisite.problem(machine);
    return problem === undefined ? [] : [{ ...prerequisite, line: lineOf(prerequisite, problem) }];
  });
}

export function neededFor(command) {
  if (!ALL.includes(command)) throw new Error(`There is no "${command}". Commands: ${ALL.join(', ')}`);
  return PREREQUISITES.filter(({ commands }) => commands.includes(command));
}

function lineOf({ what, debian, cure, update }, problem) {
  const isOld = problem !== NOT_FOUND && update !== undefined;
  const others = debian === undefined ? cure : `On Debian: apt-get install ${debian.join(' ')}. ${cure}`;
  return `${what} is needed; ${problem}. ${isOld ? update : others}.`;
}

function rustProblem(machine) {
  if (!isThere('cargo', ['--version'], machine)) return NOT_FOUND;
  return versionProblem(versionOf('rustc', ['--version'], machine), OLDEST.rust);
}

/** rustup has programs of these names in any case; they only answer if the component is there. */
function rustChecksProblem(machine) {
  const areThere = ['rustfmt', 'cargo-clippy'].every((name) => isThere(name, ['--version'], machine));
  return areThere ? undefined : NOT_FOUND;
}

/**
 * Rust links with `cc` and builds C with it. Debian's gcc goes without headers and start files of libc if nobody asks
 * for them, so only a program that is there in the end proves it. Rust for Windows finds Microsoft's compiler by itself.
 */
function linkProblem(machine) {
  if (machine.platform === 'win32') return undefined;
  if (!isThere('cc', ['--version'], machine)) return NOT_FOUND;
  const directory = mkdtempSync(join(tmpdir(), 'companion-segment-'));
  try {
    const source = '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n';
    const args = ['-x', 'c', '-', '-o', join(directory, 'program')];
    return isThere('cc', args, machine, source) ? undefined : 'cc is there and cannot make one';
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Where the systems have their list; cargo's TLS looks in these places. */
const CERTIFICATES = [
  'etc/ssl/certs/ca-certificates.crt',
  'etc/pki/tls/certs/ca-bundle.crt',
  'etc/ssl/ca-bundle.pem',
  'etc/ssl/cert.pem',
  'etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
];

function certificatesProblem({ platform, root, env }) {
  if (platform !== 'linux') return undefined;
  const own = env.SSL_CERT_FILE === undefined ? [] : [env.SSL_CERT_FILE];
  const places = own.concat(CERTIFICATES).map((path) => join(root, path));
  return places.some((path) => existsSync(path)) ? undefined : NOT_FOUND;
}

/** A rustup beside a Rust from elsewhere adds its targets to another Rust than the one that builds. */
function rustupProblem(machine) {
  const ofRustup = outputOf('rustup', ['which', 'rustc'], machine);
  if (ofRustup === undefined) return NOT_FOUND;
  const inUse = outputOf('rustc', ['--print', 'sysroot'], machine);
  const isItsOwn = inUse !== undefined && dirname(dirname(realpathSync(ofRustup))) === realpathSync(inUse);
  return isItsOwn ? undefined : 'the rustc in use is not from it';
}

/** Debian's python3 has venv without ensurepip, which puts pip into it: that is in a package of its own. */
function pythonProblem(machine) {
  const program = 'import ensurepip, platform, venv; print(platform.python_version())';
  const version = versionOf('python3', ['-c', program], machine);
  const isNew = version !== undefined && !isOlder(version, numbers(TOO_NEW_PYTHON));
  return isNew ? `this is ${version}` : versionProblem(version, OLDEST.python);
}

function versionProblem(version, oldest) {
  if (version === undefined) return NOT_FOUND;
  return isOlder(version, numbers(oldest)) ? `this is ${version}` : undefined;
}

const numbers = (version) => version.split('.').map(Number);

/** Undefined if the program is missing or does not know. */
function versionOf(program, args, machine) {
  const [version] = /\d+\.\d+(\.\d+)?/.exec(outputOf(program, args, machine) || '') || [];
  return version;
}

const isThere = (program, args, machine, input) => outputOf(program, args, machine, input) !== undefined;

/** What a program prints, and undefined if it fails. npm is a script on Windows, which only a shell can start. */
function outputOf(program, args, { env, platform }, input = '') {
  const options = { encoding: 'utf8', env, input, shell: platform === 'win32' && program === 'npm' };
  const { status, stdout } = spawnSync(program, args, options);
  return status === 0 ? stdout.trim() : undefined;
}

/** In one line; an empty one if all is there. */
function debianPackages(commands) {
  const packages = commands.flatMap((command) => missingFor(command)).flatMap(({ debian = [] }) => debian);
  return Array.from(new Set(packages)).join(' ');
}

function main(args) {
  if (args[0] === '--debian') console.log(debianPackages(args.slice(1)));
  else args.forEach((command) => checkPrerequisites(command));
}

const [, program, ...given] = process.argv;
if (program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url)) main(given);
