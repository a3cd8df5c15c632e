/** What the systems hold: Debian, what README.md has its apt-get install, Node, npm and Rust. No more. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { OLDEST } from '../setup/prerequisites.mjs';
import { ROOT } from '../setup/steps.mjs';
import { connect } from './network.mjs';
import { System, logged } from './system.mjs';

/** The oldest of all that README.md allows, and the newest. */
export const SUITES = {
  bookworm: { node: `${OLDEST.node}.0`, npm: `${OLDEST.npm}.0`, rust: `${OLDEST.rust}.0` },
  trixie: { node: '24', npm: '11', rust: 'stable' },
};
/** What it does not allow, each with the npm that it came with. */
const OLD = { node: '18.20.8', npm: '10.8.2' };
const ANCIENT = { node: '14.21.3', npm: '6.14.18' };

/** The packages of `apt-get install` in README.md, by what it says they are for. */
export function debianPackages() {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const lines = readme.matchAll(/^apt-get install (?<packages>.+?) +# for (?:the )?(?<purpose>\w+)$/gm);
  return Object.fromEntries(Array.from(lines, ({ groups }) => [groups.purpose, groups.packages.split(' ')]));
}

/**
 * The systems that commands run on, each on top of the one before: what the demo needs, with Rust as it is without
 * rustup; what the tests need; what lint needs; and beside these the demo's with a Node that is too old.
 */
export async function systemsOf(suite) {
  const { node, npm, rust } = SUITES[suite];
  const packages = debianPackages();
  const ground = new System(join(ROOT, 'target', 'bare', suite));
  const debian = await ground.with('debian', { of: suite, prepare: (root) => bootstrap(suite, root) });
  const demo = await debian.with('for-demo', {
    of: { node, npm },
    prepare(root) {
      connect(root);
      putNode(root, '/opt/node', { node, npm });
      putProgram(root, '/opt/rustup-init', whichRustup());
    },
    script: `${aptInstall(packages.demo)}
      /opt/rustup-init -y --no-modify-path --profile minimal --default-toolchain ${rust}
      rm /opt/rustup-init
      mv ~/.cargo/bin /opt/rustup
      ln -s ~/.rustup/toolchains/* /opt/rust`,
  });
  const test = await demo.with('for-test', {
    script: `${aptInstall(packages.tests)}
      mv /opt/rustup ~/.cargo/bin`,
  });
  const lint = await test.with('for-lint', {
    script: `${aptInstall(packages.lint)}
      rustup component add rustfmt clippy`,
  });
  return {
    demo,
    test,
    lint,
    'old-node': await withNode(demo, 'with-old-node', OLD),
    'ancient-node': await withNode(demo, 'with-ancient-node', ANCIENT),
  };
}

/** With another Node. */
function withNode(system, name, other) {
  return system.with(name, {
    of: other,
    prepare: (root) => putNode(root, '/opt/other-node', other),
    script: 'rm -r /opt/node; mv /opt/other-node /opt/node',
  });
}

async function bootstrap(suite, root) {
  const { code } = await logged(`${root}.log`, ['debootstrap', '--variant=minbase', suite, root]);
  if (code !== 0) throw new Error(`debootstrap ended with ${code}; see ${root}.log`);
}

const aptInstall = (packages) =>
  `apt-get update; apt-get install --yes --no-install-recommends ${packages.join(' ')}; apt-get clean`;

/** As nodejs.org packs them: Node's binary from npm, and npm beside it. */
function putNode(root, place, { node, npm }) {
  const home = join(root, place);
  unpack(`node-linux-${process.arch}@${node}`, home);
  unpack(`npm@${npm}`, join(home, 'lib', 'node_modules', 'npm'));
  for (const name of ['npm', 'npx'])
    symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(home, 'bin', name));
}

function unpack(specifier, directory) {
  mkdirSync(directory, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', directory, specifier], {
    encoding: 'utf8',
  });
  const path = join(directory, packed.trim());
  execFileSync('tar', ['--extract', '--file', path, '--strip-components=1', '--directory', directory]);
  rmSync(path);
}

function putProgram(root, place, source) {
  const target = join(root, place);
  mkdirSync(join(target, '..'), { recursive: true });
  copyFileSync(source, target);
  chmodSync(target, 0o755);
}

/** rustup is its own installer, under another name. */
function whichRustup() {
  return execFileSync('sh', ['-c', 'command -v rustup'], { encoding: 'utf8' }).trim();
}
