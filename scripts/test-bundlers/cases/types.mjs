// Each bundler's own types take the plugin.
import { built } from '../building.mjs';
import { versions } from '../projects.mjs';

const SETTINGS = JSON.stringify({
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    // Of the bundlers' own types.
    skipLibCheck: true,
    outDir: 'build',
  },
  include: ['*.mts'],
});

const BUNDLERS = `
import segment, { esbuild, rolldown, rollup, rspack, vite, webpack, type SegmentBundlerOptions } from '@companion/segment/bundler';
import type { RspackPluginInstance } from '@rspack/core';
import type { BuildOptions } from 'esbuild';
import type { Plugin as RolldownPlugin } from 'rolldown';
import type { Plugin as RollupPlugin } from 'rollup';
import { defineConfig } from 'vite';
import type { Configuration } from 'webpack';

const options: SegmentBundlerOptions = { mode: 'copy', platforms: ['linux-x64-gnu'] };
export const forEsbuild: BuildOptions = { plugins: [esbuild(options), segment.esbuild()] };
export const forRollup: RollupPlugin = rollup(options);
export const forRolldown: RolldownPlugin = rolldown(options);
export const forVite = defineConfig({ plugins: [vite(options)] });
export const forWebpack: Configuration = { plugins: [webpack(options)] };
export const forRspack: RspackPluginInstance = rspack(options);

// @ts-expect-error there is no such mode
esbuild({ mode: 'inline' });
// @ts-expect-error there is no such option
webpack({ platform: 'linux-x64-gnu' });
`;

const NEXT = `
import { withSegment } from '@companion/segment/bundler';
import type { NextConfig } from 'next';

export const object: NextConfig = withSegment({ output: 'standalone', serverExternalPackages: ['sharp'] });
export const empty: NextConfig = withSegment();
export const made = withSegment(async (phase: string): Promise<NextConfig> => ({ distDir: phase }));
export const promised: Promise<NextConfig> = made('phase');

// @ts-expect-error it is a configuration
withSegment('standalone');
`;

export const cases = [
  { tool: 'types of bundlers', version: versions.bundlers.typescript, name: 'bundlers', source: BUNDLERS },
  { tool: 'types of Next.js', version: versions.next.typescript, name: 'next', source: NEXT },
].map(({ name, source, ...one }) => ({
  ...one,
  mode: 'strict, nodenext',
  run: async () => {
    const files = { 'tsconfig.json': SETTINGS, 'configuration.mts': source };
    await built(['tsc', '-p', '.'], files, name);
  },
}));
