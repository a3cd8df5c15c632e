/** A client that takes over what ended processes left, until nothing of it is left or something stops it. */
import { setTimeout as pause } from 'node:timers/promises';

import type { Analytics } from '../analytics.js';
import { AnalyticsError } from '../errors.js';
import { statusText } from '../outcome.js';
import type { Stats } from '../report.js';
import type { Progress } from './progress.js';

/** Why it ended: nothing is left to do, the time was up, a signal came, or it makes no sense to go on. */
export type Ending = 'done' | 'timeout' | 'interrupted' | 'trouble';

/** Something wrong that concerns no event in particular. */
export interface Trouble {
  code: string;
  message: string;
}

const LOOK_EVERY_MS = 50;
/** The counters are not read in one step: between two looks everything has had its place in them. */
const QUIET_LOOKS = 2;
/** With these, only a person can help; the client would go on trying for days. */
const HOPELESS = new Set(['ERR_UNAUTHORIZED', 'ERR_SPOOL']);
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What is under way may still be answered, which spares Segment a repeat. */
const GRACE_MS: Record<Ending, number> = { done: 60_000, timeout: 1_000, interrupted: 1_000, trouble: 0 };

export interface Drained {
  ending: Ending;
  stats: Stats;
}

/** Starts a client and closes it in the end. What was not delivered is still in the spool then. */
export async function drainThrough(
  start: () => Analytics,
  timeoutMs: number,
  progress: Progress,
  tell: (trouble: Trouble) => void,
): Promise<Drained> {
  const stopped: { by?: Ending } = {};
  const interrupt = () => {
    stopped.by ??= 'interrupted';
  };
  // Before anything is sent. Only the first: a second signal ends the process as ever.
  for (const signal of SIGNALS) process.once(signal, interrupt);
  const client = start();
  client.on('error', ({ code, reason }) => {
    // What becomes of single events is in the counters.
    if (code !== 'unknown' || !(reason instanceof AnalyticsError)) return;
    progress.clear();
    tell({ code: reason.code, message: textOf(reason) });
    if (HOPELESS.has(reason.code)) stopped.by ??= 'trouble';
  });
  const deadline = performance.now() + timeoutMs;
  let quiet = 0;
  while (stopped.by === undefined) {
    await pause(LOOK_EVERY_MS);
    const stats = client.stats();
    progress.show(stats);
    quiet = isEmpty(stats) ? quiet + 1 : 0;
    if (quiet === QUIET_LOOKS) stopped.by ??= 'done';
    else if (performance.now() >= deadline) stopped.by ??= 'timeout';
  }
  await client.closeAndFlush({ timeout: GRACE_MS[stopped.by] });
  const stats = client.stats();
  progress.show(stats);
  progress.clear();
  for (const signal of SIGNALS) process.removeListener(signal, interrupt);
  return { ending: stopped.by, stats };
}

/** The client would try again in five minutes, and says so. This command does not wait for that. */
function textOf({ code, message, status }: AnalyticsError): string {
  if (code !== 'ERR_UNAUTHORIZED') return message;
  const answer = status === undefined ? '' : ` (${status} ${statusText(status)})`;
  return `Segment refuses the write key${answer}. Check SEGMENT_WRITE_KEY and SEGMENT_REGION.`;
}

function isEmpty({ orphans, spooled, pending }: Stats): boolean {
  return orphans === 0 && spooled === 0 && pending === 0;
}
