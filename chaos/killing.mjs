// Lives of producers that end in a SIGKILL, one after the other.
import { setTimeout as pause } from 'node:timers/promises';

import { badDay } from './collector.mjs';
import { within } from './scene.mjs';

/** Events per second. */
const PACE = 5_000;
const SHORTEST_LIFE_MS = 150;
const LONGEST_LIFE_MS = 500;
/** Every fifth is killed as it starts, when it loads, opens its spool or takes over that of the one before. */
const EARLY_EVERY = 5;
const LONGEST_EARLY_LIFE_MS = 150;
const MOST_LIVES = 1_000;
const LOOK_AGAIN_MS = 5;
const LAST_INTERVAL_MS = 100;

/**
 * Until there were as many kills and accepted events as asked for. What waits then is still waiting, and the server
 * has no faults any more.
 *
 * @param {import('./scene.mjs').Scene} scene
 * @param {(life: number) => Omit<import('./clients.mjs').ClientOptions, 'url'>} clientOf
 * @param {{ kills: number, accepted: number }} least
 */
export async function killAgainAndAgain(scene, clientOf, least) {
  const collector = await scene.collector();
  collector.treat = badDay(scene.random);
  let accepted = 0;
  let pendingKills = 0;
  const isOurs = clientOf(1).library === 'companion';
  const end = async (/** @type {number} */ producer, /** @type {import('./children.mjs').Child} */ child) => {
    await scene.kill(producer, child);
    const { signal, stderr } = await child.ending;
    // analytics-node has its warnings; ours has nothing to say.
    const isWell = signal === 'SIGKILL' && (stderr === '' || !isOurs);
    if (!isWell) throw new Error(`a producer was not well: ${stderr}`);
    collector.producerEnded(producer);
    accepted += scene.notesOf(producer).accepted;
    if (scene.missing(producer, collector.deliveries) > 0) pendingKills += 1;
    scene.progress(
      `${scene.children.kills} kills, ${accepted} accepted, ${collector.deliveries.distinct} delivered`,
    );
  };
  for (let life = 1; life <= MOST_LIVES; life += 1) {
    if (scene.children.kills >= least.kills - 1 && accepted >= least.accepted) break;
    const early = life % EARLY_EVERY === 0;
    const length = early
      ? scene.random.between(0, LONGEST_EARLY_LIFE_MS)
      : scene.random.between(SHORTEST_LIFE_MS, LONGEST_LIFE_MS);
    const { producer, child } = scene.produce({ ...clientOf(life), url: collector.url }, { pace: PACE });
    if (!early) await within('the start of a producer', child.call('ready'));
    await pause(length);
    await end(producer, child);
  }
  // The last one dies at a server that is down: what it leaves is no matter of chance.
  collector.treat = () => 'unavailable';
  const last = { ...clientOf(scene.children.kills + 1), url: collector.url };
  const { producer, child } = scene.produce(last, { pace: PACE });
  await within('its first event', child.alive(hasTracked(scene, producer)));
  await end(producer, child);
  collector.treat = () => 'answer';
  return { collector, pendingKills };
}

/**
 * Resolves when a producer has noted another event.
 *
 * @param {import('./scene.mjs').Scene} scene
 * @param {number} producer
 */
export async function hasTracked(scene, producer) {
  const before = scene.notesOf(producer).calls;
  while (scene.notesOf(producer).calls === before) await pause(LOOK_AGAIN_MS);
}

/**
 * One last process delivers what all those before it have left.
 *
 * @param {import('./scene.mjs').Scene} scene
 * @param {import('./collector.mjs').Collector} collector
 * @param {Omit<import('./clients.mjs').ClientOptions, 'url'>} client
 */
export async function drainAll(scene, collector, client) {
  scene.progress('the last process delivers what is left');
  // What is left is less than a batch in the end, and nobody wants to wait for the usual interval.
  const settings = { flushInterval: LAST_INTERVAL_MS, ...client.settings };
  const { child } = scene.produce({ ...client, url: collector.url, settings });
  await within('the last process', child.call('drain'));
  const result = await within('its end', child.call('finish', { timeout: 60_000 }));
  const { code, signal, stderr } = await within('its exit', child.leave());
  if (code !== 0) throw new Error(`the last process ended with ${code ?? signal}: ${stderr}`);
  return result;
}
