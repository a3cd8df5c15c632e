/** What the last run of `npm run test:peer` ran, so that a change of it is seen: a case as well as a version of theirs. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';

const TESTS = new URL('../', import.meta.url);
const FOLDERS = ['contract/cases', 'defects', 'peer'];

/** Where it is kept. */
export const RECORD = new URL('last-run.json', import.meta.url);

/** The version of analytics-node that is installed, and the SHA-256 of each file whose cases run it. */
export async function currentRun() {
  const manifest = new URL('../node_modules/@segment/analytics-node/package.json', TESTS);
  const { version } = JSON.parse(await readFile(manifest, 'utf8'));
  const files = {};
  for (const folder of FOLDERS) {
    const names = await readdir(new URL(folder, TESTS));
    for (const name of names.filter((file) => file.endsWith('.mjs')).toSorted()) {
      const content = await readFile(new URL(`${folder}/${name}`, TESTS));
      files[`${folder}/${name}`] = createHash('sha256').update(content).digest('hex');
    }
  }
  return { version, files };
}
