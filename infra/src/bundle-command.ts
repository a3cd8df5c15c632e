/** `node dist/bundle-command.js --entry sns --architecture arm64 --outdir build`: a bundle for other tools than the CDK. */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { ARCHITECTURES, BundleError, type LambdaArchitecture } from './addon.js';
import { bundle } from './bundle.js';
import { entryPath } from './entries.js';

const USAGE =
  'Use: --entry <sns | sqs | path> --architecture <x86_64 | arm64> --outdir <folder> [--addon <path>]';

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { entry, architecture, outdir, addon } = parseArgs({
    options: {
      entry: { type: 'string' },
      architecture: { type: 'string' },
      outdir: { type: 'string' },
      addon: { type: 'string' },
    },
  }).values;
  if (entry === undefined || outdir === undefined || !isArchitecture(architecture))
    throw new BundleError(USAGE);
  await bundle({ entry: pathOf(entry), architecture, outdir, ...(addon !== undefined && { addon }) });
}

function isArchitecture(value: string | undefined): value is LambdaArchitecture {
  return ARCHITECTURES.some((name) => name === value);
}

/** The entry points of this package go by name. */
function pathOf(entry: string): string {
  if (entry === 'sns' || entry === 'sqs') return entryPath(entry);
  if (!existsSync(entry)) throw new BundleError(`There is no ${entry}. ${USAGE}`);
  return entry;
}
