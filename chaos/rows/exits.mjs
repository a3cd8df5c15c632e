// Every way out of a process, in memory and with a spool, with a server that answers and one that hangs.
import { cpus } from 'node:os';

import { verdict, wholeness } from '../judge.mjs';
import { within } from '../scene.mjs';

export const title = 'ways out of the process';

const NEVER_MS = 2_147_483_647;
/** At a server that answers it takes as long as it takes; at one that hangs the wait is part of the test. */
const EXIT_TIMEOUT_MS = { answers: 60_000, hangs: 200 };
/** What is left may be less than a batch, and nobody wants to wait for the usual interval. */
const LAST_INTERVAL_MS = 100;
const HANG_MS = 120_000;
const LEAST_EXITS = 120;
const MOST_EVENTS = 200;

/** How a process that ends in such a way is to end. @type {Record<string, number | NodeJS.Signals>} */
const KINDS = {
  'empty loop': 0,
  'process.exit()': 3,
  'uncaught error': 1,
  'unhandled rejection': 1,
  // Windows ends a process at once whatever the signal.
  ...(process.platform === 'win32' ? {} : { 'SIGTERM, flushOnSignal': 'SIGTERM' }),
  'end of a worker': 0,
  'process.exit() in a worker': 0,
  'worker.terminate()': 0,
  SIGKILL: 'SIGKILL',
};
const SERVERS = /** @type {const} */ (['answers', 'hangs']);

/**
 * @typedef {object} Exit
 * @property {string} kind
 * @property {'answers' | 'hangs'} server
 * @property {string} mode
 * @property {number} producer
 * @property {string | undefined} directory
 * @property {number} delivered before it had ended
 * @property {number} beyond milliseconds that it took beyond exitTimeout
 * @property {string | undefined} problem
 */

/**
 * @param {import('../scene.mjs').Scene} scene
 * @param {{ modes?: string[] }} [options]
 */
export async function run(scene, { modes = ['memory', 'spool'] } = {}) {
  const answering = await scene.collector();
  const hanging = await scene.collector();
  hanging.treat = () => 'hold';
  // One account: what a hanging server left on disk arrives at the one that answers.
  const { deliveries } = answering;
  const urls = { answers: answering.url, hangs: hanging.url };
  const cells = Object.keys(KINDS).flatMap((kind) =>
    SERVERS.flatMap((server) => modes.map((mode) => ({ kind, server, mode }))),
  );
  const rounds = scene.short ? 1 : Math.ceil(LEAST_EXITS / cells.length);
  const cases = Array.from({ length: rounds }, () => cells).flat();
  /** @type {Exit[]} */
  const exits = [];
  const waiting = cases.values();
  const lane = async () => {
    for (const cell of waiting) {
      exits.push(await leave(scene, cell, urls[cell.server], deliveries));
      scene.progress(`${exits.length} of ${cases.length} exits`);
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, cpus().length) }, lane));

  scene.progress('the spools that are left are delivered');
  const settings = { flushInterval: LAST_INTERVAL_MS };
  const clients = exits.flatMap(({ directory }) =>
    directory === undefined ? [] : [{ library: 'companion', url: answering.url, spool: directory, settings }],
  );
  const last = await within('the last process', scene.children.start('drain.mjs', { clients }).ending);

  const judged = scene.account(deliveries);
  const losses = exits.map((exit) => ({ ...exit, ...outcome(scene, exit, deliveries) }));
  // In memory a server that hangs, or a SIGKILL, costs what waits: that is what memory means.
  const allowed = losses.filter(
    ({ mode, server, kind }) => mode === 'memory' && (server === 'hangs' || kind === 'SIGKILL'),
  );
  const lostWhereAllowed = allowed.reduce((sum, { lost }) => sum + lost, 0);
  const lost = judged.lost - lostWhereAllowed;
  const problems = losses.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  return {
    ...verdict({
      promises: {
        ...wholeness({ ...judged, lost }),
        'every event was accepted': judged.accepted === judged.issued,
        'every process ended as it was to, without a crash or a hang': problems.length === 0,
        'the last process ended well': last.code === 0 && last.stderr === '',
      },
      proofs: {
        'every way out was taken':
          exits.length === cases.length && losses.every(({ accepted }) => accepted > 0),
        'the server that hangs was asked': hanging.held > 0,
        'spools were left behind': !modes.includes('spool') || losses.some(({ recovered }) => recovered > 0),
        'memory was lost where it may be': !modes.includes('memory') || lostWhereAllowed > 0,
      },
      examples: [...problems, ...judged.examples],
    }),
    figures: {
      ...scene.figures({ ...judged, lost }, hanging.held),
      kills: exits.filter(({ kind }) => kind === 'SIGKILL').length,
    },
    facts: [
      `${exits.length} exits; ${lostWhereAllowed} events were lost in memory, to SIGKILL or a server that hangs`,
    ],
    detail: detail(losses),
  };
}

/**
 * @param {import('../scene.mjs').Scene} scene
 * @param {{ kind: string, server: 'answers' | 'hangs', mode: string }} cell
 * @param {string} url
 * @param {import('../deliveries.mjs').Deliveries} deliveries
 * @returns {Promise<Exit>}
 */
async function leave(scene, { kind, server, mode }, url, deliveries) {
  const producer = scene.nextProducer();
  if (kind === 'SIGKILL') scene.wasKilled(producer);
  const directory = mode === 'spool' ? scene.directory(`spool-${producer}`) : undefined;
  const exitTimeout = EXIT_TIMEOUT_MS[server];
  const flushOnSignal = kind.startsWith('SIGTERM') ? ['SIGTERM'] : undefined;
  // Nothing leaves before the end by itself.
  const settings = { exitTimeout, flushOnSignal, flushAt: 2_500, flushInterval: NEVER_MS };
  const client = { library: 'companion', url, spool: directory, settings };
  const count = scene.random.between(1, MOST_EVENTS);
  const child = scene.children.start('exit.mjs', { kind, producer, notes: scene.notes, client, count });
  const ended = await within(`${kind}, ${mode}, a server that ${server}`, child.ending, HANG_MS);
  const delivered = deliveries.countOf(producer);
  const how = ended.signal ?? ended.code;
  const said = KINDS[kind] === 1 ? ended.stderr.includes('Error: chaos') : ended.stderr === '';
  const { begun = ended.at } = JSON.parse(child.stdout.trim() || '{}');
  const mayWait = server === 'hangs' && kind !== 'SIGKILL';
  return {
    kind,
    server,
    mode,
    producer,
    directory,
    delivered,
    beyond: ended.at - begun - (mayWait ? exitTimeout : 0),
    problem:
      how === KINDS[kind] && said
        ? undefined
        : `${kind}, ${mode}, a server that ${server}: ended with ${how} ${ended.stderr}`,
  };
}

function outcome(
  /** @type {import('../scene.mjs').Scene} */ scene,
  /** @type {Exit} */ { producer, delivered },
  /** @type {import('../deliveries.mjs').Deliveries} */ deliveries,
) {
  const { accepted } = scene.notesOf(producer);
  const recovered = deliveries.countOf(producer) - delivered;
  return { accepted, recovered, lost: scene.missing(producer, deliveries) };
}

/** @returns {string[][]} one line for each way out and server, header first */
function detail(/** @type {(Exit & ReturnType<typeof outcome>)[]} */ exits) {
  const modes = ['memory: delivered', 'lost', 'spool: delivered', 'by the next process', 'lost'];
  const header = ['way out', 'server', 'exits', ...modes, 'ms beyond exitTimeout, at most'];
  const lines = Object.keys(KINDS).flatMap((kind) =>
    SERVERS.map((server) => {
      const cell = exits.filter((exit) => exit.kind === kind && exit.server === server);
      const total = (/** @type {string} */ mode, /** @type {'delivered' | 'recovered' | 'lost'} */ key) =>
        String(cell.reduce((sum, exit) => sum + (exit.mode === mode ? exit[key] : 0), 0));
      return [
        kind,
        server,
        String(cell.length),
        total('memory', 'delivered'),
        total('memory', 'lost'),
        total('spool', 'delivered'),
        total('spool', 'recovered'),
        total('spool', 'lost'),
        Math.max(...cell.map(({ beyond }) => beyond)).toFixed(0),
      ];
    }),
  );
  return [header, ...lines];
}
