/** A process that is killed while Segment is down, and the next one, which delivers what it left on disk. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Analytics } from '@companion/segment';

const PROGRAM = fileURLToPath(new URL('killed-process.mjs', import.meta.url));
const BURST = 10_000;
const KILL_AFTER = 6_000;
const PREFIX = 'killed-process-';
/** Far more than recovery takes: a demo that has lost events has to end, too. */
const DEADLINE_MS = 10_000;
const LOOK_AGAIN_MS = 5;

/**
 * @typedef {object} Recovery
 * @property {boolean} wasKilled
 * @property {number} accepted calls of the killed process that returned true
 * @property {number} recovered events that the next process found on disk
 * @property {string[]} arrived their messageIds, in the order of arrival
 * @property {boolean} isComplete whether exactly the accepted events arrived, each once
 * @property {number} left bytes on disk after that
 */

/**
 * @param {import('@companion/segment/testing').FakeSegment} segment
 * @param {(text: string) => void} say
 * @returns {Promise<Recovery>}
 */
export async function killAndRecover(segment, say) {
  const directory = mkdtempSync(join(tmpdir(), 'companion-segment-demo-'));
  const settings = { writeKey: 'demo-write-key', host: segment.url, spool: directory };
  try {
    segment.addFaults({ status: 503, times: Infinity });
    const { accepted, wasKilled } = await runUntilKilled(settings);
    say(
      `Segment is down; a process with a spool is killed (SIGKILL) after ${shown(KILL_AFTER)} of ${shown(BURST)} calls`,
    );

    segment.clearFaults();
    const { recovered, spoolBytes } = await deliverWhatIsLeft(settings, say);
    const arrived = segment.events
      .map(({ messageId }) => messageId)
      .filter((messageId) => messageId.startsWith(PREFIX));
    const expected = new Set(Array.from({ length: accepted }, (_, number) => `${PREFIX}${number}`));
    // As many as expected, all different and none of them unexpected: exactly those.
    const isComplete =
      arrived.length === accepted &&
      new Set(arrived).size === accepted &&
      arrived.every((messageId) => expected.has(messageId));
    return { wasKilled, accepted, recovered, arrived, isComplete, left: spoolBytes };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runUntilKilled(settings) {
  const task = { settings, burst: BURST, killAfter: KILL_AFTER, prefix: PREFIX };
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [told, [, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { accepted: Number(told), wasKilled: signal === 'SIGKILL' };
}

async function deliverWhatIsLeft(settings, say) {
  const analytics = new Analytics(settings);
  const deadline = performance.now() + DEADLINE_MS;
  const isOver = ({ orphans, pending, spooled }) => orphans === 0 && pending + spooled === 0;
  while (!isOver(analytics.stats()) && performance.now() < deadline) await pause(LOOK_AGAIN_MS);
  const { recovered } = analytics.stats();
  say(`Segment is back; the next process on the same directory has recovered ${shown(recovered)} events`);
  await analytics.closeAndFlush({ timeout: 1_000 });
  return analytics.stats();
}

function shown(number) {
  return number.toLocaleString('en-US');
}
