/** The plugin for webpack, and for Rspack, which takes the same calls. */
import { posix } from 'node:path';

import type { Addon } from './addons.js';
import { Copying } from './copying.js';
import { isAddonLoader } from './modules.js';
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
    readonly finishModules: Hook<(modules: Iterable<{ resource?: string }>) => void>;
    readonly processAssets: {
      tap(options: { name: string; stage: number }, handler: (assets: Assets) => void): void;
    };
  };
  readonly errors: Error[];
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
    const copied = addonsOrProblem(copying, contextInfo?.issuer ?? '');
    const isCopied = !(copied instanceof Error) && copied.some((addon) => addon.platform === platform);
    return callback(null, isCopied ? `./${fileOf(platform)}` : request);
  });
  const { sources, Compilation: stages } = compiler.webpack;
  compiler.hooks.thisCompilation.tap(NAME, (compilation) => {
    // Not where requests are answered: the loader expects addons to be missing, so an error there is a mere warning.
    compilation.hooks.finishModules.tap(NAME, (modules) => {
      for (const { resource = '' } of modules) {
        const copied = isAddonLoader(resource) ? addonsOrProblem(copying, resource) : undefined;
        if (copied instanceof Error) compilation.errors.push(copied);
      }
    });
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

function addonsOrProblem(copying: Copying, path: string): readonly Addon[] | Error {
  try {
    return copying.addonsFor(path);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
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
