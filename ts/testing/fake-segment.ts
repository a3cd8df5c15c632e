/**
 * A real HTTP server that speaks Segment's HTTP Tracking API on the loopback interface, remembers what it
 * was sent, and misbehaves on order. For tests of anything that sends events to Segment.
 */
import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';

import { bindMembers } from '../bound.js';
import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import { failLoudly, serve, type ExchangeContext } from './exchange.js';
import { FaultSchedule, type Fault } from './faults.js';
import { Recording } from './recording.js';
import type { RecordedEvent, RecordedRequest, RejectedEvent, WaitOptions } from './recording.js';

export type { Fault } from './faults.js';
export type {
  AuthenticationKind,
  RecordedEvent,
  RecordedRequest,
  RejectedEvent,
  WaitOptions,
} from './recording.js';

/** Options of {@link startFakeSegment}. */
export interface FakeSegmentOptions {
  /** Port to listen on. Default 0: any free one. */
  port?: number;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string;
  /** The only keys that get in; any other is answered 401. Without it every key that is not empty is good. */
  writeKeys?: readonly string[];
  /**
   * Default true. False keeps counters only: `requests`, `events` and `rejected` stay empty and
   * `duplicates()` finds none, so that millions of events take no memory.
   */
  record?: boolean;
  /** Default true. False answers 415 to a compressed body. */
  gzip?: boolean;
  /** See {@link Fault}. More can be added with `addFaults()`. */
  faults?: readonly Fault[];
  /** An event for which this is true gets its whole request refused with 400. */
  poison?: (event: RecordedEvent) => boolean;
}

const OPTIONS = optionNames<FakeSegmentOptions>({
  port: true,
  host: true,
  writeKeys: true,
  record: true,
  gzip: true,
  faults: true,
  poison: true,
});

/** A running fake Segment. The arrays it hands out grow in place; `reset()` starts new ones. */
export interface FakeSegment {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly host: string;
  /** Every request whose body was read to its end or that was reset, in that order. */
  readonly requests: readonly RecordedRequest[];
  /** Events accepted, in the order of acceptance, duplicates included. See {@link Fault.accept}. */
  readonly events: readonly RecordedEvent[];
  /**
   * Events acknowledged with 200 and thrown away, as Segment does silently: no `userId` and no
   * `anonymousId`, no `groupId` on a group, no `userId` or `previousId` on an alias, no `event` on a track (blank
   * is as good as none), no known `type`, a `messageId` over 100 characters, more than 2,500 events in the batch (then all of it).
   */
  readonly rejected: readonly RejectedEvent[];
  /** Events accepted. Counts on with `record: false`, as do all the counters. */
  readonly eventCount: number;
  /** Events acknowledged and thrown away. */
  readonly rejectedCount: number;
  /** Requests whose body was read to its end or that were reset. */
  readonly requestCount: number;
  /** Connections opened since the start or the last `reset()`. */
  readonly connectionCount: number;
  /** Connections open at this moment. */
  readonly openConnections: number;
  /** Bytes of all request bodies as they came over the wire, headers not counted. */
  readonly bytesOnWire: number;
  /** Bytes of all request bodies after decompression. */
  readonly bytesRaw: number;
  /** `messageId`s accepted more than once, and how often. Segment would deduplicate them. */
  duplicates(): Map<string, number>;
  /** Appends faults. Throws a RangeError or TypeError on a fault that cannot be carried out. */
  addFaults(...faults: Fault[]): this;
  /** Forgets the faults still to come; requests that have got theirs keep it. */
  clearFaults(): this;
  /** Resolves with `events` once `eventCount >= count`. Rejects after the timeout, and on `close()`. */
  waitForEvents(count: number, options?: WaitOptions): Promise<readonly RecordedEvent[]>;
  /** Resolves with `requests` once `requestCount >= count`, answered or not. Rejects like `waitForEvents`. */
  waitForRequests(count: number, options?: WaitOptions): Promise<readonly RecordedRequest[]>;
  /** Forgets what was recorded and counted. Keeps listening, keeps open connections and faults. */
  reset(): void;
  /** Goes away: destroys all connections and refuses new ones until `resume()`. */
  pause(): Promise<void>;
  /** Listens again, on the same port. */
  resume(): Promise<void>;
  /** Stops for good and destroys all connections. May be called again. */
  close(): Promise<void>;
  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a fake Segment; the promise resolves when it accepts connections. Endpoints: `POST /v1/batch`,
 * `/v1/import` and `/v1/{identify,track,page,screen,group,alias}`, `GET /` and `/health`.
 *
 * Rejects with an `AnalyticsError` `ERR_OPTION_INVALID` for an option that does not exist.
 *
 * An exception from `poison` or a fault's `when` is answered with 500 and then thrown as an uncaught
 * exception, like one from any event listener.
 *
 * @example
 * await using segment = await startFakeSegment({ faults: [{ status: 503 }] });
 * const analytics = new Analytics({ writeKey: 'any', host: segment.url });
 * analytics.track({ userId: 'u1', event: 'Signed Up' });
 * await segment.waitForEvents(1); // delivered on the second attempt
 */
export async function startFakeSegment(options?: FakeSegmentOptions): Promise<FakeSegment> {
  requireKnown(options, OPTIONS);
  const given = options ?? {};
  const { writeKeys, faults, poison } = given as Readonly<Record<string, unknown>>;
  if (writeKeys !== undefined && !Array.isArray(writeKeys))
    throw invalidOption('writeKeys', 'a list of keys');
  if (faults !== undefined && !Array.isArray(faults)) throw invalidOption('faults', 'a list of faults');
  if (poison !== undefined && typeof poison !== 'function')
    throw invalidOption('poison', 'a function of an event');
  const server = new LoopbackSegment(given);
  await server.start(given.port ?? 0);
  return server;
}

/** Longer than clients keep idle connections, so that it is the client that closes them. */
const KEEP_ALIVE_MS = 75_000;

class LoopbackSegment implements FakeSegment {
  readonly host: string;
  #port = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connectionCount = 0;
  readonly #recording: Recording;
  readonly #faults = new FaultSchedule();
  /** `pause`, `resume` and `close` happen one after the other, in the order of the calls. */
  #transition: Promise<void> = Promise.resolve();
  #closed = false;

  constructor({
    host = '127.0.0.1',
    writeKeys,
    record = true,
    gzip = true,
    faults = [],
    poison,
  }: FakeSegmentOptions) {
    bindMembers(this, LoopbackSegment.prototype);
    this.host = host;
    this.#recording = new Recording(record);
    this.#faults.add(faults);
    this.#server = this.#createServer({
      recording: this.#recording,
      faults: this.#faults,
      writeKeys: writeKeys && new Set(writeKeys),
      takesGzip: gzip,
      poison,
    });
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.#port}`;
  }

  get requests(): readonly RecordedRequest[] {
    return this.#recording.requests;
  }

  get events(): readonly RecordedEvent[] {
    return this.#recording.events;
  }

  get rejected(): readonly RejectedEvent[] {
    return this.#recording.rejected;
  }

  get eventCount(): number {
    return this.#recording.eventCount;
  }

  get rejectedCount(): number {
    return this.#recording.rejectedCount;
  }

  get requestCount(): number {
    return this.#recording.requestCount;
  }

  get connectionCount(): number {
    return this.#connectionCount;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  get bytesOnWire(): number {
    return this.#recording.bytesOnWire;
  }

  get bytesRaw(): number {
    return this.#recording.bytesRaw;
  }

  duplicates(): Map<string, number> {
    return this.#recording.duplicates();
  }

  addFaults(...faults: Fault[]): this {
    this.#faults.add(faults);
    return this;
  }

  clearFaults(): this {
    this.#faults.clear();
    return this;
  }

  waitForEvents(count: number, options?: WaitOptions): Promise<readonly RecordedEvent[]> {
    return this.#recording.waitForEvents(count, options);
  }

  waitForRequests(count: number, options?: WaitOptions): Promise<readonly RecordedRequest[]> {
    return this.#recording.waitForRequests(count, options);
  }

  reset(): void {
    this.#recording.forget();
    this.#connectionCount = 0;
  }

  async start(port: number): Promise<void> {
    await listen(this.#server, port, this.host);
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  pause(): Promise<void> {
    return this.#afterTransition(() => this.#stop());
  }

  resume(): Promise<void> {
    return this.#afterTransition(async () => {
      if (this.#closed) throw new Error('a closed fake Segment cannot be resumed');
      if (!this.#server.listening) await listen(this.#server, this.#port, this.host);
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#recording.end();
    return this.#afterTransition(() => this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #createServer(context: ExchangeContext): Server {
    let requestId = 0;
    const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      requestId += 1;
      serve(context, requestId, request, response).catch((error: unknown) => failLoudly(response, error));
    });
    return server.on('connection', (socket: Socket) => {
      this.#connectionCount += 1;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  #afterTransition(step: () => Promise<void>): Promise<void> {
    const done = this.#transition.then(step);
    this.#transition = done.catch(() => undefined);
    return done;
  }

  async #stop(): Promise<void> {
    const serverClosed = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    // The server reports its end before its sockets do; `openConnections` is to be 0 once this is over.
    const socketsClosed = [...this.#sockets].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([serverClosed, ...socketsClosed]);
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
