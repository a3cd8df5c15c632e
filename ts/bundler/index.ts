/**
 * One plugin for bundlers of servers. A bundler reads JavaScript; the engine is an addon, which it has to leave alone:
 * either the whole package stays outside of the bundle, or the addon is copied beside it.
 */
import {
  createEsbuildPlugin,
  createRolldownPlugin,
  createRollupPlugin,
  createRspackPlugin,
  createVitePlugin,
  createWebpackPlugin,
  type UnpluginFactory,
} from 'unplugin';

import { setUpEsbuild } from './esbuild.js';
import { settingsOf, type SegmentBundlerOptions } from './options.js';
import { rollupHooks, viteHooks } from './rollup.js';
import { applyToCompiler, type Compiler } from './webpack.js';

export { withSegment } from './next.js';
export type { SegmentBundlerOptions } from './options.js';

/**
 * What the bundlers take, in as few words as they need: nobody has to install a bundler for its types. No interfaces: they
 * are not assignable to what has an index.
 */
export type EsbuildPlugin = { name: string; setup(build: unknown): void | Promise<void> };
export type RollupPlugin = { name: string };
export type VitePlugin = { name: string };
export type WebpackPlugin = { apply(compiler: unknown): void };

/** Makes the plugin of one bundler. */
type Make<Plugin> = (options?: SegmentBundlerOptions) => Plugin;

const factory: UnpluginFactory<SegmentBundlerOptions | undefined, false> = (options) => {
  const settings = settingsOf(options);
  return {
    name: 'companion-segment',
    enforce: 'pre',
    esbuild: { setup: (build) => setUpEsbuild(build, settings) },
    rollup: rollupHooks(settings),
    rolldown: rollupHooks(settings),
    vite: viteHooks(settings),
    webpack: (compiler) => applyToCompiler(compiler as Compiler, settings),
    rspack: (compiler) => applyToCompiler(compiler as Compiler, settings),
  };
};

export const esbuild: Make<EsbuildPlugin> = createEsbuildPlugin(factory);
export const rollup: Make<RollupPlugin> = createRollupPlugin(factory);
export const rolldown: Make<RollupPlugin> = createRolldownPlugin(factory);
export const vite: Make<VitePlugin> = createVitePlugin(factory);
export const webpack: Make<WebpackPlugin> = checkedAtOnce(createWebpackPlugin(factory));
export const rspack: Make<WebpackPlugin> = checkedAtOnce(createRspackPlugin(factory));

/** All of them by name. */
export const unplugin = { esbuild, rollup, rolldown, vite, webpack, rspack };
export default unplugin;

/** These make the plugin only when there is a compiler. What is wrong with options shows where they are written. */
function checkedAtOnce<Plugin>(make: Make<Plugin>): Make<Plugin> {
  return (options) => {
    settingsOf(options);
    return make(options);
  };
}
