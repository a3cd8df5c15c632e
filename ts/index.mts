/** The ESM entrance: the one CommonJS implementation, by name. */
export {
  Analytics,
  Analytics as default,
  AnalyticsError,
  Context,
  ContextCancelation,
  FetchHTTPClient,
  ValidationError,
} from './index.js';
export type * from './index.js';
