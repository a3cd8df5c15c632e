// A process that is frozen and thawed, as a Lambda function between two calls: what it had in flight was cut, or
// answered, or its connections were closed while it could not notice.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { verdict, wholeness } from '../judge.mjs';
import { within } from '../scene.mjs';

export const title = 'SIGSTOP and SIGCONT';

const PACE = 1_000;
const LONG_FREEZE_MS = 3_000;
/** Shorter than the long freeze: then the time limit of the request under way has passed when the process thaws. */
const REQUEST_TIMEOUT_MS = 2_000;

/** @typedef {{ collector: import('../collector.mjs').Collector, freeze: () => Promise<void> }} Ice */

/** What happens to a process around its freeze. @type {Record<string, (ice: Ice) => Promise<void>>} */
const FREEZES = {
  /** A request is under way, and its connection is cut. */
  cut: async ({ collector, freeze }) => {
    await holdOne(collector);
    await freeze();
    await collector.cut();
    collector.treat = () => 'answer';
  },
  /** A request is under way, and the answer waits in the socket. */
  answered: async ({ collector, freeze }) => {
    await holdOne(collector);
    await freeze();
    collector.answerHeld();
    collector.treat = () => 'answer';
  },
  /** The connections that are kept for later requests are closed. */
  idle: async ({ collector, freeze }) => {
    await freeze();
    await collector.cut();
  },
};

/**
 * @param {import('../scene.mjs').Scene} scene
 * @param {{ modes?: string[] }} [options]
 */
export async function run(scene, { modes = ['memory', 'spool'] } = {}) {
  if (process.platform === 'win32') return { status: 'not run', problems: ['no such signals'], facts: [] };
  const rounds = scene.short ? 1 : 3;
  const collector = await scene.collector();
  let freezes = 0;
  let stops = 0;
  let recoveries = 0;
  let connectionsCut = 0;
  const endings = [];
  const allErrors = {};
  for (const mode of modes) {
    const spool = mode === 'spool' ? scene.directory('spool') : undefined;
    const settings = { httpRequestTimeout: REQUEST_TIMEOUT_MS };
    const client = { library: 'companion', url: collector.url, spool, settings };
    const { producer, child } = scene.produce(client, { pace: PACE });
    const arrival = (/** @type {number} */ sequence) =>
      within('a delivery', child.alive(collector.until(() => collector.deliveries.has(producer, sequence))));
    await arrival(0);
    for (let round = 0; round < rounds; round += 1) {
      for (const [how, happen] of Object.entries(FREEZES)) {
        scene.progress(`${mode}: frozen, ${how}`);
        const before = collector.openConnections;
        await happen({
          collector,
          freeze: async () => {
            child.signal('SIGSTOP');
            freezes += 1;
            if (await isStopped(child.pid)) stops += 1;
            if (!scene.short) await pause(LONG_FREEZE_MS);
          },
        });
        connectionsCut += before - collector.openConnections;
        // Frozen, it tracks nothing: the next event is the first after the thaw.
        const next = scene.notesOf(producer).calls;
        child.signal('SIGCONT');
        await arrival(next + 1);
        recoveries += 1;
      }
    }
    const { errors } = await within('the end', child.call('finish', { timeout: 60_000 }));
    Object.assign(allErrors, errors);
    endings.push(await within('the exit', child.leave()));
  }
  const judged = scene.account(collector.deliveries);
  return {
    ...verdict({
      promises: {
        ...wholeness(judged),
        'delivery resumes after each thaw': recoveries === freezes,
        'no error was reported': Object.keys(allErrors).length === 0,
        'the processes ended well': endings.every(({ code, stderr }) => code === 0 && stderr === ''),
      },
      proofs: {
        'the process really stood still': stops === freezes && freezes > 0,
        'requests were under way': collector.held > 0,
        'connections were cut meanwhile': connectionsCut > 0,
      },
      examples: judged.examples,
    }),
    figures: scene.figures(judged, freezes),
    facts: [
      `${freezes} freezes, ${connectionsCut} connections cut and ${collector.held} requests held meanwhile`,
    ],
  };
}

/** From now on nothing is answered; resolves when a request waits. */
async function holdOne(/** @type {import('../collector.mjs').Collector} */ collector) {
  const before = collector.held;
  collector.treat = () => 'hold';
  await within(
    'a request',
    collector.until(() => collector.held > before),
  );
}

/** Resolves when the system says so; true where it does not tell. */
async function isStopped(/** @type {number} */ pid) {
  if (process.platform !== 'linux') return true;
  for (;;) {
    const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (state === 'T') return true;
    if (state === 'Z' || state === 'X') return false;
    await pause(1);
  }
}
