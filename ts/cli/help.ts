/** The texts of `--help`. */
import { COMMANDS, type Topic } from './commands.js';

const DIRECTORY =
  'The directory is the spool.directory of your client; without one, that in SEGMENT_SPOOL_DIR.';

const OPTION_TEXTS = {
  json: ['--json', 'one JSON document on standard output'],
  source: ['--source <digest>', 'only this source, by the digest of its write key that "spool list" shows'],
  dead: ['--dead', 'dead letters (what Segment refused) instead of undelivered events'],
  timeout: ['--timeout <seconds>', 'stop after so long; what is left stays in the spool'],
} as const;

const COMMON = [
  ['-h, --help', 'this text'],
  ['--version', 'the version'],
] as const;

const KEYS = [
  ['SEGMENT_SPOOL_KEY', 'encryption keys of the spool, base64 or hex, separated by commas'],
] as const;
const DIRECTORY_VARIABLE = [['SEGMENT_SPOOL_DIR', 'the directory, where none is given']] as const;

/** What only one command's text says. */
const DETAILS: Record<
  string,
  { text: string; variables: readonly (readonly [string, string])[]; exits: string[] }
> = {
  list: {
    text: `Shows one row for each instance (process or worker thread) and source. Held: a running process has it.
Waiting: the next process with this write key takes it over, or "spool drain". Changes nothing.`,
    variables: DIRECTORY_VARIABLE,
    exits: ['0  shown', '2  wrong usage, or something can not be read'],
  },
  verify: {
    text: `Checks every record of every file. A torn end alone is no damage: it is a write that never returned, so
nothing that was accepted is lost. Changes nothing.`,
    variables: DIRECTORY_VARIABLE,
    exits: ['0  all sound', '1  damage found', '2  wrong usage, or something can not be read'],
  },
  drain: {
    text: `Delivers what ended processes left for one write key, up to 24 days old, whatever maxEventAge your client has.
What running processes hold is left to them. What Segment refuses becomes a dead letter. To stop, press Ctrl+C:
what is left stays in the spool.`,
    variables: [
      ['SEGMENT_WRITE_KEY', 'the write key; never an argument, since those are visible to other users'],
      ['SEGMENT_REGION', 'us or eu'],
      ['SEGMENT_HOST', 'where to send instead of Segment'],
      ...KEYS,
      ...DIRECTORY_VARIABLE,
    ],
    exits: [
      '0  everything is delivered, or there was nothing to do',
      '1  something was dropped, is encrypted with a key that is not given, or is left over',
      '2  wrong usage or configuration',
    ],
  },
  export: {
    text: `Writes each event as one line of JSON. Dead letters are {reason, status, attempts, droppedAtMs, event}. Nothing
is removed: what is exported will still be delivered. The output is customer data, decrypted.`,
    variables: [...KEYS, ...DIRECTORY_VARIABLE],
    exits: [
      '0  everything is exported',
      '1  something is damaged or could not be decrypted',
      '2  wrong usage, or something can not be read',
    ],
  },
};

/** The whole text of a topic. */
export function helpFor(topic: Topic): string {
  const details = DETAILS[topic.path.at(-1) ?? ''];
  const parts = [`Usage: ${topic.usage}`];
  if (details === undefined) {
    parts.push(topic.summary, section('Commands', commandsOf()), DIRECTORY, section('Options', COMMON));
    parts.push('"companion-segment spool <command> --help" says more.');
  } else {
    const options = [...topic.options.map((option) => OPTION_TEXTS[option]), ...COMMON];
    parts.push(details.text, DIRECTORY, section('Options', options));
    parts.push(
      section('Environment', details.variables),
      section(
        'Exit codes',
        details.exits.map((exit) => [exit]),
      ),
    );
  }
  return `${parts.join('\n\n')}\n`;
}

function commandsOf(): [string, string][] {
  return COMMANDS.filter(({ run }) => run !== undefined).map(({ path, summary }) => [
    path.join(' '),
    summary,
  ]);
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([name = '']) => name.length));
  const lines = rows.map(([name = '', text = '']) => `  ${name.padEnd(width)}  ${text}`.trimEnd());
  return [`${title}:`, ...lines].join('\n');
}
