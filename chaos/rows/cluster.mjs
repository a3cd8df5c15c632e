// Four cluster workers and two worker threads on one spool directory. Workers are killed, one or two at a time, and
// started again at once, so that several processes want the same orphans; in the end only the threads survive.
import { setTimeout as pause } from 'node:timers/promises';

import { badDay } from '../collector.mjs';
import { verdict, wholeness } from '../judge.mjs';
import { drainAll, hasTracked } from '../killing.mjs';
import { segmentsIn, within } from '../scene.mjs';

export const title = 'cluster workers and worker threads on one spool';

const WORKERS = 4;
const THREADS = 2;
/** Events per second of each. */
const PACE = 1_000;
const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 400;
/** Orphans are looked for once a minute. */
const ADOPTION_MS = 150_000;
const LOOK_AGAIN_MS = 250;

/**
 * @param {import('../scene.mjs').Scene} scene
 * @param {{ inMemory?: boolean }} [sabotage] to see the row fail
 */
export async function run(scene, { inMemory = false } = {}) {
  const { short, random, children } = scene;
  const leastKills = short ? 6 : 60;
  const collector = await scene.collector();
  collector.treat = badDay(random);
  const directory = scene.directory('spool');
  const library = { library: 'companion', spool: inMemory ? undefined : directory };
  const client = { ...library, url: collector.url };
  const options = (/** @type {number} */ producer) => ({ producer, notes: scene.notes, client, pace: PACE });
  const primary = children.start('cluster.mjs', {});

  /** @type {{ producer: number, pid: number }[]} */
  const workers = [];
  const fork = async (untilReady = true) => {
    const producer = scene.nextProducer();
    const forked = primary.call('fork', { producer: options(producer), untilReady });
    const pid = await within('the start of a cluster worker', forked);
    children.adopt(pid);
    workers.push({ producer, pid });
  };
  let pendingKills = 0;
  /** @type {number[]} */
  const killed = [];
  /** Events that killed workers had accepted and that have not arrived yet. */
  const orphaned = () =>
    killed.reduce((sum, producer) => sum + scene.missing(producer, collector.deliveries), 0);
  const kill = async () => {
    const [{ producer, pid }] = workers.splice(random.between(0, workers.length - 1), 1);
    scene.wasKilled(producer);
    killed.push(producer);
    children.kill(pid);
    const how = await within('the end of a cluster worker', primary.call('ended', pid));
    if (how !== 'SIGKILL') throw new Error(`a cluster worker ended by itself, with ${how}`);
    children.forget(pid);
    collector.producerEnded(producer);
    if (scene.missing(producer, collector.deliveries) > 0) pendingKills += 1;
  };

  const threads = Array.from({ length: THREADS }, () => scene.nextProducer());
  for (const producer of threads) await primary.call('thread', options(producer));
  await Promise.all(Array.from({ length: WORKERS }, () => fork()));
  while (children.kills < leastKills - WORKERS) {
    const atOnce = random.between(1, 2);
    await pause(random.between(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS));
    await Promise.all(Array.from({ length: atOnce }, kill));
    await Promise.all(Array.from({ length: atOnce }, () => fork(random.chance(0.8))));
    scene.progress(`${children.kills} kills, ${collector.deliveries.distinct} delivered`);
  }
  // The last ones have no successors, and die at a server that is down: what they leave is no matter of chance.
  collector.treat = () => 'unavailable';
  await within(
    'tracking',
    primary.alive(Promise.all(workers.map(({ producer }) => hasTracked(scene, producer)))),
  );
  await Promise.all(Array.from({ length: WORKERS }, kill));
  await primary.call('threads', { command: 'stop' });
  collector.treat = () => 'answer';

  const leftToSurvivors = orphaned();
  const start = performance.now();
  if (!short && !inMemory) {
    while (orphaned() > 0 && performance.now() - start < ADOPTION_MS) {
      scene.progress(`the threads take over: ${orphaned()} events to come`);
      await pause(LOOK_AGAIN_MS);
    }
  }
  const adoption = (performance.now() - start) / 1_000;
  const leftBySurvivors = orphaned();
  const finished = primary.call('threads', { command: 'finish', argument: { timeout: 60_000 } });
  const survivors = await within('the threads', finished);
  await primary.call('endThreads');
  const { code, signal, stderr } = await within('the end of the primary', primary.leave());
  await drainAll(scene, collector, library);

  const judged = scene.account(collector.deliveries);
  const left = segmentsIn(directory).length;
  const recovered = survivors.reduce((sum, { stats }) => sum + (stats.recovered ?? 0), 0);
  return {
    ...verdict({
      promises: {
        ...wholeness(judged),
        'nothing was left on disk': left === 0,
        'survivors take over what no new process does': short || leftBySurvivors === 0,
        'the primary ended well': code === 0 && stderr === '',
      },
      proofs: {
        'as many kills as planned': children.kills >= leastKills,
        'a kill while events were pending': pendingKills > 0,
        'an event recovered by another process': collector.recovered > 0,
        'something was left when the last worker was killed': leftToSurvivors > 0,
        'the survivors recovered some of it': short || recovered > 0,
        'a 503 and an answer that never came': collector.unavailable > 0 && collector.resets > 0,
      },
      examples: [
        ...(code === 0 ? [] : [`the primary ended with ${code ?? signal}: ${stderr}`]),
        ...judged.examples,
      ],
    }),
    figures: scene.figures(judged, collector.faults),
    facts: [
      `${pendingKills} kills hit pending events; ${collector.recovered} events were delivered by another process`,
      short
        ? `${leftToSurvivors} events were left when the last worker was killed`
        : `${leftToSurvivors} events were left to the two threads, which had delivered all but ${leftBySurvivors} ` +
          `${adoption.toFixed(1)} s later (${recovered} recovered in all)`,
    ],
  };
}
