/** Where in the application a call was made, for the log. */
import { dirname, isAbsolute, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where this package lives. */
const OURS = dirname(__dirname);
/** Deep enough to get out of this package and of a framework's. */
const FRAMES = 30;
/** The end of a line of a stack: `(file:///app/dist/main.js:12:22)`, with the path and the place in it. */
const PLACE = /(?<path>(?:file:\/\/)?(?:\/|[A-Z]:\\)[^()]*?)(?<position>:\d+:\d+)\)?$/;

/** `OrdersService.complete (dist/orders.service.js:12:22)`; undefined where only libraries are on the stack. */
export function callSite(): string | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES;
  const { stack } = new Error('call site') as { stack?: unknown };
  Error.stackTraceLimit = stackTraceLimit;
  // The application's `Error.prepareStackTrace` may make anything of it.
  if (typeof stack !== 'string') return undefined;
  for (const line of stack.split('\n').slice(1)) {
    const { path, position } = PLACE.exec(line)?.groups ?? {};
    if (path === undefined || position === undefined) continue;
    const file = path.startsWith('file:') ? fileURLToPath(path) : path;
    if (file.startsWith(OURS) || file.includes('node_modules')) continue;
    return line.trim().replace(/^at /, '').replace(path, shortened(file));
  }
  return undefined;
}

function shortened(file: string): string {
  const within = relative(process.cwd(), file);
  return within.startsWith('..') || isAbsolute(within) ? file : within;
}
