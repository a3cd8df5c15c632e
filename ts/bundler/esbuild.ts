/** The plugin for esbuild. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import type { OutputFile, PluginBuild } from 'esbuild';

import type { Addon } from './addons.js';
import { Copying } from './copying.js';
import { CANDIDATES, LOADER, LOADER_CODE, packageRootOf } from './modules.js';
import type { Settings } from './options.js';
import { place } from './place.js';
import { isOurs } from './platforms.js';

const MADE = 'companion-segment';
const BUILTIN = 'companion-segment-builtin';

export function setUpEsbuild(build: PluginBuild, settings: Settings): void {
  if (settings.mode === 'external') leaveOutside(build);
  else copy(build, new Copying(settings));
}

function leaveOutside(build: PluginBuild): void {
  build.onResolve({ filter: /^@companion\/segment/ }, ({ path }) =>
    isOurs(path) ? { path, external: true } : undefined,
  );
}

function copy(build: PluginBuild, copying: Copying): void {
  const options = build.initialOptions;
  // Tells which of the outputs load addons.
  options.metafile = true;
  build.onLoad({ filter: CANDIDATES }, async ({ path }) => {
    const code = await readFile(path, 'utf8');
    try {
      const contents = copying.rewrite(path, code);
      return contents === undefined ? undefined : { contents, resolveDir: dirname(path) };
    } catch (error) {
      return { errors: [{ text: error instanceof Error ? error.message : String(error) }] };
    }
  });
  build.onResolve({ filter: new RegExp(`^${LOADER}$`) }, ({ path }) => ({ path, namespace: MADE }));
  build.onLoad({ filter: /.*/, namespace: MADE }, () => ({
    contents: options.format === 'esm' ? LOADER_CODE.esm : LOADER_CODE.commonjs,
  }));
  if (options.format === 'esm') importBuiltins(build);
  build.onEnd(async ({ metafile, outputFiles }) => {
    const base = resolve(options.absWorkingDir ?? '.');
    const outputs = Object.entries(metafile?.outputs ?? {});
    const loading = outputs.filter(([, { inputs }]) => `${MADE}:${LOADER}` in inputs);
    const folders = new Set(loading.map(([path]) => dirname(resolve(base, path))));
    for (const folder of folders) {
      if (options.write !== false) await place(folder, copying.addons);
      else outputFiles?.push(...copying.addons.map((addon) => outputFile(folder, addon)));
    }
  });
}

/** What esbuild makes of `require` in an ES module knows no built-in modules: the package imports them. */
function importBuiltins(build: PluginBuild): void {
  build.onResolve({ filter: /^node:/ }, ({ kind, path, importer }) =>
    kind === 'require-call' && packageRootOf(importer) !== undefined
      ? { path, namespace: BUILTIN }
      : undefined,
  );
  build.onLoad({ filter: /.*/, namespace: BUILTIN }, ({ path }) => ({
    contents: `export * from '${path}'; export { default } from '${path}';`,
  }));
}

/** For those who write files themselves. An addon is no text. */
const outputFile = (folder: string, { file, content }: Addon): OutputFile => ({
  path: join(folder, file),
  contents: content,
  hash: createHash('sha256').update(content).digest('base64'),
  text: '',
});
