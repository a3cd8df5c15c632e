/** Modules of the package that a bundle has to have in another form. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { fileOf, REQUIRED_ADDON } from './platforms.js';

/** The modules that {@link rewritten} is for. Others may have such a name, too. */
export const CANDIDATES = /[\\/]dist[\\/](?:addon|version)\.js$/;

/** A module that is made by the plugin: it requires from where the bundle lies, not from where the package was. */
export const LOADER = 'companion-segment:loader';

/** Where a bundle lies: a CommonJS one, which in a single executable application is the executable, and an ES module. */
export const BUNDLE_PATH = { commonjs: '__filename', esm: 'import.meta.url' };

/** The text of {@link LOADER} for each kind of modules. */
export const LOADER_CODE = {
  commonjs: `
    exports.load = require('node:module').createRequire(${BUNDLE_PATH.commonjs});
    exports.folder = require('node:path').dirname(${BUNDLE_PATH.commonjs});`,
  esm: esmLoader(BUNDLE_PATH.esm),
};

/** The same, with any expression for the path of the bundle. */
export function esmLoader(path: string): string {
  return `
    import { createRequire } from 'node:module';
    import { dirname } from 'node:path';
    import { fileURLToPath } from 'node:url';
    const path = ${path};
    export const load = createRequire(path);
    export const folder = dirname(path.startsWith('file:') ? fileURLToPath(path) : path);`;
}

/** The folder of `@companion/segment` if a module is one of its own. */
export function packageRootOf(path: string): string | undefined {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const name = nameIn(join(folder, 'package.json'));
    if (name === '@companion/segment') return folder;
    if (name !== undefined || folder === dirname(folder)) return undefined;
  }
}

function nameIn(manifest: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name;
  } catch {
    return undefined;
  }
}

/** Whether this is the module that loads addons. */
export const isAddonLoader = (path: string): boolean => /[\\/]dist[\\/]addon\.js$/.test(path);

/**
 * The text of a module as it goes into a bundle: the loader takes addons from beside the bundle, and the version is
 * written out, so that bundlers need not know JSON. Lines stay where they are.
 *
 * @param copied platforms whose addons lie there; others fail as not installed
 */
export function rewritten(
  path: string,
  code: string,
  packageRoot: string,
  copied: readonly string[],
): string {
  if (isAddonLoader(path)) {
    const calls = code.replaceAll(REQUIRED_ADDON, (call, platform: string) =>
      copied.includes(platform) ? `load('./${fileOf(platform)}')` : call.replace('require', 'load'),
    );
    // No ES module has it.
    const placed = calls.replaceAll(/\b__dirname\b/g, 'folder');
    return `${placed}\nconst { folder, load } = require('${LOADER}');\n`;
  }
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    version: string;
  };
  return code.replace(/require\(['"]\.\.\/package\.json['"]\)/, `({ version: ${JSON.stringify(version)} })`);
}
