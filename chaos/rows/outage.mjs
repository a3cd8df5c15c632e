// A long outage: the server is down while a million events are tracked, then it comes back. After a second, shorter
// one the process is killed while it catches up, and the next one takes over what is still on disk.
import { verdict, wholeness } from '../judge.mjs';
import { drainAll } from '../killing.mjs';
import { segmentsIn, within } from '../scene.mjs';

export const title = 'a server that is down, spool';

const MIB = 2 ** 20;
/** Room for all of it: this row is not about what gives way when the disk budget is used up. */
const SPOOL_BYTES = 4 * 2 ** 30;
/** Node with the package loaded and its young generation grown takes some 100 MiB. */
const BASE_BYTES = 192 * MIB;
const PATIENCE_MS = 600_000;
const LOOK_EVERY_MS = 50;
const CALLS_BETWEEN_LOOKS = 100;

/**
 * @param {import('../scene.mjs').Scene} scene
 * @param {{ inMemory?: boolean }} [sabotage] to see the row fail
 */
export async function run(scene, { inMemory = false } = {}) {
  const events = scene.short ? 20_000 : 1_000_000;
  const fewer = events / 4;
  // What may wait in memory: far less than all of it takes.
  const maxQueueBytes = (scene.short ? 1 : 64) * MIB;
  const directory = scene.directory('spool');
  const settings = { maxQueueBytes };
  const spool = inMemory ? undefined : { directory, maxBytes: SPOOL_BYTES };
  const client = { library: 'companion', spool, settings };
  const collector = await scene.collector();

  const first = await sitOut(scene, collector, client, events);
  const recovery = performance.now();
  const looks = await lookWhile(scene, collector, first.child, first.child.call('drain'));
  const drained = (performance.now() - recovery) / 1_000;
  const end = await within('the end', first.child.call('finish', { timeout: 60_000 }));
  const { code } = await within('the exit', first.child.leave());

  const second = await sitOut(scene, collector, client, fewer);
  const third = collector.deliveries.distinct + (second.stats.spooled + second.stats.pending) / 3;
  const caughtUp = second.child.alive(collector.until(() => collector.deliveries.distinct >= third));
  await lookWhile(scene, collector, second.child, caughtUp);
  await scene.kill(second.producer, second.child);
  collector.producerEnded(second.producer);
  const last = await drainAll(scene, collector, client);

  const judged = scene.account(collector.deliveries);
  const peak = scene.children.peakMemory;
  return {
    ...verdict({
      promises: {
        ...wholeness(judged),
        'every event was accepted': judged.accepted === events + fewer,
        'the process delivered all of it by itself after the first': end.stats.delivered === events,
        'memory is bounded': peak <= BASE_BYTES + 1.2 * maxQueueBytes,
        'no error was reported': Object.keys(end.errors).length === 0,
        'the process ended well': code === 0,
        'nothing was left on disk': segmentsIn(directory).length === 0,
      },
      proofs: {
        'all of it waited': first.stats.delivered === 0 && first.stats.accepted === events,
        'some of it was on disk only': first.stats.spooled > 0 && second.stats.spooled > 0,
        'another process recovered the rest after the second': last.stats.recovered > 0,
        'the counters were looked at all the while': looks > 0 || scene.short,
      },
      examples: judged.examples,
    }),
    figures: scene.figures(judged, 2),
    facts: [
      `${events} events tracked in ${first.seconds.toFixed(1)} s, delivered in ${drained.toFixed(1)} s after the outage`,
      `at its end ${first.stats.spooled} events were on disk only (${mebibytes(first.stats.spoolBytes)}) and ` +
        `${first.stats.pending} in memory`,
      `${last.stats.recovered} of ${fewer} events were recovered after the SIGKILL that followed the second outage`,
      `the counters added up at ${Math.floor((events + fewer) / CALLS_BETWEEN_LOOKS) + looks} looks`,
    ],
  };
}

/** Tracks so many events while the server is down. It is back when this resolves. */
async function sitOut(
  /** @type {import('../scene.mjs').Scene} */ scene,
  /** @type {import('../collector.mjs').Collector} */ collector,
  /** @type {Omit<import('../clients.mjs').ClientOptions, 'url'>} */ client,
  /** @type {number} */ count,
) {
  await collector.pause();
  const start = performance.now();
  scene.progress(`${count} events are tracked`);
  const { producer, child } = scene.produce({ ...client, url: collector.url });
  const { stats } = await within('tracking', child.call('track', { count }), PATIENCE_MS);
  const seconds = (performance.now() - start) / 1_000;
  await collector.resume();
  return { producer, child, stats, seconds };
}

/** Lets the producer check its counters while something else goes on; says how often it did. */
async function lookWhile(
  /** @type {import('../scene.mjs').Scene} */ scene,
  /** @type {import('../collector.mjs').Collector} */ collector,
  /** @type {import('../children.mjs').Child} */ child,
  /** @type {Promise<unknown>} */ promise,
) {
  let looks = 0;
  const looking = setInterval(() => {
    scene.progress(`${collector.deliveries.distinct} delivered`);
    // Counters that do not add up are an error of the call, and end the row.
    child.call('look').then(
      () => (looks += 1),
      (error) => (failure = error),
    );
  }, LOOK_EVERY_MS);
  /** @type {Error | undefined} */
  let failure;
  try {
    await within('the recovery', promise, PATIENCE_MS);
  } finally {
    clearInterval(looking);
  }
  if (failure !== undefined) throw failure;
  return looks;
}

function mebibytes(bytes = 0) {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}
