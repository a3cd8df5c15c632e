/** Next.js. */

const PACKAGE = '@companion/segment';
const OPTION = 'serverExternalPackages';

/** The configuration of Next.js: an object, a promise of one, or a function that returns either. */
type Configuration = object | ((...given: never[]) => unknown);

/**
 * A configuration of Next.js that leaves the package outside of the server's bundle, where its addon can be loaded:
 * `export default withSegment({ ... })` in next.config. Whatever else is in it stays.
 */
export function withSegment<Config extends Configuration>(configuration: Config): Config;
export function withSegment(): { serverExternalPackages: string[] };
export function withSegment(configuration: Configuration = {}): unknown {
  if (typeof configuration !== 'function') return extended(configuration);
  const made = configuration as (...given: unknown[]) => unknown;
  // The names of its parameters say nothing to Next, but their number is checked by some.
  return (...given: unknown[]) => extended(made(...given));
}

function extended(configuration: unknown): unknown {
  if (configuration instanceof Promise) return configuration.then(extended);
  const { [OPTION]: packages = [], ...others } = (configuration ?? {}) as { [OPTION]?: readonly string[] };
  return { ...others, [OPTION]: packages.includes(PACKAGE) ? packages : [...packages, PACKAGE] };
}
