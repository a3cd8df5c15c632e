// The server that every SDK sends to, in a process of its own. While an SDK is being timed it only receives
// bodies and answers: it does not decompress, parse or count, because it shares the machine's cores with the
// SDK under test. Counting happens when the runner asks, and says when the n-th event had arrived.
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { answerCalls, monotonicMs } from './ipc-calls.mjs';
import { SEQUENCE_MARKER } from './events.mjs';

const MARKER = Buffer.from(SEQUENCE_MARKER);
const SEPARATORS = Buffer.from('":=');
const ACCEPTED = Buffer.from('{"success":true}');
const POLL_MS = 10;
const DISCONNECT_DEADLINE_MS = 10_000;

/** Which sequence numbers have been seen; grows as needed. */
class SequenceSet {
  size = 0;
  #bits = new Uint8Array(1 << 16);

  /** @returns {boolean} whether the number is new */
  add(/** @type {number} */ sequence) {
    const byte = sequence >>> 3;
    if (byte >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(byte + 1, this.#bits.length * 2));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    const bit = 1 << (sequence & 7);
    if (this.#bits[byte] & bit) return false;
    this.#bits[byte] |= bit;
    this.size += 1;
    return true;
  }
}

function emptyRecord() {
  return {
    requests: 0,
    refusedRequests: 0,
    connections: 0,
    bytesOfClosedSockets: 0,
    /** @type {{ arrivedAt: number, gzip: boolean, chunks: Buffer[] }[]} received, not yet counted */
    uncounted: [],
    /** @type {{ arrivedAt: number, distinct: number }[]} distinct events after each counted body */
    timeline: [],
    seen: new SequenceSet(),
    duplicates: 0,
    highestSequence: -1,
    jsonBytes: 0,
  };
}

let record = emptyRecord();
let answering = 'ok';
/** @type {Set<import('node:net').Socket>} */
const sockets = new Set();

const server = createServer((request, response) => {
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (answering === 'unavailable') {
      record.refusedRequests += 1;
      response.writeHead(503, { 'content-length': 0 });
      response.end();
      return;
    }
    record.requests += 1;
    const gzip = request.headers['content-encoding'] === 'gzip';
    record.uncounted.push({ arrivedAt: monotonicMs(), gzip, chunks });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': ACCEPTED.length });
    response.end(ACCEPTED);
  });
});
// Longer than any pause of the bench: a keep-alive socket must never be closed under a client's next request.
server.keepAliveTimeout = 120_000;
server.on('connection', (socket) => {
  const owner = record;
  owner.connections += 1;
  sockets.add(socket);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    sockets.delete(socket);
    owner.bytesOfClosedSockets += socket.bytesRead;
  });
});

function countBody(/** @type {Buffer} */ json) {
  record.jsonBytes += json.length;
  for (let at = json.indexOf(MARKER); at !== -1; at = json.indexOf(MARKER, at)) {
    at += MARKER.length;
    while (SEPARATORS.includes(json[at])) at += 1;
    let sequence = 0;
    for (let digit = json[at] - 48; digit >= 0 && digit <= 9; digit = json[++at] - 48) {
      sequence = sequence * 10 + digit;
    }
    if (!record.seen.add(sequence)) record.duplicates += 1;
    if (sequence > record.highestSequence) record.highestSequence = sequence;
  }
}

function countAll() {
  const bodies = record.uncounted;
  record.uncounted = [];
  for (const { arrivedAt, gzip, chunks } of bodies) {
    const body = Buffer.concat(chunks);
    countBody(gzip ? gunzipSync(body) : body);
    record.timeline.push({ arrivedAt, distinct: record.seen.size });
  }
}

function wireBytes() {
  let bytes = record.bytesOfClosedSockets;
  for (const socket of sockets) bytes += socket.bytesRead;
  return bytes;
}

function report(/** @type {number} */ count) {
  return {
    distinct: record.seen.size,
    duplicates: record.duplicates,
    highestSequence: record.highestSequence,
    requests: record.requests,
    refusedRequests: record.refusedRequests,
    connections: record.connections,
    wireBytes: wireBytes(),
    jsonBytes: record.jsonBytes,
    firstArrivalAt: record.timeline[0]?.arrivedAt,
    /** when the `count`-th distinct event had arrived */
    completedAt: record.timeline.find(({ distinct }) => distinct >= count)?.arrivedAt,
  };
}

async function waitFor({ count, timeoutMs }) {
  const deadline = monotonicMs() + timeoutMs;
  for (;;) {
    countAll();
    if (record.seen.size >= count || monotonicMs() >= deadline) return report(count);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Whoever was connected has ended, and all that it sent has been read and answered. */
async function untilDisconnected() {
  const deadline = monotonicMs() + DISCONNECT_DEADLINE_MS;
  while (sockets.size > 0) {
    if (monotonicMs() >= deadline) throw new Error('the connections of the ended process stay open');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

answerCalls(process, {
  listen: () =>
    new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(/** @type {any} */ (server.address()).port));
    }),
  reset: () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    record = emptyRecord();
    answering = 'ok';
  },
  answer: (mode) => {
    answering = mode;
  },
  untilDisconnected,
  waitFor,
});
process.once('disconnect', () => process.exit(0));
