/**
 * The plugin for bundlers as it is published: one file with the libraries that it is made of, so that nobody installs
 * them, and their licences.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { filesIn, isFresh, step } from './steps.mjs';

const SOURCES = join('ts', 'bundler');
const BUILT = join('dist', 'bundler');
/** Written last: it tells that the rest is there. */
const NOTICES = join(BUILT, 'THIRD-PARTY-NOTICES.txt');
/** What is published: the bundle, the compiler's ESM entrance, and what the public types are made of. */
const KEPT = new Set(['index.js', 'index.d.ts', 'index.d.mts', 'index.mjs', 'options.d.ts', 'next.d.ts']);

/** Bundles it if it is stale. The compiler has to have run before, and writes all of `dist` anew. */
export async function buildBundler() {
  const library = join('node_modules', 'unplugin', 'package.json');
  const sources = ['dist/index.js', library, join('scripts', 'setup', 'bundler.mjs'), ...filesIn(SOURCES)];
  if (isFresh(NOTICES, sources)) return;
  step('Bundling the plugin for bundlers');
  // Loaded late: what calls this installs packages first.
  const { build } = await import('esbuild');
  const { metafile } = await build({
    entryPoints: [join(SOURCES, 'index.ts')],
    outfile: join(BUILT, 'index.js'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    // In THIRD-PARTY-NOTICES.txt.
    legalComments: 'none',
    define: { 'import.meta.dirname': '__dirname', 'import.meta.url': '__filename' },
    metafile: true,
    logLevel: 'warning',
    plugins: [restOfPackageOutside, plainRequires],
  });
  for (const name of readdirSync(BUILT)) {
    if (!KEPT.has(name)) rmSync(join(BUILT, name));
  }
  writeFileSync(NOTICES, noticesOf(Object.keys(metafile.inputs)));
}

/** @type {import('esbuild').Plugin} */
const restOfPackageOutside = {
  name: 'rest-of-package-outside',
  setup(build) {
    build.onResolve({ filter: /^\.\.\// }, ({ path, importer }) =>
      dirname(importer).endsWith(SOURCES) ? { path, external: true } : undefined,
    );
  },
};

/**
 * A library that is an ES module makes itself a `require` that esbuild does not know for one: what it loads with it would
 * not be bundled.
 *
 * @type {import('esbuild').Plugin}
 */
const plainRequires = {
  name: 'plain-requires',
  setup(build) {
    build.onLoad({ filter: /[\\/]unplugin[\\/]dist[\\/]index\.mjs$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replaceAll('__require("', 'require("');
      if (contents === text)
        throw new Error(`${basename(path)} of unplugin requires nothing: leave this out.`);
      return { contents };
    });
  },
};

/** The licences of the libraries that these files belong to. */
function noticesOf(files) {
  const folders = new Set(
    files.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []),
  );
  const entries = Array.from(folders).toSorted().map(noticeOf);
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  return `${['index.js contains the libraries below.', ...entries].join(rule)}\n`;
}

function noticeOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} comes without the text of its licence.`);
  const text = readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim();
  return `${name} ${version} (${license})\n\n${text}`;
}
