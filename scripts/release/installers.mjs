/**
 * Package managers, each installing @companion/segment alone from a registry into an empty folder with an empty cache.
 * Those that hold back what was published less than a day ago are told not to: it was published a second ago.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { outcome } from '../test-nest/program.mjs';
import { tool } from './registry.mjs';

/**
 * @typedef {object} Installer
 * @property {(url: string) => Record<string, string>} [files] beside package.json
 * @property {(url: string, cache: string) => { command: string[], env?: Record<string, string> }} install
 * @property {string[]} [runsWith] arguments that Node needs to find what is installed
 */

const PACKAGE = '@companion/segment';
const yarnRc = (linker) => (url) => ({
  '.yarnrc.yml': `nodeLinker: ${linker}
npmRegistryServer: "${url}"
unsafeHttpWhitelist: ["127.0.0.1"]
enableTelemetry: false
enableGlobalCache: false
enableImmutableInstalls: false
npmMinimalAgeGate: 0
`,
  'yarn.lock': '',
});
const node = (path, ...args) => [process.execPath, path, ...args];

/** @type {Record<string, Installer>} */
export const INSTALLERS = {
  npm: {
    install: (url, cache) => ({
      command: ['npm', 'install', PACKAGE, '--registry', url, '--cache', cache, '--no-audit', '--no-fund'],
    }),
  },
  'npm --ignore-scripts': {
    install: (url, cache) => ({
      command: ['npm', 'install', PACKAGE, '--ignore-scripts', '--registry', url, '--cache', cache],
    }),
  },
  'pnpm, strict': {
    files: () => ({ 'pnpm-workspace.yaml': 'hoist: false\nminimumReleaseAge: 0\n' }),
    install: (url, cache) => ({
      command: node(join(tool('pnpm'), 'bin', 'pnpm.mjs'), 'add', PACKAGE, '--registry', url),
      env: {
        XDG_CACHE_HOME: cache,
        XDG_DATA_HOME: cache,
        npm_config_store_dir: join(cache, 'store'),
        CI: 'true',
      },
    }),
  },
  'yarn 1': {
    install: (url, cache) => ({
      command: node(
        join(tool('yarn'), 'bin', 'yarn.js'),
        'add',
        PACKAGE,
        '--registry',
        url,
        '--cache-folder',
        cache,
      ),
    }),
  },
  'yarn 4, PnP': {
    files: yarnRc('pnp'),
    install: (_, cache) => ({
      command: node(join(tool('@yarnpkg/cli-dist'), 'bin', 'yarn.js'), 'add', PACKAGE),
      env: { YARN_GLOBAL_FOLDER: cache },
    }),
    runsWith: ['--require', './.pnp.cjs'],
  },
  'yarn 4, node_modules': {
    files: yarnRc('node-modules'),
    install: (_, cache) => ({
      command: node(join(tool('@yarnpkg/cli-dist'), 'bin', 'yarn.js'), 'add', PACKAGE),
      env: { YARN_GLOBAL_FOLDER: cache },
    }),
  },
  bun: {
    install: (url, cache) => ({
      command: [bun(), 'add', PACKAGE, '--registry', url, '--minimum-release-age', '0'],
      env: { BUN_INSTALL_CACHE_DIR: cache },
    }),
  },
  deno: {
    files: () => ({ 'deno.json': '{ "nodeModulesDir": "auto", "minimumDependencyAge": 0 }\n' }),
    install: (url, cache) => ({
      command: [deno(), 'add', `npm:${PACKAGE}`],
      env: { DENO_DIR: cache, NPM_CONFIG_REGISTRY: url },
    }),
  },
};

/** The program of Bun. */
export const bun = () => join(tool('@oven/bun-linux-x64'), 'bin', 'bun');
/** The program of Deno. */
export const deno = () => join(tool('@deno/linux-x64-glibc'), 'deno');

/**
 * Installs into a new folder.
 *
 * @param {string} name of an installer
 * @param {string} url of the registry
 * @param {{ options?: string[], files?: Record<string, string>, command?: string }} [more] `files`: beside, or instead of,
 *   those that are there; `command`: of npm, instead of `install @companion/segment`
 * @returns {Promise<{ directory: string, code: number, output: string, remove: () => void }>}
 */
export async function installed(name, url, { options = [], files = {}, command } = {}) {
  const { install, files: own = () => ({}) } = INSTALLERS[name];
  const home = mkdtempSync(join(tmpdir(), 'installed-'));
  const [directory, cache] = [join(home, 'application'), join(home, 'cache')];
  for (const folder of [directory, cache]) mkdirSync(folder);
  const manifest = JSON.stringify({ name: 'application', version: '1.0.0', private: true });
  for (const [file, text] of Object.entries({ 'package.json': manifest, ...own(url), ...files })) {
    writeFileSync(join(directory, file), text);
  }
  const { command: usual, env } = install(url, cache);
  const [program, ...args] =
    command === undefined
      ? usual
      : usual.map((word) => (word === 'install' ? command : word)).filter((word) => word !== PACKAGE);
  const { code, output } = await outcome(program, [...args, ...options], { cwd: directory, env });
  return { directory, code, output, remove: () => rmSync(home, { recursive: true, force: true }) };
}
