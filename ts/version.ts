/** This package's version. */

// Not by path: bundlers take the file with them.
// oxlint-disable-next-line typescript/no-require-imports
const manifest = require('../package.json') as { version: string };

export const VERSION: string = manifest.version;
