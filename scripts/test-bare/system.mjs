/**
 * A Debian in layers of directories. Whoever enters it sees them as one root, and what is changed there goes into a
 * directory on top: no layer is touched, and nothing has to be put back. Its mounts and processes are in namespaces of
 * their own and end with the program that was entered for, and with this process, however they end.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ENVIRONMENT } from './network.mjs';

/** Names of layers are relative: a `:` in the path of the checkout would separate them. */
const ENTER = `
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=work" root
mount -t proc proc root/proc
mount -t sysfs sysfs root/sys
mount --rbind /dev root/dev
exec chroot root /bin/sh -ec "$3"`;

/** Whatever ends this process ends all that runs inside, and its mounts with it. */
const NAMESPACES = 'setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child'.split(' ');

const HOME = '/root';
/** rustup's proxies before Rust itself, which is all there is without rustup. */
const PLACES = [
  `${HOME}/.cargo/bin`,
  '/opt/node/bin',
  '/opt/rust/bin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
];
/** What a shell there has. */
const SHELL = {
  HOME,
  LANG: 'C.UTF-8',
  DEBIAN_FRONTEND: 'noninteractive',
  PATH: `${PLACES.join(':')}:/sbin:/bin`,
};

export class System {
  /**
   * @param {string} directory where the layers are
   * @param {{ name: string, of: unknown, script?: string }[]} layers from the ground up, and how they were made
   */
  constructor(directory, layers = []) {
    this.directory = directory;
    this.layers = layers;
  }

  /**
   * This system and a layer, which is made unless there is one that was made in the same way: `prepare` puts files into
   * its directory from outside, as `of` says, and `script` runs inside.
   */
  async with(name, { of, prepare, script }) {
    const layers = [...this.layers, { name, of, script }];
    const [path, record] = [join(this.directory, name), join(this.directory, `${name}.json`)];
    const recorded = JSON.stringify(layers);
    if (!existsSync(record) || readFileSync(record, 'utf8') !== recorded) {
      rmSync(record, { force: true });
      rmSync(path, { recursive: true, force: true });
      mkdirSync(path, { recursive: true });
      await prepare?.(path);
      if (script !== undefined) await this.enterOrThrow(name, script);
      writeFileSync(record, recorded);
    }
    return new System(this.directory, layers);
  }

  /** Runs a script on top of the layers. Resolves with how it ended and what it printed, which is in a log too. */
  async enter(top, script) {
    for (const name of ['root', 'work', top]) mkdirSync(join(this.directory, name), { recursive: true });
    const lower = this.layers.map(({ name }) => name).toReversed();
    const command = ['sh', '-c', ENTER, 'enter', lower.join(':'), top, script];
    const env = { ...SHELL, ...ENVIRONMENT };
    return logged(join(this.directory, `${top}.log`), command, { cwd: this.directory, env });
  }

  async enterOrThrow(top, script) {
    const { code } = await this.enter(top, script);
    if (code !== 0)
      throw new Error(`It ended with ${code}; see ${join(this.directory, `${top}.log`)}:\n${script}`);
  }
}

/** Runs a command in namespaces of its own. Resolves with the exit code, or the signal, and the output. */
export function logged(path, command, options) {
  const log = openSync(path, 'w');
  return new Promise((resolve, reject) => {
    const [program, ...args] = [...NAMESPACES, ...command];
    const child = spawn(program, args, { ...options, stdio: ['ignore', log, log] });
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      resolve({ code: code ?? signal, output: readFileSync(path, 'utf8') }),
    );
  }).finally(() => closeSync(log));
}
