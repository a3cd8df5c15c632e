// oxlint-disable no-underscore-dangle -- a name that Node gave
/**
 * Preloaded into a stranger's programs. Their projects lie inside this one, so Node would look for what they lack in
 * this project's own node_modules. A package that needs what it does not declare has to fail here as it would there.
 *
 * CommonJS: an ES module would have to be imported, and then Node loads the program itself in another way, too.
 */
const inside = process.env['NEST_INSIDE'] ?? '';
const loader = /** @type {{ _nodeModulePaths: (from: string) => string[] }} */ (
  /** @type {unknown} */ (process.getBuiltinModule('node:module'))
);
const everywhere = loader._nodeModulePaths;

loader._nodeModulePaths = (from) => everywhere(from).filter((path) => path.startsWith(inside));
