/** One build that copies addons: what it has met, and what it needs for that. */
import { addonsFor, type Addon } from './addons.js';
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
   * Whether the addon of a platform lies beside the output for a module of the package.
   *
   * @throws AnalyticsError `ERR_ADDON` an addon is not installed
   */
  copies(platform: string, path: string): boolean {
    const root = packageRootOf(path);
    return root !== undefined && this.#addonsOf(root).some((addon) => addon.platform === platform);
  }

  /** What has to lie beside the output. */
  get addons(): readonly Addon[] {
    return Array.from(this.#found.values()).flat();
  }

  #addonsOf(root: string): readonly Addon[] {
    const addons = this.#found.get(root) ?? addonsFor(root, this.#settings);
    this.#found.set(root, addons);
    return addons;
  }
}
