/**
 * npm run release: publishes what is packed in target/release/packages, the platforms first, or says what is in the way.
 * What the registry has with the same content is skipped, so it can be repeated.
 *
 *   --dry-run   publishes nothing, and says what would be
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { rootManifest } from './addons/manifests.mjs';
import { PACKAGES, packagesIn } from './release/packages.mjs';
import { integrityOf, obstacles } from './release/readiness.mjs';
import { ROOT } from './setup/steps.mjs';
import { outcome } from './test-nest/program.mjs';

const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean' } } });
const isDryRun = values['dry-run'] === true;
const packages = packagesIn(PACKAGES);
const problems = obstacles({
  version: rootManifest().version,
  crateVersion: /^version = "(.+)"$/m.exec(readFileSync('Cargo.toml', 'utf8'))?.[1] ?? 'unknown',
  changelog: readFileSync('CHANGELOG.md', 'utf8'),
  changes: execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }).split('\n').filter(Boolean),
  env: process.env,
  packages,
});
for (const problem of problems) console.error(`release: ${problem}`);
// A dry run goes on: what would be published is of use even where something is in the way.
if (problems.length > 0) process.exitCode = 1;
if (problems.length === 0 || isDryRun) {
  for (const found of packages) if (!(await publish(found))) break;
}

/** Whether the next one may follow: nobody may find a root whose platforms are not there. */
async function publish({ name, version, path }) {
  const label = `${name}@${version}  ${statSync(path).size} B`;
  const published = await publishedIntegrity(`${name}@${version}`);
  if (published === integrityOf(path)) {
    console.log(`there already   ${label}`);
    return true;
  }
  if (published !== undefined) {
    console.error(
      `release: the registry has ${name}@${version} with other content. Release another version.`,
    );
    process.exitCode = 1;
    return false;
  }
  if (isDryRun) {
    console.log(`would publish   ${label}`);
    return true;
  }
  const { code, output } = await outcome('npm', ['publish', path], { cwd: ROOT });
  console.log(
    code === 0 ? `published       ${label}` : `${output}\nrelease: ${label} could not be published`,
  );
  if (code !== 0) process.exitCode = 1;
  return code === 0;
}

async function publishedIntegrity(wanted) {
  const { code, output } = await outcome('npm', ['view', wanted, 'dist.integrity', '--json'], { cwd: ROOT });
  if (code !== 0) {
    if (output.includes('E404')) return undefined;
    throw new Error(`The registry could not be asked for ${wanted}:\n${output}`);
  }
  return output.trim() === '' ? undefined : JSON.parse(output);
}
