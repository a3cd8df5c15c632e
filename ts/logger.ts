/** The `logger` option: pino, winston, a Nest `LoggerService` or anything like `console`. */
import { AnalyticsError } from './errors.js';

type Line = (...args: never[]) => unknown;

/** What all the supported loggers have. Which of them it is shows in the rest. */
export interface LoggerLike {
  error: Line;
  warn: Line;
  info?: Line;
  log?: Line;
  debug?: Line;
  verbose?: Line;
}

/** From which level on the engine speaks. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogThreshold = (typeof LOG_LEVELS)[number];

/** What lines begin with, where a logger has no place for a context. */
export const LINE_PREFIX = 'segment: ';

/** Writes one line. */
export type Log = (level: string, message: string, fields: Record<string, unknown>) => void;

type Loose = Record<string, ((...args: unknown[]) => unknown) | undefined>;

type Writer = (...line: Parameters<Log>) => unknown;

/** Finds out which logger it is. A logger that throws or rejects is none: the line is dropped. */
export function logTo(logger: LoggerLike, threshold: LogThreshold): Log {
  const loose = logger as unknown as Loose;
  const write = writerFor(loose);
  if (write === undefined) {
    const limit =
      'a pino, winston or Nest logger, or an object with error, warn, info and debug like console';
    throw new AnalyticsError('ERR_OPTION_INVALID', `The option logger must be ${limit}.`, {
      field: 'logger',
      limit,
    });
  }
  return (level, message, fields) => {
    if (LOG_LEVELS.indexOf(level as LogThreshold) > LOG_LEVELS.indexOf(threshold)) return;
    try {
      const written = write(level, message, fields);
      if (written instanceof Promise) written.catch(() => {});
    } catch {
      // A broken logger must not break the application that tracks.
    }
  };
}

function writerFor(logger: Loose): Writer | undefined {
  const has = (...names: string[]) => names.every((name) => typeof logger[name] === 'function');
  const call = (name: string, ...args: unknown[]) => logger[name]?.(...args);
  if (typeof logger !== 'object' || logger === null || !has('error', 'warn')) return undefined;
  if (has('bindings', 'child', 'info'))
    return (level, message, fields) => call(level, fields, LINE_PREFIX + message);
  if (has('log', 'add', 'info')) {
    return (level, message, fields) =>
      call('log', level === 'trace' ? 'silly' : level, LINE_PREFIX + message, fields);
  }
  if (has('log') && !has('info')) {
    const names: Record<string, string> = { info: 'log', trace: has('verbose') ? 'verbose' : 'log' };
    return (level, message, fields) => {
      const name = names[level] ?? level;
      // Between an error's message and its context Nest's loggers expect a stack.
      const context = name === 'error' ? [undefined, 'Segment'] : ['Segment'];
      return call(has(name) ? name : 'log', `${message} ${JSON.stringify(fields)}`, ...context);
    };
  }
  if (has('info')) {
    return (level, message, fields) => {
      const name = level === 'trace' ? 'debug' : level;
      return call(has(name) ? name : 'info', LINE_PREFIX + message, fields);
    };
  }
  return undefined;
}
