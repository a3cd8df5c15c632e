// A stranger's project: what it installs, how it is compiled, and that nothing in it comes from the source tree.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { outcome, run } from './program.mjs';

const INSIDE_ONLY = fileURLToPath(new URL('inside-only.cjs', import.meta.url));

const OUTSIDE_SHOWN = 5;

/** Prints what the package loaded: its entrance and its addon. */
const LOADED = `
  const { Analytics } = require('@companion/segment');
  new Analytics({ writeKey: 'any', disable: true });
  const { sharedObjects } = process.report.getReport();
  const addon = sharedObjects.find((path) => /companion-segment[^/]*\\.node$/.test(path));
  console.log(JSON.stringify([require.resolve('@companion/segment'), addon]));
`;

/**
 * Makes `directory` a project with this package.json and the tarballs beside its dependencies, and installs it. Does
 * nothing when that is there already.
 *
 * @param {string} directory
 * @param {{ dependencies: Record<string, string> }} manifest
 * @param {Record<string, string>} tarballs
 */
export async function install(directory, manifest, tarballs) {
  const ours = Object.fromEntries(Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]));
  const dependencies = { ...manifest.dependencies, ...ours };
  const text = JSON.stringify({ ...manifest, private: true, dependencies }, undefined, 2);
  const stamp = join(directory, 'node_modules', '.installed');
  const key = createHash('sha256').update(text).digest('hex');
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === key) return;
  await rm(stamp, { force: true });
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'package.json'), text);
  const quietly = ['--no-audit', '--no-fund', '--loglevel=error'];
  // No script of a package runs, so ours is seen to need none. Versions are exact: what npm knows of them is good.
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', ...quietly], { cwd: directory });
  await writeFile(stamp, key);
}

/** The package and its addon have to be those of the tarballs. */
export async function requireInside(directory) {
  const loaded = JSON.parse(
    await run(process.execPath, ['-e', LOADED], { cwd: directory, env: insideOnly(directory) }),
  );
  const modules = join(directory, 'node_modules');
  for (const path of loaded) {
    if (!path?.startsWith(modules)) throw new Error(`Loaded from outside of ${modules}: ${path}`);
  }
}

/** Environment of programs in `directory`: what they require is in there or is missing. */
export function insideOnly(directory) {
  return { NODE_OPTIONS: `--require ${JSON.stringify(INSIDE_ONLY)}`, NEST_INSIDE: directory };
}

/** Puts a fresh copy of the sources in. */
export async function copySources(from, to) {
  await rm(to, { recursive: true, force: true });
  await cp(from, to, { recursive: true });
}

/**
 * Compiles with the project's own TypeScript; rejects with the errors.
 *
 * @param {string} directory with a tsconfig.json
 * @param {string} outDir what it compiles to, in there
 */
export async function compile(directory, outDir) {
  await rm(join(directory, outDir), { recursive: true, force: true });
  const compiler = join(directory, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [compiler, '-p', 'tsconfig.json', '--pretty', 'false', '--listFiles'];
  const { code, output } = await outcome(process.execPath, args, { cwd: directory });
  const lines = output.split('\n').filter((line) => line !== '');
  const errors = lines.filter((line) => !isAbsolute(line));
  if (code !== 0 || errors.length > 0) throw new Error(errors.join('\n'));
  const outside = lines.filter((path) => !path.startsWith(directory) && !isNamedLikeBuiltin(path));
  if (outside.length === 0) return;
  const shown = outside.slice(0, OUTSIDE_SHOWN).join('\n');
  throw new Error(`Types from outside of ${directory}, ${outside.length} files such as\n${shown}`);
}

/** @types/node imports `buffer`, say: a package of that name is found, read, and loses to what Node declares. */
function isNamedLikeBuiltin(path) {
  const name = path.split('/node_modules/').at(-1)?.split('/')[0];
  return name !== undefined && isBuiltin(name);
}
