/** What may be asked of the plugin. */
import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import { knownPlatforms, platformsHere } from './platforms.js';

export interface SegmentBundlerOptions {
  /**
   * `external` (default): the package stays outside of the bundle, and whoever runs the bundle needs it in
   * `node_modules`. `copy`: its JavaScript goes into the bundle, and addons are copied beside the output.
   */
  readonly mode?: 'external' | 'copy' | undefined;
  /**
   * With `copy`, the platforms that the bundle is to run on, as in `['linux-x64-gnu', 'linux-arm64-gnu']`. By default
   * the one that bundles.
   */
  readonly platforms?: readonly string[] | undefined;
  /** With `copy`, paths of addons by platform. What is not here is looked for in `node_modules`. */
  readonly addons?: Readonly<Record<string, string>> | undefined;
}

/** The same, checked. */
export interface Settings {
  readonly mode: 'external' | 'copy';
  /** One addon of each of these lists is copied: the first that is installed. */
  readonly wanted: readonly (readonly string[])[];
  readonly addons: Readonly<Record<string, string>>;
}

const OPTIONS = optionNames<SegmentBundlerOptions>({ mode: true, platforms: true, addons: true });

/** @throws AnalyticsError `ERR_OPTION_INVALID` for what can't be meant */
export function settingsOf(options?: SegmentBundlerOptions): Settings {
  requireKnown(options, OPTIONS);
  const { mode = 'external', platforms, addons } = options ?? {};
  if (mode !== 'external' && mode !== 'copy') throw invalidOption('mode', "'external' or 'copy'");
  if (mode === 'external') {
    if (platforms !== undefined) throw invalidOption('platforms', "left out without mode 'copy'");
    if (addons !== undefined) throw invalidOption('addons', "left out without mode 'copy'");
  }
  if (platforms?.length === 0) throw invalidOption('platforms', 'left out, or name one');
  requirePlatforms('platforms', platforms ?? []);
  requirePlatforms('addons', Object.keys(addons ?? {}));
  return { mode, wanted: platforms?.map((name) => [name]) ?? [platformsHere()], addons: addons ?? {} };
}

function requirePlatforms(option: string, platforms: readonly string[]): void {
  const known = knownPlatforms();
  if (platforms.every((name) => known.includes(name))) return;
  throw invalidOption(option, `some of ${known.join(', ')}`);
}
