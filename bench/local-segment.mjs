// Segment as the neighbours and the bad events of the bench meet it: it answers after a while, and refuses a request
// with a bad event in it. What the collector counts it counts too, but it looks into a body as soon as it has it: its
// answer depends on it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { SEQUENCE_MARKER } from './events.mjs';
import { answerCalls } from './ipc-calls.mjs';

/** Text that stands in a bad event only. */
const BAD = 'refuse-this-event';
const SEQUENCES = new RegExp(`"${SEQUENCE_MARKER}":(\\d+)`, 'g');
const ACCEPTED = Buffer.from('{"success":true}');
const REFUSED = Buffer.from('{"success":false,"code":"invalid_request"}');

let settings = { delayMs: 0, inspects: false };
let inFlight = 0;
let record = emptyRecord();

function emptyRecord() {
  return { requests: 0, refused: 0, mostInFlight: 0, arrived: 0, /** @type {Set<number>} */ seen: new Set() };
}

/** @returns {boolean} whether Segment takes all of it */
function take(/** @type {Buffer[]} */ chunks, /** @type {string | undefined} */ encoding) {
  const body = Buffer.concat(chunks);
  const json = (encoding === 'gzip' ? gunzipSync(body) : body).toString();
  if (json.includes(BAD)) return false;
  for (const [, sequence] of json.matchAll(SEQUENCES)) {
    record.arrived += 1;
    record.seen.add(Number(sequence));
  }
  return true;
}

const server = createServer((request, response) => {
  record.requests += 1;
  inFlight += 1;
  record.mostInFlight = Math.max(record.mostInFlight, inFlight);
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('data', (chunk) => {
    if (settings.inspects) chunks.push(chunk);
  });
  request.once('end', () => {
    const accepts = !settings.inspects || take(chunks, request.headers['content-encoding']);
    if (!accepts) record.refused += 1;
    const answer = () => {
      inFlight -= 1;
      const text = accepts ? ACCEPTED : REFUSED;
      const headers = { 'content-type': 'application/json', 'content-length': text.length };
      response.writeHead(accepts ? 200 : 400, headers).end(text);
    };
    if (settings.delayMs > 0) setTimeout(answer, settings.delayMs);
    else answer();
  });
});
// Longer than any pause of the bench: a keep-alive socket must never be closed under a client's next request.
server.keepAliveTimeout = 120_000;

answerCalls(process, {
  /** @returns {Promise<{ url: string, bad: string }>} `bad` makes an event a bad one */
  listen: async (given) => {
    settings = { ...settings, ...given };
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { url: `http://127.0.0.1:${/** @type {any} */ (server.address()).port}`, bad: BAD };
  },
  reset: () => {
    record = emptyRecord();
  },
  report: () => {
    const { seen, ...counts } = record;
    return { ...counts, distinct: seen.size };
  },
});
process.once('disconnect', () => process.exit(0));
