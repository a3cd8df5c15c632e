/** The ESM entrance: the one CommonJS implementation, by name. */
export {
  esbuild,
  rolldown,
  rollup,
  rspack,
  unplugin,
  unplugin as default,
  vite,
  webpack,
  withSegment,
} from './index.js';
export type * from './index.js';
