/** How a command ends: its exit codes, and errors that are expected and so need no stack trace. */

export const EXIT = {
  /** All is well. */
  done: 0,
  /** The command ran, and what it found or left behind needs somebody. */
  attention: 1,
  /** Wrong usage or configuration, or files that can't be read. */
  unusable: 2,
} as const;

/** Something that a person can mend. */
export class CommandError extends Error {}

/** The command line itself is wrong. */
export class UsageError extends CommandError {
  /** How it is written. */
  readonly usage: string;

  constructor(message: string, usage: string) {
    super(message);
    this.usage = usage;
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
