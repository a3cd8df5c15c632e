/** The plugin for Rollup, and for those that take Rollup's plugins: Rolldown and Vite. */
import { dirname, join } from 'node:path';

import { Copying } from './copying.js';
import { BUNDLE_PATH, CANDIDATES, esmLoader, LOADER } from './modules.js';
import type { Settings } from './options.js';
import { place } from './place.js';
import { isOurs } from './platforms.js';

/** A zero byte keeps the hooks of others away, by Rollup's custom. */
const MADE = `\0${LOADER}`;

/**
 * Stands for where the bundle lies until chunks are written: what others make of `import.meta.url` before need not be
 * the chunk that the module ends in.
 */
const CHUNK = '__COMPANION_SEGMENT_CHUNK__';

/** Before the plugins of others and after them, wherever it stands among them. */
const FIRST = 'pre';
const LAST = 'post';

/** What is read of Rollup's output. */
interface Output {
  readonly type: string;
  readonly fileName: string;
  readonly modules?: Readonly<Record<string, unknown>>;
}

export function rollupHooks(settings: Settings): object {
  return settings.mode === 'external' ? leaveOutside : copy(new Copying(settings));
}

/** Vite leaves packages outside when it builds for a server, unless it is told otherwise: here it is told. */
export function viteHooks(settings: Settings): object {
  if (settings.mode === 'external') {
    return { ...leaveOutside, config: () => ({ ssr: { external: ['@companion/segment'] } }) };
  }
  return {
    ...copy(new Copying(settings)),
    // The server for development runs modules one by one: there is no output to copy anything to.
    apply: 'build',
    config: () => ({ ssr: { noExternal: [/^@companion\/segment(?:\/|$)/] } }),
  };
}

const leaveOutside = {
  resolveId: {
    order: FIRST,
    handler: (id: string) => (isOurs(id) ? { id, external: true } : undefined),
  },
};

function copy(copying: Copying): object {
  return {
    resolveId: {
      order: FIRST,
      handler: (id: string) => (id === LOADER ? MADE : undefined),
    },
    load: (id: string) => (id === MADE ? esmLoader(CHUNK) : undefined),
    transform: {
      order: FIRST,
      handler(code: string, id: string) {
        const changed = CANDIDATES.test(id) ? copying.rewrite(id, code) : undefined;
        // No map: lines stay where they are.
        return changed === undefined ? undefined : { code: changed, map: null };
      },
    },
    renderChunk: {
      order: LAST,
      handler(code: string, _chunk: unknown, { format }: { format: string }) {
        if (!code.includes(CHUNK)) return undefined;
        const path = format === 'es' ? BUNDLE_PATH.esm : BUNDLE_PATH.commonjs;
        return { code: code.replaceAll(CHUNK, path), map: null };
      },
    },
    async writeBundle(
      { dir, file }: { dir?: string; file?: string },
      outputs: Readonly<Record<string, Output>>,
    ) {
      const root = dir ?? dirname(file ?? '');
      const loading = Object.values(outputs).filter(
        ({ modules }) => modules !== undefined && MADE in modules,
      );
      const folders = new Set(loading.map(({ fileName }) => dirname(join(root, fileName))));
      for (const folder of folders) await place(folder, copying.addons);
    },
  };
}
