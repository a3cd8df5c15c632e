/** One build that copies addons: what it has met, and what it needs for that. */
import { findAddons, type Addon } from './addons.js';
import { isAddonLoader, packageRootOf, rewritten } from './modules.js';
import type { Settings } from './options.js';

export class Copying {
  readonly #settings: Settings;
  readonly #found = new Map<string, readonly Addon[]>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /**
   * The text of a module as it goes into the bundle; `undefined` if it is none of the package's.
   *
   * @throws AnalyticsError `ERR_ADDON` an addon is not installed
   */
  rewrite(path: string, code: string): string | undefined {
    const root = packageRootOf(path);
    if (root === undefined) return undefined;
    const copied = isAddonLoader(path) ? this.#addonsOf(root).map(({ platform }) => platform) : [];
    return rewritten(path, code, root, copied);
  }

  /**
   * The addons for the package that a module belongs to.
   *
   * @throws AnalyticsError `ERR_ADDON` one is not installed
   */
  addonsFor(path: string): readonly Addon[] {
    const root = packageRootOf(path);
    return root === undefined ? [] : this.#addonsOf(root);
  }

  /** What has to lie beside the output. */
  get addons(): readonly Addon[] {
    return Array.from(this.#found.values()).flat();
  }

  #addonsOf(root: string): readonly Addon[] {
    const addons = this.#found.get(root) ?? findAddons(root, this.#settings);
    this.#found.set(root, addons);
    return addons;
  }
}
