/** Lines in the application's log: Nest's `Logger`, so that `app.useLogger()` redirects them. */
import { Logger } from '@nestjs/common';

import { LINE_PREFIX, logTo, type Log, type LoggerLike, type LogThreshold } from '../logger.js';

/** What the client without a name is called in logs and metrics. */
export const DEFAULT_CLIENT = 'default';

/** An outage must not flood the log: a line that repeats is written once in this many milliseconds. */
const QUIET_MS = 60_000;

/** The log of one client. */
export interface NestLog {
  /** Lines that repeat are counted, and the count goes with the next one that is written. */
  write: Log;
  /** Each line is written. */
  each: Log;
  /** For `Analytics`, whose engine speaks through it. */
  forEngine: LoggerLike;
}

/** @throws AnalyticsError `ERR_OPTION_INVALID` when it is no logger */
export function logInNest(
  logger: LoggerLike | undefined,
  clientName: string,
  threshold: LogThreshold = 'info',
  now = () => performance.now(),
): NestLog {
  // Without a context of its own: the lines bring theirs.
  const line = logTo(logger ?? new Logger(), threshold);
  const each: Log = (level, message, fields) => line(level, message, { client: clientName, ...fields });
  const write = quietly(each, now);
  const forLevel = (level: string) => (text: string, fields: Record<string, unknown>) => {
    write(level, text.slice(LINE_PREFIX.length), fields);
  };
  const forEngine = {
    error: forLevel('error'),
    warn: forLevel('warn'),
    info: forLevel('info'),
    debug: forLevel('debug'),
  };
  return { write, each, forEngine };
}

function quietly(log: Log, now: () => number): Log {
  // As many entries as there are different texts, which are all ours.
  const written = new Map<string, { at: number; left: number }>();
  return (level, message, fields) => {
    const last = written.get(message);
    if (last !== undefined && now() - last.at < QUIET_MS) {
      last.left += 1;
      return;
    }
    written.set(message, { at: now(), left: 0 });
    const left = last?.left ?? 0;
    log(level, message, left > 0 ? { ...fields, leftOut: left } : fields);
  };
}
