import { readFileSync } from 'node:fs';

/** Read from the file: not every package exports its `package.json`. */
export function installedVersion(/** @type {string} */ packageName) {
  const manifest = new URL(`../../node_modules/${packageName}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest, 'utf8')).version;
}
