/** `spool drain`: delivers now what ended processes left for one write key. */
import { statSync } from 'node:fs';
import { join } from 'node:path';

import { Analytics } from '../analytics.js';
import { AnalyticsError } from '../errors.js';
import { resolveSettings, settingsFromEnvironment, type AnalyticsSettings } from '../options.js';
import { drainThrough, type Drained, type Trouble } from './draining.js';
import { sourceDigest, spoolDirectory, spoolKeys } from './environment.js';
import { CommandError, EXIT, messageOf } from './failure.js';
import { takeInventory, type Segment } from './inventory.js';
import { NO_PROGRESS, progressOn } from './progress.js';
import { accountOf, documentOf, findingsIn, foundBy, isIncomplete, type Outcome } from './drain-account.js';
import type { Settings } from './settings.js';
import { complain, print, printJson, say } from './terminal.js';

/** The longest there is, some 24 days: who drains by hand wants old events to arrive, not to be given up. */
const MAX_EVENT_AGE_MS = 2_147_483_647;

export async function drain({ directory: given, json, timeout }: Settings): Promise<number> {
  const directory = spoolDirectory(given);
  const settings = clientSettings(directory);
  const source = sourceDigest(settings.writeKey);
  const found = foundBy(takeInventory(directory), source);
  for (const line of findingsIn(found, directory, source)) say(line);
  const troubles: Trouble[] = [];
  const tell = (trouble: Trouble) => {
    troubles.push(trouble);
    complain(`${trouble.code}: ${trouble.message}`);
  };
  const startedAt = performance.now();
  let drained: Drained | undefined;
  let left: Segment[] = [];
  if (found.waiting.length > 0) {
    checkOwner(directory, source);
    const progress = json ? NO_PROGRESS : progressOn(process.stderr, found.waitingEvents);
    drained = await drainThrough(() => new Analytics(settings), timeout ?? Infinity, progress, tell);
    left = takeInventory(directory, source).filter(isLeftOver);
  }
  const durationMs = Math.round(performance.now() - startedAt);
  const outcome: Outcome = { directory, source, found, drained, left, troubles, durationMs };
  if (json) await printJson(documentOf(outcome));
  else await print(accountOf(outcome));
  return isIncomplete(outcome) ? EXIT.attention : EXIT.done;
}

/** Checked before anything is said or started. */
function clientSettings(directory: string): AnalyticsSettings {
  if (isDisabled(process.env['SEGMENT_DISABLE'])) {
    throw new CommandError('SEGMENT_DISABLE is set: nothing would be sent. Unset it to drain.');
  }
  const encryptionKey = spoolKeys();
  const spool = { directory, encryptionKey: encryptionKey.length === 0 ? undefined : encryptionKey };
  try {
    const overrides = { spool, flushInterval: 0, maxEventAge: MAX_EVENT_AGE_MS, disable: false };
    const settings = settingsFromEnvironment(overrides, process.env);
    resolveSettings(settings);
    return settings;
  } catch (error) {
    const { field, code } = error instanceof AnalyticsError ? error : {};
    if (code === 'ERR_WRITE_KEY_MISSING')
      throw new CommandError('Set SEGMENT_WRITE_KEY to the write key of the source.');
    const variable = VARIABLES[field ?? ''];
    throw new CommandError(
      `${messageOf(error)}${variable === undefined ? '' : ` It is set in ${variable}.`}`,
    );
  }
}

const VARIABLES: Record<string, string> = {
  host: 'SEGMENT_HOST',
  region: 'SEGMENT_REGION',
  writeKey: 'SEGMENT_WRITE_KEY',
};

function isDisabled(text = ''): boolean {
  return !['', 'false', '0', 'no', 'off'].includes(text.toLowerCase());
}

/** What another user owned would be left half to us and half to them. */
function checkOwner(directory: string, source: string): void {
  const user = process.geteuid?.();
  if (user === undefined) return;
  for (const path of [directory, join(directory, source)]) {
    const owner: number = statSync(path, { throwIfNoEntry: false })?.uid ?? user;
    if (owner !== user && owner !== 0)
      throw new CommandError(`${path} belongs to another user (${owner}). Run this as that user.`);
  }
}

/** Not what a running process has taken over meanwhile, and no file in which nothing is open any more. */
function isLeftOver({ state, events, isNewer, unreadable }: Segment): boolean {
  return state === 'waiting' && (events > 0 || isNewer || unreadable !== null);
}
