// The Segment that producers send to: lean, so that a million events are no burden, and with faults on order.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';

import { Deliveries } from './deliveries.mjs';

/** How a request whose body was read is treated. `reset`: its events are recorded, the answer never comes. */
/** @typedef {'answer' | 'unavailable' | 'reset' | 'hold'} Treatment */

const SUCCESS = Buffer.from('{"success":true}');

export class Collector {
  deliveries = new Deliveries();
  requests = 0;
  /** Requests answered 503. */
  unavailable = 0;
  /** Connections reset after their request had been recorded. */
  resets = 0;
  /** Requests that were read and not answered at once. */
  held = 0;
  /** Connections so far. */
  connections = 0;
  /** Events that reached this server for the first time on a connection opened after their producer had ended. */
  recovered = 0;
  /** Chooses for each request. @type {() => Treatment} */
  treat = () => 'answer';

  #server = createServer((request, response) => this.#receive(request, response));
  /** @type {Map<import('node:net').Socket, number>} each with its number */
  #sockets = new Map();
  /** @type {{ events: any[], socket: import('node:net').Socket, response: import('node:http').ServerResponse }[]} */
  #waiting = [];
  /** @type {Map<number, number>} how many connections there had been when a producer ended */
  #ends = new Map();
  /** @type {Set<() => void>} */
  #watchers = new Set();
  #port = 0;

  static async start() {
    const collector = new Collector();
    await collector.resume();
    return collector;
  }

  /** @private */
  constructor() {
    // Longer than any pause of a row: only faults close connections.
    this.#server.keepAliveTimeout = 600_000;
    this.#server.requestTimeout = 0;
    this.#server.on('connection', (/** @type {import('node:net').Socket} */ socket) => {
      this.connections += 1;
      this.#sockets.set(socket, this.connections);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#notify();
      });
    });
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get openConnections() {
    return this.#sockets.size;
  }

  /** Faults that were carried out. */
  get faults() {
    return this.unavailable + this.resets + this.held;
  }

  /** From now on events of this producer that come on a new connection were recovered by another process. */
  producerEnded(/** @type {number} */ producer) {
    this.#ends.set(producer, this.connections);
  }

  /** Resolves once the condition holds, which is looked at after everything that happens here. */
  async until(/** @type {() => boolean} */ condition) {
    if (condition()) return;
    await new Promise((resolve) => {
      const watcher = () => {
        if (!condition()) return;
        this.#watchers.delete(watcher);
        resolve(undefined);
      };
      this.#watchers.add(watcher);
    });
  }

  /** Answers what was held. */
  answerHeld() {
    for (const { events, socket, response } of this.#waiting.splice(0))
      this.#accept(events, socket, response);
    this.#notify();
  }

  /** Resets every connection, held requests included; resolves when the last one is closed. */
  async cut() {
    this.#waiting = [];
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
    await this.until(() => this.#sockets.size === 0);
  }

  /** Goes away: nobody can connect until `resume()`. */
  async pause() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await this.cut();
    await closed;
  }

  async resume() {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
  }

  async close() {
    if (this.#server.listening) await this.pause();
  }

  #receive(
    /** @type {import('node:http').IncomingMessage} */ request,
    /** @type {import('node:http').ServerResponse} */ response,
  ) {
    /** @type {Buffer[]} */
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.once('end', () => {
      this.requests += 1;
      const batch = batchOf(Buffer.concat(chunks), request.headers['content-encoding'] === 'gzip');
      if (batch !== undefined) this.#conclude(batch, request.socket, response);
      else {
        this.deliveries.corrupted += 1;
        response.writeHead(400, { 'content-length': 0 }).end();
      }
      this.#notify();
    });
  }

  #conclude(
    /** @type {any[]} */ events,
    /** @type {import('node:net').Socket} */ socket,
    /** @type {import('node:http').ServerResponse} */ response,
  ) {
    switch (this.treat()) {
      case 'unavailable':
        this.unavailable += 1;
        response.writeHead(503, { 'content-length': 0 }).end();
        return;
      case 'reset':
        this.resets += 1;
        this.#record(events, socket);
        socket.resetAndDestroy();
        return;
      case 'hold':
        this.held += 1;
        this.#waiting.push({ events, socket, response });
        return;
      default:
        this.#accept(events, socket, response);
    }
  }

  #accept(
    /** @type {any[]} */ events,
    /** @type {import('node:net').Socket} */ socket,
    /** @type {import('node:http').ServerResponse} */ response,
  ) {
    this.#record(events, socket);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': SUCCESS.length });
    response.end(SUCCESS);
  }

  #record(/** @type {any[]} */ events, /** @type {import('node:net').Socket} */ socket) {
    const connection = this.#sockets.get(socket) ?? 0;
    for (const event of events) {
      const added = this.deliveries.add(event);
      if (added?.isNew && connection > (this.#ends.get(added.producer) ?? Infinity)) this.recovered += 1;
    }
  }

  #notify() {
    for (const watcher of this.#watchers) watcher();
  }
}

/** @returns {any[] | undefined} undefined for what is no batch */
function batchOf(/** @type {Buffer} */ body, /** @type {boolean} */ isPacked) {
  try {
    const { batch } = JSON.parse((isPacked ? gunzipSync(body) : body).toString('utf8'));
    return Array.isArray(batch) ? batch : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Trouble as a bad day has it: one request in five is answered 503, one in twenty is taken and never answered. The
 * first few have both, so that no run is too short for them.
 *
 * @param {import('./random.mjs').Random} random
 * @returns {() => Treatment}
 */
export function badDay(random) {
  /** @type {Treatment[]} */
  const first = ['answer', 'unavailable', 'answer', 'reset'];
  return () => {
    const planned = first.shift();
    if (planned !== undefined) return planned;
    const chance = random.next();
    if (chance < 0.2) return 'unavailable';
    return chance < 0.25 ? 'reset' : 'answer';
  };
}
