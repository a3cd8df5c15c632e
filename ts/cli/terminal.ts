/** Data goes to stdout, everything that is said about it to stderr. */
import { styleText } from 'node:util';

/** Somebody who stops reading (`| head`) is no error of ours; writing tells, so nobody has to hear of it here. */
export function tolerateGoneReaders(): void {
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
}

const GONE = new Set(['EPIPE', 'ERR_STREAM_DESTROYED']);

/** Writes data and waits until it is taken. False: nobody reads any more. */
export async function print(text: string): Promise<boolean> {
  const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
    process.stdout.write(text, resolve);
  });
  if (error === null || error === undefined) return true;
  if (GONE.has(error.code ?? '')) return false;
  throw error;
}

/** Writes one document. */
export async function printJson(document: object): Promise<void> {
  await print(`${JSON.stringify(document, null, 2)}\n`);
}

/** Says something about the data. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Says that something is wrong. */
export function warn(text: string): void {
  say(`${styledFor(process.stderr, 'yellow', 'warning:')} ${text}`);
}

/** Says why the command ends. */
export function complain(text: string): void {
  say(`${styledFor(process.stderr, 'red', 'error:')} ${text}`);
}

/** Text in a style where that can be seen. */
export function styledFor(
  stream: NodeJS.WriteStream,
  style: Parameters<typeof styleText>[0],
  text: string,
): string {
  const hasColours = stream.isTTY && !process.env['NO_COLOR'];
  return hasColours ? styleText(style, text, { validateStream: false }) : text;
}
