/** Files of Debian's packages, of any suite and processor, unpacked into a folder: nothing is installed on this machine. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT, fail, step } from './steps.mjs';

/** Debian's names of processors, by Node's. */
export const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64', arm: 'armhf' };

/**
 * The folder with these packages in it; fetched the first time.
 *
 * @param {string} suite such as `trixie`
 * @param {keyof typeof ARCHITECTURES} cpu
 * @param {string[]} packages
 */
export function debianFolder(suite, cpu, packages) {
  const home = join(ROOT, 'target', 'tools', `debian-${suite}-${cpu}-${packages.join('-')}`);
  const stamp = join(home, 'unpacked');
  if (existsSync(stamp)) return home;
  step(`Fetching ${packages.join(', ')} of Debian ${suite} for ${cpu}`);
  const apt = aptInside(home, suite, ARCHITECTURES[cpu]);
  apt('update');
  apt('download', ...packages);
  for (const name of readdirSync(home).filter((entry) => entry.endsWith('.deb'))) {
    execFileSync('dpkg', ['-x', name, '.'], { cwd: home, stdio: 'inherit' });
  }
  // As an installation has it: programs name their loader by the old path.
  for (const name of ['lib', 'lib64']) {
    if (existsSync(join(home, 'usr', name)) && !existsSync(join(home, name))) symlinkSync(join('usr', name), join(home, name));
  }
  writeFileSync(stamp, '');
  return home;
}

/** apt-get with lists and sources of its own: nobody has to be root. */
function aptInside(home, suite, architecture) {
  mkdirSync(join(home, 'lists', 'partial'), { recursive: true });
  const sources = join(home, 'sources.list');
  writeFileSync(sources, `deb ${debianMirror()} ${suite} main\n`);
  const options = {
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Sandbox::User': 'root',
    'Dir::Cache': join(home, 'cache'),
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(home, 'lists'),
    // What is installed here is no candidate.
    'Dir::State::status': '/dev/null',
  };
  const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return (...args) =>
    execFileSync('apt-get', ['-qq', ...settings, ...args], { cwd: home, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The mirror that this machine installs from. */
export function debianMirror() {
  const { stdout } = spawnSync('apt-cache', ['policy', 'libc6'], { encoding: 'utf8' });
  const [mirror] = /https?:\S+/.exec(stdout ?? '') ?? [];
  if (mirror === undefined) fail('This needs files of Debian packages, and apt-cache knows no mirror to fetch them from.');
  return mirror;
}
