// Projects of strangers in target/bundlers: one for each group of tools, and one that has the package and nothing else.
import { rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { packed } from '../packed.mjs';
import { install } from '../test-nest/project.mjs';

const TARGET = fileURLToPath(new URL('../../target/bundlers', import.meta.url));
const VERSIONS = new URL('../../__test__/bundlers/versions.json', import.meta.url);

/** Tools that a project may have installed, by the name of the project. */
export const versions = JSON.parse(await readFile(VERSIONS, 'utf8'));

/** @type {Map<string, Promise<string>>} */
const installed = new Map();

/**
 * The folder of a project with these tools and the packed package.
 *
 * @param {keyof typeof versions | 'production'} name `production`: without any tool
 * @returns {Promise<string>}
 */
export function project(name) {
  const ready = installed.get(name) ?? installProject(name);
  installed.set(name, ready);
  return ready;
}

async function installProject(name) {
  const folder = join(TARGET, name);
  await install(folder, { name: `with-${name}`, dependencies: versions[name] ?? {} }, await packed());
  return folder;
}

/**
 * A new folder in a project, with these files: what a stranger has written. It is gone with this process.
 *
 * @param {keyof typeof versions | 'production'} name
 * @param {Record<string, string>} [files] path to text
 */
export async function application(name, files = {}) {
  await project(name);
  return temporaryIn(name, files);
}

/** A new folder in a folder of target/bundlers, with these files. It is gone with this process. */
export async function temporaryIn(name, files) {
  await mkdir(join(TARGET, name), { recursive: true });
  const folder = await temporary(join(TARGET, name, 'application-'));
  await write(folder, files);
  return folder;
}

/** A new folder from where no package is to be seen. It is gone with this process. */
export const elsewhere = () => temporary(join(tmpdir(), 'companion-bundlers-'));

/** @type {string[]} */
const temporaries = [];
process.on('exit', () => {
  for (const folder of temporaries) rmSync(folder, { recursive: true, force: true });
});

async function temporary(prefix) {
  const folder = await realpath(await mkdtemp(prefix));
  temporaries.push(folder);
  return folder;
}

/** Writes files into a folder. */
export async function write(folder, files) {
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

/** Moves what was built to where it is to run. Links stay what they are: Next.js makes some. */
export async function moveTo(folder, built) {
  await cp(built, folder, { recursive: true, verbatimSymlinks: true });
  await rm(built, { recursive: true });
}

/** The addon of this machine, as it is packed: its platform, its package and its file. */
export async function addonHere() {
  const names = Object.keys(await packed());
  const name = names.find((one) => one.startsWith('@companion/segment-')) ?? '';
  const platform = name.replace('@companion/segment-', '');
  return { platform, name, file: `companion-segment.${platform}.node` };
}
