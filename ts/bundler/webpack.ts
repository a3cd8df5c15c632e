/** The plugin for webpack, and for Rspack, which takes the same calls. */
import { posix } from 'node:path';

import { Copying } from './copying.js';
import type { Settings } from './options.js';
import { fileOf, isOurs, platformOf } from './platforms.js';

/** What is used of a compiler. */
export interface Compiler {
  readonly webpack: {
    readonly ExternalsPlugin: new (type: string, externals: Externals) => { apply(compiler: Compiler): void };
    readonly Compilation: { readonly PROCESS_ASSETS_STAGE_ADDITIONS: number };
    readonly sources: { readonly RawSource: new (content: Buffer) => unknown };
  };
  readonly hooks: { readonly thisCompilation: Hook<(compilation: Compilation) => void> };
}

interface Compilation {
  readonly hooks: {
    readonly processAssets: {
      tap(options: { name: string; stage: number }, handler: (assets: Assets) => void): void;
    };
  };
  emitAsset(name: string, source: unknown): void;
}

interface Hook<Handler> {
  tap(name: string, handler: Handler): void;
}

type Assets = Readonly<Record<string, { source(): string | Buffer }>>;
type Externals = (
  data: { request?: string; contextInfo?: { issuer?: string } },
  callback: (error?: Error | null, result?: string) => void,
) => void;

const NAME = '@companion/segment';

/** `require`, in ES modules too. */
const REQUIRE = 'node-commonjs';

export function applyToCompiler(compiler: Compiler, settings: Settings): void {
  if (settings.mode === 'external') leaveOutside(compiler);
  else copy(compiler, new Copying(settings));
}

function leaveOutside(compiler: Compiler): void {
  addExternals(compiler, ({ request = '' }, callback) => {
    if (isOurs(request)) callback(null, request);
    else callback();
  });
}

/** Each addon is left where it is not looked into: required from beside the output, or as a package that is not there. */
function copy(compiler: Compiler, copying: Copying): void {
  addExternals(compiler, ({ request = '', contextInfo }, callback) => {
    const platform = platformOf(request);
    if (platform === undefined) return callback();
    try {
      const isCopied = copying.copies(platform, contextInfo?.issuer ?? '');
      return callback(null, isCopied ? `./${fileOf(platform)}` : request);
    } catch (error) {
      return callback(error instanceof Error ? error : new Error(String(error)));
    }
  });
  const { sources, Compilation: stages } = compiler.webpack;
  compiler.hooks.thisCompilation.tap(NAME, (compilation) => {
    const stage = stages.PROCESS_ASSETS_STAGE_ADDITIONS;
    compilation.hooks.processAssets.tap({ name: NAME, stage }, (assets) => {
      for (const { file, content } of copying.addons) {
        for (const folder of foldersThatName(`./${file}`, assets)) {
          compilation.emitAsset(posix.join(folder, file), new sources.RawSource(content));
        }
      }
    });
  });
}

/** The folders of the files that hold a text. A chunk requires what lies beside the chunk. */
function foldersThatName(text: string, assets: Assets): Set<string> {
  const scripts = Object.entries(assets).filter(([name]) => /\.[cm]?js$/.test(name));
  const naming = scripts.filter(([, asset]) => asset.source().includes(text));
  return new Set(naming.map(([name]) => posix.dirname(name)));
}

function addExternals(compiler: Compiler, externals: Externals): void {
  new compiler.webpack.ExternalsPlugin(REQUIRE, externals).apply(compiler);
}
