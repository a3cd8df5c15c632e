/** The commands: how they are written, what they do, and where they are. */
import { CommandError, messageOf } from './failure.js';
import type { Settings } from './settings.js';
import type * as Drain from './spool-drain.js';
import type * as Export from './spool-export.js';
import type * as List from './spool-list.js';
import type * as Verify from './spool-verify.js';

/** A command, or a level above commands. */
export interface Topic {
  path: readonly string[];
  usage: string;
  summary: string;
  options: readonly ('json' | 'source' | 'dead' | 'timeout')[];
  /** Resolves with the exit code. Loaded when it is called for: help needs no engine. */
  run?: (settings: Settings) => Promise<number>;
}

const NAME = 'companion-segment';

// Not `import()`: in an archive of Yarn's Plug'n'Play only `require` finds them.
/* oxlint-disable typescript/no-require-imports */
export const COMMANDS: readonly Topic[] = [
  {
    path: [],
    usage: `${NAME} spool <command> [directory] [options]`,
    summary: 'Looks after what @companion/segment keeps on disk.',
    options: [],
  },
  {
    path: ['spool'],
    usage: `${NAME} spool <list|verify|drain|export> [directory] [options]`,
    summary: 'Looks after the spool: events on disk that Segment does not have yet.',
    options: [],
  },
  {
    path: ['spool', 'list'],
    usage: `${NAME} spool list [directory] [--source <digest>] [--json]`,
    summary: 'Shows what waits where.',
    options: ['source', 'json'],
    run: async (settings) => loaded(() => require('./spool-list.js') as typeof List).list(settings),
  },
  {
    path: ['spool', 'verify'],
    usage: `${NAME} spool verify [directory] [--source <digest>] [--json]`,
    summary: 'Checks every checksum.',
    options: ['source', 'json'],
    run: async (settings) => loaded(() => require('./spool-verify.js') as typeof Verify).verify(settings),
  },
  {
    path: ['spool', 'drain'],
    usage: `${NAME} spool drain [directory] [--timeout <seconds>] [--json]`,
    summary: 'Delivers now what ended processes left.',
    options: ['timeout', 'json'],
    run: async (settings) => loaded(() => require('./spool-drain.js') as typeof Drain).drain(settings),
  },
  {
    path: ['spool', 'export'],
    usage: `${NAME} spool export [directory] [--dead] [--source <digest>]`,
    summary: 'Writes undelivered events, or dead letters, as lines of JSON.',
    options: ['dead', 'source'],
    run: async (settings) =>
      loaded(() => require('./spool-export.js') as typeof Export).exportEvents(settings),
  },
];
/* oxlint-enable typescript/no-require-imports */

/** The topic at a path that exists. */
export function topicOf(path: readonly string[]): Topic {
  const topic = COMMANDS.find((command) => command.path.join(' ') === path.join(' '));
  if (topic === undefined) throw new RangeError(`no command ${path.join(' ')}`);
  return topic;
}

/** Without the engine for this platform, its loader says what to do. */
function loaded<Module>(load: () => Module): Module {
  try {
    return load();
  } catch (error) {
    throw new CommandError(messageOf(error));
  }
}
