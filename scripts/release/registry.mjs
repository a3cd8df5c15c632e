/** A registry on loopback with the packages of a release in it: what a user's package manager would see. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { run } from '../setup/steps.mjs';
import { toolFolder } from '../setup/tools.mjs';
import { outcome } from '../test-nest/program.mjs';
import { packagesIn } from './packages.mjs';

const SERVER = fileURLToPath(new URL('registry-server.mjs', import.meta.url));

/** Versions of the programs that a release is tried with. */
export const { tools: TOOLS } = JSON.parse(readFileSync(new URL('versions.json', import.meta.url), 'utf8'));

/** The folder of one of those programs. */
export const tool = (name) =>
  toolFolder(name, TOOLS[name], name === 'verdaccio' ? { install: installVerdaccio } : {});

/**
 * Its audit asks for a tag of node-fetch, which mirrors of the registry do not have. It is not used; pnpm puts a version in
 * its place, which npm 9 does not.
 */
function installVerdaccio(folder) {
  writeFileSync(join(folder, 'pnpm-workspace.yaml'), 'overrides:\n  node-fetch: 2.7.0\n');
  const options = ['--dir', folder, '--ignore-scripts', '--no-frozen-lockfile', '--silent'];
  run(process.execPath, [join(tool('pnpm'), 'bin', 'pnpm.mjs'), 'install', ...options]);
}

/**
 * Starts an empty registry.
 *
 * @returns {Promise<{ url: string, close(): Promise<void> }>}
 */
export async function startRegistry() {
  const storage = mkdtempSync(join(tmpdir(), 'registry-'));
  const child = spawn(process.execPath, [SERVER, tool('verdaccio'), storage], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const lines = createInterface(child.stdout);
  const url = await Promise.race([
    new Promise((resolve) => {
      lines.on('line', (line) => line.startsWith('http') && resolve(line));
    }),
    ended.then(([code]) => Promise.reject(new Error(`The registry ended with ${code}.`))),
  ]);
  return {
    url,
    async close() {
      child.stdin.end();
      await ended;
      rmSync(storage, { recursive: true, force: true });
    },
  };
}

/**
 * Publishes tarballs, those of platforms first, as a release does.
 *
 * @param {string} url of the registry
 * @param {string} folder with the tarballs
 */
export async function publishAll(url, folder) {
  const configuration = mkdtempSync(join(tmpdir(), 'publisher-'));
  try {
    const npmrc = join(configuration, 'npmrc');
    // npm publishes for nobody without a token; this registry takes any.
    writeFileSync(npmrc, `${url.replace(/^http:/, '')}:_authToken=anybody\n`);
    for (const { path, name } of packagesIn(folder)) {
      const options = ['--registry', url, '--userconfig', npmrc, '--provenance=false', '--loglevel=error'];
      const { code, output } = await outcome('npm', ['publish', path, ...options], { cwd: configuration });
      if (code !== 0) throw new Error(`${name} could not be published:\n${output}`);
    }
  } finally {
    rmSync(configuration, { recursive: true, force: true });
  }
}
