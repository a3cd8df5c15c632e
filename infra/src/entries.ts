/** The modules of `lambda/`. */
import { fileURLToPath } from 'node:url';

/** What invokes the function: SNS, or Lambda with what it read from a queue. */
export type Entry = 'sns' | 'sqs';

/** The path of the entry point that comes with the construct. */
export function entryPath(entry: Entry): string {
  return fileURLToPath(new URL(`../lambda/${entry}.ts`, import.meta.url));
}
