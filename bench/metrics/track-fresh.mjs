import { once } from 'node:events';
import { WHOLE_BATCHES } from '../events.mjs';
import { answerCalls } from '../ipc-calls.mjs';
import { nodeBinaries } from '../node-binaries.mjs';
import { startProcess } from '../own-process.mjs';
import { OURS, OURS_WITH_SPOOL } from '../sdks/adapter.mjs';

/** The Nodes that the budgets are for. */
const LINES = ['20', '24', '26'];
const NODES = nodeBinaries(LINES);
const CALLS = 100_000;
// It keeps every event that it has not sent, and sends a tenth of what we do in the same time.
const PEER_CALLS = 20 * WHOLE_BATCHES;
const WARM_UP = 2 * WHOLE_BATCHES;

/** The case of a line of Node. */
export const caseOfNode = (/** @type {string} */ line) => `node${line}`;

export const title = 'track(): fresh events, one call after the other';
export const note =
  'Calls in a row without a turn of the event loop, each with a new object of about 330 bytes of JSON, while the engine ' +
  'delivers to the collector on the same cores. Events are built 100 at a time beside the clock. ns/call is the mean, ' +
  'garbage collection and waiting for a core included; the median block of 100 calls is without most of both. JSON.stringify is given the parameters as track() is, in the same ' +
  'process, as many times before and after. Under the running Node and those of the lines of the budgets that ' +
  `target/tools has (${LINES.join(', ')}), each round in a process of its own.`;
export const cases = Object.fromEntries(
  NODES.map(({ line, version }) => [caseOfNode(line), `Node ${version}`]),
);
export const onlySdks = [OURS, OURS_WITH_SPOOL, 'analytics-node'];
export const columns = [
  { key: 'trackNs', title: 'ns/call', digits: 0, headline: true },
  { key: 'stringifyNs', title: 'JSON.stringify ns', digits: 0 },
  { key: 'ratio', title: '× JSON.stringify', digits: 2 },
  { key: 'typicalNs', title: 'median block, ns/call', digits: 0 },
  { key: 'typicalRatio', title: 'median block, × JSON.stringify', digits: 2 },
];

export function sizeFor(sdk, quick, rounds) {
  const calls = sdk === 'analytics-node' ? PEER_CALLS : CALLS;
  return { sdk, rounds, calls: quick ? calls / 5 : calls };
}

export function describeSize({ rounds, calls }) {
  return `${rounds} × ${calls} calls`;
}

export async function measure({ url, size, collector }) {
  const { sdk, rounds, calls } = size;
  /** @type {Record<string, Record<string, number>[]>} */
  const measured = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  let first = 0;
  for (let round = 0; round < rounds; round++) {
    for (const { line, path } of NODES) {
      const { child, call, stop } = startProcess('fresh-calls.mjs', [sdk], path);
      answerCalls(child, { waitFor: (question) => collector('waitFor', question) });
      try {
        measured[caseOfNode(line)].push(await call('measure', { url, first, warmUp: WARM_UP, calls }));
        // By itself: it has a spool to remove.
        const ended = once(child, 'exit');
        child.disconnect();
        await ended;
      } finally {
        await stop();
      }
      first += WARM_UP + calls;
    }
  }
  return measured;
}
