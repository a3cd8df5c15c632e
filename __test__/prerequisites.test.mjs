/** What a command needs is looked for before anything is installed, and what is missing is told at once. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';

import { HERE, OLDEST, PREREQUISITES, missingFor, neededFor } from '../scripts/setup/prerequisites.mjs';
import { ROOT } from '../scripts/setup/steps.mjs';
import { debianPackages } from '../scripts/test-bare/contents.mjs';
import { runsWithout } from '../scripts/test-bare/runs.mjs';

const COMMANDS = ['build', 'demo', 'chaos', 'aws', 'bench', 'lint', 'test', 'release'];
const SCRATCH = mkdtempSync(join(tmpdir(), 'companion-segment-'));
after(() => rmSync(SCRATCH, { recursive: true }));

const SYSROOT = join(SCRATCH, 'rust');
const OTHER_SYSROOT = join(SCRATCH, 'other-rust');
for (const sysroot of [SYSROOT, OTHER_SYSROOT]) put(join(sysroot, 'bin', 'rustc'), '');

const rustc = (version, sysroot = SYSROOT) =>
  `case "$1" in --print) echo ${sysroot};; *) echo "rustc ${version} (59807616e 2026-04-14)";; esac`;

/** Shell scripts that say what the real ones say. */
const PROGRAMS = {
  npm: 'echo 10.8.2',
  cargo: 'echo cargo 1.95.0',
  rustc: rustc('1.95.0'),
  rustfmt: 'echo rustfmt 1.8.0-stable',
  'cargo-clippy': 'echo clippy 0.1.95',
  rustup: `echo ${SYSROOT}/bin/rustc`,
  cc: 'exit 0',
  git: 'echo git version 2.39.5',
  python3: 'echo 3.11.2',
  'apt-get': 'exit 0',
  dpkg: 'exit 0',
  'qemu-aarch64-static': 'exit 0',
  'qemu-arm-static': 'exit 0',
};
const FILES = ['lib/ld-musl-x86_64.so.1', 'etc/ssl/certs/ca-certificates.crt', 'usr/lib/wine/wine64'];

let machines = 0;

/** A machine that has everything but what is changed; a program or file that is undefined is missing. */
function machineWith({ node = '20.19.0', programs = {}, files = FILES, ...more } = {}) {
  machines += 1;
  const root = join(SCRATCH, String(machines));
  for (const path of files) put(join(root, path), '');
  mkdirSync(join(root, 'bin'), { recursive: true });
  for (const [name, script] of Object.entries({ ...PROGRAMS, ...programs }))
    if (script !== undefined) put(join(root, 'bin', name), `#!/bin/sh\n${script}\n`, 0o755);
  return { node, platform: 'linux', arch: 'x64', root, env: { PATH: join(root, 'bin') }, ...more };
}

function put(path, content, mode = 0o644) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content, { mode });
}

const without = (...names) => ({ programs: Object.fromEntries(names.map((name) => [name, undefined])) });
const filesBut = (path) => ({ files: FILES.filter((file) => file !== path) });
const withProgram = (name, script) => ({ programs: { [name]: script } });

/** Name of the row, what is changed, and what the line says is wrong and cures it. */
const BROKEN = [
  ['node', { node: '20.18.3' }, 'this is 20.18.3. Install it from https://nodejs.org'],
  ['node', { node: '14.21.3' }, 'this is 14.21.3. Install it from https://nodejs.org'],
  ['npm', without('npm'), 'it was not found. It comes with Node'],
  ['npm', withProgram('npm', 'echo 9.2.0'), 'this is 9.2.0. Run: npm install --global npm@10.'],
  ['rust', without('cargo'), 'it was not found. Run: curl -sSf https://sh.rustup.rs | sh'],
  ['rust', withProgram('cargo', 'exit 1'), 'it was not found. Run: curl -sSf https://sh.rustup.rs | sh'],
  ['rust', withProgram('rustc', rustc('1.88.0')), 'this is 1.88.0. Run: rustup update stable.'],
  ['c-compiler', without('cc'), 'it was not found. On Debian: apt-get install gcc libc6-dev.'],
  [
    'c-compiler',
    withProgram('cc', 'test "$1" = --version'),
    'cc is there and cannot make one. On Debian: apt-get install gcc libc6-dev.',
  ],
  ['certificates', filesBut(FILES[1]), 'it was not found. On Debian: apt-get install ca-certificates.'],
  ['rustup', without('rustup'), 'it was not found. Run: curl -sSf https://sh.rustup.rs | sh'],
  ['rustup', withProgram('rustup', 'exit 1'), 'it was not found. Run: curl -sSf https://sh.rustup.rs | sh'],
  [
    'rustup',
    withProgram('rustc', rustc('1.95.0', OTHER_SYSROOT)),
    'the rustc in use is not from it. Run: curl -sSf https://sh.rustup.rs | sh',
  ],
  [
    'rust-checks',
    withProgram('rustfmt', 'exit 1'),
    'it was not found. Run: rustup component add rustfmt clippy.',
  ],
  ['rust-checks', without('cargo-clippy'), 'it was not found. Run: rustup component add rustfmt clippy.'],
  ['git', without('git'), 'it was not found. On Debian: apt-get install git.'],
  ['python', without('python3'), 'it was not found. On Debian: apt-get install python3 python3-venv.'],
  [
    'python',
    withProgram('python3', 'exit 1'),
    'it was not found. On Debian: apt-get install python3 python3-venv.',
  ],
  ['python', withProgram('python3', 'echo 3.10.12'), 'this is 3.10.12. Install one of these from'],
  ['python', withProgram('python3', 'echo 3.15.0'), 'this is 3.15.0. Install one of these from'],
  ['musl', filesBut(FILES[0]), 'it was not found. On Debian: apt-get install musl.'],
  ['debian', without('apt-get'), 'it was not found. Run it there.'],
  ['debian', without('dpkg'), 'it was not found. Run it there.'],
  ['qemu', without('qemu-aarch64-static'), 'it was not found. On Debian: apt-get install qemu-user-static.'],
  ['qemu', without('qemu-arm-static'), 'it was not found. On Debian: apt-get install qemu-user-static.'],
  ['wine', filesBut(FILES[2]), 'it was not found. On Debian: apt-get install wine64.'],
];

const linesFor = (command, machine) => missingFor(command, machine).map(({ line }) => line);

describe('a machine', () => {
  for (const command of COMMANDS) {
    test(`that has everything lacks nothing for ${command}`, () => {
      assert.deepEqual(linesFor(command, machineWith()), []);
    });
  }

  for (const [name, change, told] of BROKEN) {
    test(`without ${name} is told in a line: ${told}`, () => {
      const machine = machineWith(change);
      for (const command of COMMANDS) {
        const row = neededFor(command).find((needed) => needed.name === name);
        const lines = linesFor(command, machine);
        if (row === undefined) {
          assert.deepEqual(lines, [], command);
          continue;
        }
        assert.equal(lines.length, 1, command);
        assert.ok(lines[0].startsWith(`${row.what} is needed; ${told}`), lines[0]);
        assert.match(lines[0], /^[^\n]+\.$/);
      }
    });
  }

  test('is asked for everything in the table', () => {
    const broken = new Set(BROKEN.map(([name]) => name));
    assert.deepEqual(
      PREREQUISITES.map(({ name }) => name).filter((name) => !broken.has(name)),
      [],
    );
  });

  test('is without each of it in npm run test:bare', () => {
    const taken = new Set(runsWithout().flatMap(({ told }) => (told.length === 1 ? told : [])));
    for (const { what } of ['demo', 'test', 'lint'].flatMap(neededFor))
      assert.ok(taken.has(`setup: ${what} is needed; `), what);
  });

  test('that has nothing is told everything at once, in the order of the table', () => {
    const machine = machineWith({ node: '18.0.0', files: [], ...without(...Object.keys(PROGRAMS)) });
    for (const command of COMMANDS) {
      const missing = missingFor(command, machine);
      assert.deepEqual(
        missing.map(({ name }) => name),
        neededFor(command).map(({ name }) => name),
      );
      assert.equal(new Set(missing.map(({ line }) => line)).size, missing.length);
    }
  });

  test('finds its certificates where it is told, and where systems have them', () => {
    const [musl, debians] = FILES;
    const places = {
      '/own/list.pem': { SSL_CERT_FILE: '/own/list.pem' },
      'etc/ssl/cert.pem': {},
      [debians]: {},
    };
    for (const [path, env] of Object.entries(places)) {
      const machine = machineWith({ files: [musl, path] });
      Object.assign(machine.env, env);
      assert.deepEqual(linesFor('demo', machine), []);
    }
  });

  test('needs the loader of musl only on Linux on x64, and certificates only on Linux', () => {
    assert.deepEqual(linesFor('test', machineWith({ ...filesBut(FILES[0]), arch: 'arm64' })), []);
    assert.deepEqual(linesFor('test', machineWith({ files: [], platform: 'darwin' })), []);
  });

  test('may have its Rust in a place that is a link', () => {
    const link = join(SCRATCH, 'linked-rust');
    symlinkSync(SYSROOT, link);
    assert.deepEqual(linesFor('test', machineWith(withProgram('rustc', rustc('1.95.0', link)))), []);
  });

  test('that has a compiler without headers and start files cannot make a program', () => {
    assert.deepEqual(linesFor('build', HERE), []);
    const { stdout } = spawnSync('sh', ['-c', 'command -v cc'], { encoding: 'utf8' });
    const env = { ...HERE.env, PATH: `${join(SCRATCH, 'bare-cc')}:${HERE.env.PATH}` };
    put(join(SCRATCH, 'bare-cc', 'cc'), `#!/bin/sh\nexec ${stdout.trim()} --sysroot=/nowhere "$@"\n`, 0o755);
    assert.match(
      missingFor('build', { ...HERE, env })
        .map(({ line }) => line)
        .join('\n'),
      /^A C compiler .+ cannot make one\. .+$/,
    );
  });

  test('is asked for a command that there is', () => {
    assert.throws(() => missingFor('tset', machineWith()), /There is no "tset"\. Commands: build, demo, /);
  });
});

describe('set-up on a machine with nothing but Node', () => {
  const bin = join(SCRATCH, 'only-node');
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  const env = { PATH: bin, EMPTY: bin };
  const run = (...args) => spawnSync('node', args, { cwd: ROOT, env, encoding: 'utf8' });

  for (const [script, command] of [
    ['setup.mjs', 'demo'],
    ['setup.mjs', 'test'],
    ['setup.mjs', 'lint'],
    ['setup-aws.mjs', 'test'],
    ['setup-aws.mjs', 'aws'],
  ]) {
    test(`${script} --for ${command} ends before it does anything`, () => {
      const { status, stdout, stderr } = run(join('scripts', script), '--for', command);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      const lines = linesFor(command, { ...HERE, env });
      assert.ok(lines.length >= 3);
      assert.deepEqual(
        stderr.trimEnd().split('\n'),
        lines.map((line) => `setup: ${line}`),
      );
    });
  }

  test('what needs Python after all ends with the line for it', () => {
    const { status, stderr } = run(
      '--input-type=module',
      '--eval',
      "import { pythonTools } from './scripts/setup/python.mjs'; process.chdir(process.env.EMPTY); pythonTools();",
    );
    assert.equal(status, 1);
    const { line } = missingFor('aws', { ...HERE, env }).find(({ name }) => name === 'python');
    assert.equal(stderr, `setup: ${line}\n`);
  });

  test('is for a build, and for AWS, if it is not said', () => {
    const told = (...args) => run(...args).stderr;
    assert.equal(told('scripts/setup.mjs'), told('scripts/setup.mjs', '--for', 'build'));
    assert.equal(told('scripts/setup-aws.mjs'), told('scripts/setup-aws.mjs', '--for', 'aws'));
  });

  test('the packages of Debian are told once, on a line of their own', () => {
    const { status, stdout } = run('scripts/setup/prerequisites.mjs', '--debian', 'test', 'lint');
    assert.equal(status, 0);
    const debianFor = (command) => missingFor(command, { ...HERE, env }).flatMap(({ debian = [] }) => debian);
    const missing = [...new Set([...debianFor('test'), ...debianFor('lint')])];
    assert.equal(stdout, `${missing.join(' ')}\n`);
    for (const name of ['gcc', 'libc6-dev', 'git', 'python3', 'python3-venv'])
      assert.ok(missing.includes(name));
  });
});

describe('what is said elsewhere', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

  test('README.md has the packages of Debian', () => {
    const packagesOf = (...commands) =>
      new Set(commands.flatMap(neededFor).flatMap(({ debian = [] }) => debian));
    const { demo, tests, lint, all } = debianPackages();
    assert.deepEqual(new Set(demo), packagesOf('demo'));
    assert.deepEqual(new Set(tests), packagesOf('test'));
    assert.deepEqual(new Set(lint), packagesOf('lint'));
    assert.deepEqual(new Set(all), packagesOf(...COMMANDS));
  });

  /** What README.md calls the rows. */
  const WORDS = {
    node: `[Node](https://nodejs.org) ${OLDEST.node},`,
    npm: `npm ${OLDEST.npm} `,
    rust: `[Rust](https://rustup.rs) ${OLDEST.rust} or newer`,
    'c-compiler': 'C compiler',
    certificates: 'certificate authorities',
    rustup: ' rustup',
    'rust-checks': 'rustfmt and clippy',
    git: ' git',
    python: `Python ${OLDEST.python} to 3.14 with venv and ensurepip`,
    musl: "musl's loader",
    debian: 'Debian',
    qemu: 'qemu-user-static',
    wine: 'wine64',
  };

  test('README.md has what each command needs', () => {
    const rows = [...readme.matchAll(/^\| (?<commands>`npm .+?) +\| (?<needs>.+) \|$/gm)].map(
      ({ groups }) => groups,
    );
    const told = {};
    let before = [];
    for (const { commands, needs } of rows) {
      const own = Object.keys(WORDS).filter((name) => needs.includes(WORDS[name]));
      if (needs.startsWith('this,')) own.push(...before);
      if (needs.startsWith('what the demo needs,')) own.push(...told.demo);
      if (needs.startsWith('what the tests need,')) own.push(...told.test);
      before = own;
      for (const [, command] of commands.matchAll(/`(?:npm (?:run )?)?(?<command>[\w:]+)`/g))
        told[command] = own;
    }
    const asked = {
      demo: 'demo',
      chaos: 'chaos',
      setup: 'build',
      bench: 'bench',
      'setup:aws': 'aws',
      'build:lambda': 'aws',
      'deploy:synth': 'aws',
      test: 'test',
      lint: 'lint',
      'release:check': 'release',
    };
    assert.deepEqual(Object.keys(told).sort(), Object.keys(asked).sort());
    for (const [command, asks] of Object.entries(asked))
      assert.deepEqual(new Set(told[command]), new Set(neededFor(asks).map(({ name }) => name)), command);
  });

  test('every command of package.json asks first', () => {
    assert.match(scripts['prerelease:check'], /^node scripts\/setup\.mjs --for release &&/);
    for (const command of ['demo', 'chaos', 'bench', 'lint', 'test'])
      assert.match(
        scripts[`pre${command}`],
        new RegExp(`^node scripts/setup\\.mjs --for ${command}(?: &&|$)`),
      );
    for (const command of ['setup:aws', 'build:lambda'])
      assert.match(scripts[command], /^node scripts\/setup\.mjs --for aws &&/);
  });
});

describe("Rust's llvm-tools", () => {
  const tool = join(SYSROOT, 'lib', 'rustlib', 'some-host', 'bin', 'llvm-objdump');
  const calls = join(SCRATCH, 'rustup-calls');
  const ask = (env) =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { llvmTool } from './scripts/setup/llvm-tools.mjs'; console.log(llvmTool('llvm-objdump'));`,
      ],
      { cwd: ROOT, env, encoding: 'utf8' },
    );

  test('are added when they are missing, and once', () => {
    const rustcOfHost = `case "$1" in --print) echo ${SYSROOT};; *) echo "host: some-host";; esac`;
    const rustup = `echo "$@" >> ${calls}; : > ${tool}`;
    const { env } = machineWith({ programs: { rustc: rustcOfHost, rustup } });
    mkdirSync(dirname(tool), { recursive: true });
    for (const time of ['first', 'second']) assert.equal(ask(env).stdout, `${tool}\n`, time);
    assert.equal(readFileSync(calls, 'utf8'), 'component add llvm-tools\n');
  });
});
