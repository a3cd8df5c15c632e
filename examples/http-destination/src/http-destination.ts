/** A destination of your own: what goes to Segment goes to another tool too, over HTTP. */
import type { Context, Plugin, SegmentEvent } from '@companion/segment';

/** Options of {@link httpDestination}. */
export interface HttpDestinationOptions {
  /** Where each event is posted as JSON. https, or http on loopback. */
  url: string;
  /** Its name in `integrations`. Several destinations need several names. @default 'HTTP Destination' */
  name?: string;
  /** Sent with each request, for example an authorization. */
  headers?: Record<string, string>;
  /** Milliseconds for one request. @default 5000 */
  timeout?: number;
  /** Requests in flight at once. @default 8 */
  maxConcurrent?: number;
  /** Events that may wait for a free request; the next one is an error. @default 1000 */
  maxWaiting?: number;
  /** Told of each event that did not arrive. The event holds customer data: do not log it. */
  onError?: (error: unknown, event: SegmentEvent) => void;
}

/**
 * One request per event, one attempt. An error stays here: Segment and other destinations get the event all the same.
 *
 * @throws TypeError for a `url` that is none, or that is not encrypted
 */
export function httpDestination(options: HttpDestinationOptions): Plugin {
  const { name = 'HTTP Destination', timeout = 5_000, onError } = options;
  const url = endpoint(options.url);
  const headers = { 'content-type': 'application/json', ...options.headers };
  const slots = new Slots(options.maxConcurrent ?? 8, options.maxWaiting ?? 1_000);

  const post = async (event: SegmentEvent) => {
    const body = JSON.stringify(event);
    await slots.take();
    try {
      const signal = AbortSignal.timeout(timeout);
      const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
      // Its connection is free for the next request only then.
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`${name} answered with ${response.status}.`);
    } finally {
      slots.release();
    }
  };
  const forward = async (context: Context) => {
    try {
      await post(context.event);
    } catch (error) {
      onError?.(error, context.event);
      // The client keeps it in the context's log, and goes on.
      throw error;
    }
    return context;
  };
  const calls = {
    identify: forward,
    track: forward,
    page: forward,
    screen: forward,
    group: forward,
    alias: forward,
  };
  return {
    name,
    type: 'destination',
    version: '1.0.0',
    isLoaded: () => true,
    load: async () => {},
    ...calls,
  };
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

function endpoint(text: string): URL {
  const url = new URL(text);
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname));
  if (!isSafe) throw new TypeError('The option url must be https, or http on loopback.');
  return url;
}

/** So many at once, and so many that wait, in their order. */
class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;
  readonly #maxWaiting: number;

  constructor(count: number, maxWaiting: number) {
    this.#free = count;
    this.#maxWaiting = maxWaiting;
  }

  /** Resolves when it is one's turn. Rejects at once when too many wait already. */
  async take(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    if (this.#waiting.length >= this.#maxWaiting) throw new Error('Too many events wait for the endpoint.');
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Hands the turn to the next one. */
  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
