// A disk that is full, twice: with what the spool itself has written while the server is down, and with somebody
// else's data while the server is up. The application goes on, memory takes over, and the spool comes back.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { verdict, wholeness } from '../judge.mjs';
import { drainAll } from '../killing.mjs';
import { within } from '../scene.mjs';

export const title = 'a disk that is full';

const DISK = '1m';
/** Several times what fits on the disk. */
const MOST_UNTIL_FULL = 20_000;
const LOOK_AGAIN_MS = 20;
/** Waiting for the rest of a batch would prove nothing. */
const FLUSH_INTERVAL_MS = 100;
const BLOCK = Buffer.alloc(4_096);

export async function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  const disk = scene.directory('disk');
  const mounted = mount(disk);
  if (mounted !== undefined) return { status: 'not run', problems: [mounted], facts: [] };
  scene.atEnd(() => spawnSync('umount', ['--lazy', disk]));

  const collector = await scene.collector();
  collector.treat = () => 'unavailable';
  const settings = { flushInterval: FLUSH_INTERVAL_MS };
  const { producer, child } = scene.produce({
    library: 'companion',
    url: collector.url,
    spool: disk,
    settings,
  });
  /** Less than the disk holds, for the time after. */
  const few = 1_000;
  const more = scene.short ? few : 20_000;

  scene.progress('the spool fills the disk');
  const ready = await child.call('look');
  const full = await within(
    'the full disk',
    child.call('track', { count: MOST_UNTIL_FULL, untilSpool: 'degraded' }),
  );
  scene.progress('memory takes over');
  const beyond = await within('tracking', child.call('track', { count: more }));
  collector.treat = () => 'answer';
  scene.progress('the server is back');
  const drained = await within('the drain', child.call('drain'));
  const back = await spoolIs(child, 'ready');

  scene.progress('somebody else fills the disk');
  const filler = join(disk, 'filler');
  fill(filler);
  const again = await within(
    'the full disk',
    child.call('track', { count: MOST_UNTIL_FULL, untilSpool: 'degraded' }),
  );
  const meanwhile = await within('tracking', child.call('track', { count: more }));
  await within('the drain', child.call('drain'));
  rmSync(filler);
  scene.progress('there is space again');
  const backAgain = await spoolIs(child, 'ready');
  // What is tracked from now on survives again.
  collector.treat = () => 'unavailable';
  const last = await within('tracking', child.call('track', { count: few }));
  await scene.kill(producer, child);
  collector.producerEnded(producer);
  const { stderr } = await child.ending;
  collector.treat = () => 'answer';
  const { stats } = await drainAll(scene, collector, { library: 'companion', spool: disk });

  const judged = scene.account(collector.deliveries);
  return {
    ...verdict({
      promises: {
        ...wholeness(judged),
        'tracking goes on': judged.accepted === judged.issued,
        'listeners are told, with ERR_SPOOL': (beyond.errors.ERR_SPOOL ?? 0) > 0,
        'and again the second time': (meanwhile.errors.ERR_SPOOL ?? 0) > (drained.errors.ERR_SPOOL ?? 0),
        'the spool comes back when there is space':
          back.stats.spool === 'ready' && backAgain.stats.spool === 'ready',
        'the process had nothing to complain of': stderr === '',
      },
      proofs: {
        'the spool was in use': ready.stats.spool === 'ready' && full.stats.spoolBytes > 0,
        'the disk was full while the server was down':
          full.stats.spool === 'degraded' && full.stats.delivered === 0,
        'memory held events then':
          beyond.stats.pending > 0 && beyond.stats.accepted === full.stats.accepted + more,
        'the disk was full while the server was up': again.stats.spool === 'degraded',
        'events were spooled after it': last.stats.spool === 'ready' && stats.recovered > 0,
      },
      examples: judged.examples,
    }),
    figures: scene.figures(judged, 2),
    facts: [
      `the disk was full after ${full.stats.accepted} events (${full.stats.spoolBytes} bytes of the spool); ` +
        `${more} more were tracked then`,
      `${stats.recovered} events that were tracked once there was space again were recovered after a SIGKILL`,
      `errors for listeners: ${JSON.stringify(meanwhile.errors)}`,
    ],
  };
}

/** @returns {string | undefined} why not */
function mount(/** @type {string} */ directory) {
  if (process.platform !== 'linux') return 'there is no tmpfs to mount';
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0700`, 'tmpfs', directory]);
  return status === 0 ? undefined : 'no permission to mount';
}

/** Writes until nothing more fits. */
function fill(/** @type {string} */ path) {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, BLOCK);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  } finally {
    closeSync(file);
  }
}

/** Waits for a state of the spool. */
async function spoolIs(/** @type {import('../children.mjs').Child} */ child, /** @type {string} */ state) {
  const looking = async () => {
    for (;;) {
      const seen = await child.call('look');
      if (seen.stats.spool === state) return seen;
      await pause(LOOK_AGAIN_MS);
    }
  };
  return within(`the spool being ${state}`, looking());
}
