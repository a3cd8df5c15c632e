// Node processes with a spool, killed again and again, while the server has a bad day.
import { killAgainAndAgain, drainAll } from '../killing.mjs';
import { segmentsIn } from '../scene.mjs';
import { verdict, wholeness } from '../judge.mjs';

export const title = 'SIGKILL of Node processes, spool';

/** Of 32 bytes each, in hexadecimal. */
const KEYS = ['a1'.repeat(32), 'b2'.repeat(32)];

/**
 * @param {import('../scene.mjs').Scene} scene
 * @param {{ inMemory?: boolean, beforeDrain?: (directory: string) => void }} [sabotage] to see the row fail
 */
export async function run(scene, { inMemory = false, beforeDrain } = {}) {
  const least = scene.short ? { kills: 6, accepted: 0 } : { kills: 200, accepted: 150_000 };
  const directory = scene.directory('spool');
  /** A third of the lives write plain text, a third encrypts, a third has a new key; every second syncs its files. */
  const clientOf = (/** @type {number} */ life) => {
    const keys = KEYS.slice(0, Math.floor((3 * life) / (least.kills + 1))).toReversed();
    const encryptionKey = keys.length > 0 ? keys : undefined;
    const durability = life % 2 === 0 ? 'power' : 'process';
    return { library: 'companion', spool: inMemory ? undefined : { directory, durability, encryptionKey } };
  };
  const { collector, pendingKills } = await killAgainAndAgain(scene, clientOf, least);
  const segments = segmentsIn(directory).length;
  beforeDrain?.(directory);
  const { stats } = await drainAll(scene, collector, clientOf(least.kills));
  const judged = scene.account(collector.deliveries);
  const left = segmentsIn(directory).length;
  return {
    ...verdict({
      promises: { ...wholeness(judged), 'nothing was left on disk': left === 0 },
      proofs: {
        'as many kills and events as planned':
          scene.children.kills >= least.kills && judged.accepted >= least.accepted,
        'a kill while events were pending': pendingKills > 0,
        'an event recovered by another process': collector.recovered > 0,
        'a 503': collector.unavailable > 0,
        'an answer that never came': collector.resets > 0,
        'a duplicate': judged.duplicates > 0,
      },
      examples: judged.examples,
    }),
    figures: scene.figures(judged, collector.faults),
    facts: [
      `${pendingKills} kills hit pending events`,
      `${collector.recovered} events were delivered by a later process, ${stats.recovered ?? 0} of them by the last one`,
      `${segments} segments on disk before it, ${left} after it`,
    ],
  };
}
