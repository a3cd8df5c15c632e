/**
 * The packages of the addons, in `npm/`: what is in each follows from the table of platforms and the root's package.json.
 *
 *   node scripts/addons/manifests.mjs   writes them
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { addonFile, packageName, PLATFORMS } from './platforms.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What npm shows and looks at is the same for all packages. */
const SHARED = [
  'version',
  'description',
  'license',
  'keywords',
  'homepage',
  'bugs',
  'engines',
  'publishConfig',
];

/**
 * The files of a platform's package that are committed, by their names.
 *
 * @returns {Record<string, string>}
 */
export function committedFiles(platform, root = rootManifest()) {
  const { os, cpu, libc } = PLATFORMS[platform].npm;
  const file = addonFile(platform);
  const manifest = {
    name: packageName(platform),
    ...Object.fromEntries(SHARED.map((name) => [name, root[name]])),
    repository: { ...root.repository, directory: `npm/${platform}` },
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    main: file,
    files: [file, 'THIRD-PARTY-NOTICES.txt'],
  };
  const readme = `# \`${manifest.name}\`

The engine of [\`@companion/segment\`](${root.homepage}) for ${platform} (\`${PLATFORMS[platform].target}\`). It is installed with
that package; there is nothing to do with it alone.
`;
  return { 'package.json': `${JSON.stringify(manifest, undefined, 2)}\n`, 'README.md': readme };
}

/** What is in \`npm/\` and should not be, or the other way round: a line each. */
export function staleFiles() {
  const root = rootManifest();
  const unknown = readdirSync(join(ROOT, 'npm')).filter((name) => !Object.hasOwn(PLATFORMS, name));
  const stale = Object.keys(PLATFORMS).flatMap((platform) =>
    Object.entries(committedFiles(platform, root))
      .filter(([name, text]) => readIfThere(join(ROOT, 'npm', platform, name)) !== text)
      .map(([name]) => `npm/${platform}/${name}: run node scripts/addons/manifests.mjs`),
  );
  return [...unknown.map((name) => `npm/${name} is no platform of scripts/addons/platforms.mjs`), ...stale];
}

/** The root's package.json. */
export function rootManifest() {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function write() {
  for (const platform of Object.keys(PLATFORMS)) {
    const folder = join(ROOT, 'npm', platform);
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(committedFiles(platform)))
      writeFileSync(join(folder, name), text);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) write();
