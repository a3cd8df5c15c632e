/** What the set-up scripts are made of. They do nothing when there is nothing to do. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** All scripts work from here. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
process.chdir(ROOT);

/** What the addon is made of. */
export const ADDON_SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', ...filesIn('src')];

export function isFresh(target, sources) {
  return target !== undefined && existsSync(target) && modified(target) >= Math.max(...sources.map(modified));
}

export function modified(path) {
  return statSync(path).mtimeMs;
}

/** In one step: a process that runs the old addon keeps it, and a file that stays the same stays itself. */
export function replace(source, target) {
  const content = readFileSync(source);
  if (!target.endsWith('.node') && existsSync(target) && readFileSync(target).equals(content)) return;
  const temporary = `${target}.new`;
  writeFileSync(temporary, content);
  renameSync(temporary, target);
}

/** By hand: a Node that is too old to read folders in folders still has to get as far as being told so. */
export function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesIn(path);
    return entry.isFile() ? [path] : [];
  });
}

export function isOlder(version, minimum) {
  const parts = version.split('.').map(Number);
  const index = minimum.findIndex((part, position) => part !== parts[position]);
  return index >= 0 && parts[index] < minimum[index];
}

/** The value of `--name value` among the arguments. */
export function option(name, otherwise) {
  const index = process.argv.indexOf(`--${name}`);
  return index < 0 ? otherwise : process.argv[index + 1];
}

export function run(command, args) {
  try {
    execFileSync(command, args, {
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    });
  } catch {
    fail(`"${command} ${args.join(' ')}" failed; its output is above.`);
  }
}

export function step(text) {
  console.error(`setup: ${text} ...`);
}

export function fail(text) {
  console.error(`setup: ${text}`);
  process.exit(1);
}
