/** The command line, read and checked. */
import { parseArgs } from 'node:util';

import { COMMANDS, topicOf, type Topic } from './commands.js';
import { DIGEST } from './environment.js';
import { UsageError } from './failure.js';
import { nearest } from '../nearest.js';
import type { Settings } from './settings.js';

/** What to do. */
export type Request =
  { kind: 'help'; topic: Topic } | { kind: 'version' } | { kind: 'run'; topic: Topic; settings: Settings };

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  dead: { type: 'boolean' },
  source: { type: 'string' },
  timeout: { type: 'string' },
} as const;
type OptionName = keyof typeof OPTIONS;

/** Understood everywhere. */
const COMMON: readonly OptionName[] = ['help', 'version'];
/** The longest timer there is. */
const LONGEST_TIMEOUT_S = 2_147_483;

/** @throws UsageError */
export function readCommandLine(args: readonly string[]): Request {
  // Not strict: its errors know neither our commands nor what was meant.
  const { tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const words = tokens.filter((token) => token.kind === 'positional').map(({ value }) => value);
  const options = tokens.filter((token) => token.kind === 'option');
  const { topic, rest } = topicFrom(words);
  for (const option of options) checkOption(option, topic);
  const values = new Map(options.map(({ name, value }) => [name, value]));
  // Help comes first: whoever asks for it may not know the rest yet.
  if (values.has('help')) return { kind: 'help', topic };
  if (values.has('version')) return { kind: 'version' };
  if (topic.run === undefined) throw new UsageError('Which command?', topic.usage);
  // A second one is not shown: who gives a key as an argument should not find it in a log as well.
  if (rest.length > 1) throw new UsageError('There is more than one directory.', topic.usage);
  const settings = {
    directory: rest[0],
    json: values.has('json'),
    dead: values.has('dead'),
    source: digestFrom(values.get('source'), topic),
    timeout: millisecondsFrom(values.get('timeout'), topic),
  };
  return { kind: 'run', topic, settings };
}

/** Follows the words as far as they are commands. */
function topicFrom(words: readonly string[]): { topic: Topic; rest: readonly string[] } {
  let topic = topicOf([]);
  for (const [index, word] of words.entries()) {
    if (topic.run !== undefined) return { topic, rest: words.slice(index) };
    const next = COMMANDS.find(({ path }) => path.join(' ') === [...topic.path, word].join(' '));
    if (next === undefined) throw unknownCommand(word, topic);
    topic = next;
  }
  return { topic, rest: [] };
}

function unknownCommand(word: string, topic: Topic): UsageError {
  // Whoever leaves out a level means what is below it.
  const below = COMMANDS.filter(({ path }) => path.length > topic.path.length);
  const last = nearest(
    word,
    below.map(({ path }) => path.at(-1) ?? ''),
  );
  const meant = below.find(({ path }) => path.at(-1) === last)?.path.join(' ');
  return new UsageError(`Unknown command ${JSON.stringify(word)}.${suggestion(meant)}`, topic.usage);
}

function suggestion(meant: string | undefined): string {
  return meant === undefined ? '' : ` Did you mean ${meant}?`;
}

interface GivenOption {
  name: string;
  rawName: string;
  value: string | undefined;
}

function checkOption({ name, rawName, value }: GivenOption, topic: Topic): void {
  if (!isOption(name) || (rawName !== `--${name}` && rawName !== '-h')) throw unknownOption(rawName, topic);
  if (![...COMMON, ...topic.options].includes(name)) {
    const owners = COMMANDS.filter(({ options }) => options.some((option) => option === name));
    const names = owners.map(({ path }) => path.join(' '));
    throw new UsageError(`${rawName} is an option of ${names.join(', ')}.`, topic.usage);
  }
  if (OPTIONS[name].type === 'boolean' && value !== undefined)
    throw new UsageError(`${rawName} takes no value.`, topic.usage);
  if (OPTIONS[name].type === 'string' && (value === undefined || value === ''))
    throw new UsageError(`${rawName} needs a value.`, topic.usage);
}

function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

/** Values are not shown: one of them may be a key. */
function unknownOption(rawName: string, topic: Topic): UsageError {
  if (/key/i.test(rawName)) {
    const text = `There is no ${rawName}: arguments are visible to other users. Keys come from SEGMENT_WRITE_KEY and SEGMENT_SPOOL_KEY.`;
    return new UsageError(text, topic.usage);
  }
  const known = [...topic.options, ...COMMON];
  const meant = nearest(rawName.replace(/^-+/, ''), known);
  const hint = suggestion(meant === undefined ? undefined : `--${meant}`);
  return new UsageError(`Unknown option ${rawName}.${hint}`, topic.usage);
}

function digestFrom(text: string | undefined, topic: Topic): string | undefined {
  if (text === undefined) return undefined;
  if (!DIGEST.test(text))
    throw new UsageError('--source takes the 16 digits that "spool list" shows.', topic.usage);
  return text.toLowerCase();
}

function millisecondsFrom(text: string | undefined, topic: Topic): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= LONGEST_TIMEOUT_S) return seconds * 1_000;
  throw new UsageError('--timeout takes a number of seconds above 0.', topic.usage);
}
