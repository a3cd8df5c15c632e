#!/usr/bin/env node
/** `companion-segment`: the command line. */
import { AnalyticsError } from '../errors.js';
import { VERSION } from '../version.js';
import { CommandError, EXIT, UsageError } from './failure.js';
import { helpFor } from './help.js';
import { readCommandLine } from './options.js';
import { complain, print, say, tolerateGoneReaders } from './terminal.js';

async function main(): Promise<number> {
  const request = readCommandLine(process.argv.slice(2));
  if (request.kind === 'run') return (await request.topic.run?.(request.settings)) ?? EXIT.done;
  await print(request.kind === 'help' ? helpFor(request.topic) : `${VERSION}\n`);
  return EXIT.done;
}

/** Expected errors are a line; of others somebody will want to see where they come from. */
function explain(error: unknown): void {
  if (error instanceof UsageError) {
    complain(error.message);
    say(`usage: ${error.usage}`);
  } else if (error instanceof CommandError || error instanceof AnalyticsError || isOfSystem(error)) {
    complain((error as Error).message);
  } else {
    complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

/** A full disk, for one. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

tolerateGoneReaders();
main().then(
  (code) => {
    // Not process.exit(): what was written has to get out.
    process.exitCode = code;
  },
  (error: unknown) => {
    explain(error);
    process.exitCode = EXIT.unusable;
  },
);
