/** Requests through the application's own HTTP client (`httpClient`), with analytics-node's interfaces. */

import { bindMembers } from './bound.js';
import { invalidOption } from './errors.js';
import type { Engine, Notice } from './native.js';

/** A request, as a `fetch` function gets it. */
export interface HTTPFetchRequest {
  url?: string;
  headers: Record<string, string>;
  body: string;
  method: 'POST';
  signal: AbortSignal;
  /** A 3xx is no success, and a POST that is redirected may lose its body. */
  redirect?: 'manual';
}

/** Anything like the Headers of fetch. */
export interface HTTPHeaders {
  entries: () => Iterable<[string, unknown]>;
}

/** Anything like the Response of fetch. */
export interface HTTPResponse {
  headers?: Record<string, unknown> | HTTPHeaders;
  text?: () => Promise<string>;
  status: number;
  statusText: string;
  /** Set by `fetch`: the answer is not the one of the URL that was asked. */
  redirected?: boolean;
}

/** Anything like `fetch`. */
export type HTTPFetchFn = (url: string, request: HTTPFetchRequest) => Promise<HTTPResponse>;

/** A request, as an {@link HTTPClient} gets it. */
export interface HTTPClientRequest {
  url: string;
  method: 'POST';
  /** With the authorization: do not log them. */
  headers: Record<string, string>;
  /** JSON with the write key: do not log it. */
  body: string;
  /** Milliseconds for one whole attempt. */
  httpRequestTimeout: number;
}

/** Sends requests. Retries, pauses and limits are the engine's: it makes one attempt a call. */
export interface HTTPClient {
  makeRequest(request: HTTPClientRequest): Promise<HTTPResponse>;
}

/** An {@link HTTPClient} on any `fetch`. Redirects are not followed: a 3xx is no success. */
export class FetchHTTPClient implements HTTPClient {
  readonly #fetch: HTTPFetchFn;

  /** Default: `globalThis.fetch`, looked up at each call. */
  constructor(fetchFn?: HTTPFetchFn) {
    if (fetchFn !== undefined && typeof fetchFn !== 'function')
      throw invalidOption('fetchFn', 'a function like fetch');
    bindMembers(this, FetchHTTPClient.prototype);
    this.#fetch = fetchFn ?? ((url, request) => globalThis.fetch(url, request));
  }

  async makeRequest(request: HTTPClientRequest): Promise<HTTPResponse> {
    const { url, method, headers, body, httpRequestTimeout } = request;
    const signal = AbortSignal.timeout(Math.ceil(httpRequestTimeout));
    return this.#fetch(url, { url, method, headers, body, signal, redirect: 'manual' });
  }
}

/** The client that an option means: a function is taken for a `fetch`. */
export function clientOf(option: string, client: unknown): HTTPClient | undefined {
  if (client === undefined) return undefined;
  if (typeof client === 'function') return new FetchHTTPClient(client as HTTPFetchFn);
  const { makeRequest } = Object(client) as Partial<HTTPClient>;
  if (typeof makeRequest === 'function') return client as HTTPClient;
  throw invalidOption(option, 'a function like fetch or an object with makeRequest');
}

/** What the engine is told of a request that the application sent. */
interface ClientAnswer {
  /** 0: there was no answer. */
  status: number;
  /** What the client says of it; null: the usual. */
  statusText: string | null;
  headers: Record<string, string>;
  timedOut: boolean;
  /** Of an answer to a token request. Holds the token: never log it. */
  body?: string | undefined;
}

/** What a client that followed a redirect should have answered. */
const FOUND = 302;

/** Sends one request of the engine's through the application's client, and tells the engine what came of it. */
export async function answerThrough(
  client: HTTPClient | undefined,
  notice: Extract<Notice, { type: 'send' }>,
  engine: Engine,
): Promise<void> {
  if (client === undefined) return;
  const { number, url, headers, body, timeoutMs, isForToken } = notice;
  const request = { url, method: 'POST' as const, headers, body, httpRequestTimeout: timeoutMs };
  const answer = await sendThrough(client, request, isForToken);
  const { status, statusText, timedOut } = answer;
  engine.answer(number, status, statusText, JSON.stringify(answer.headers), timedOut, answer.body);
}

/** Never rejects; an answer that comes too late, or never, is the engine's to deal with. */
async function sendThrough(
  client: HTTPClient,
  request: HTTPClientRequest,
  isForToken: boolean,
): Promise<ClientAnswer> {
  try {
    const response = await client.makeRequest(request);
    const { status, statusText, headers, redirected } = response;
    const body = isForToken ? await textOf(response) : undefined;
    const isStatus = Number.isInteger(status) && status >= 100 && status <= 999;
    const answer = { headers: plainHeaders(headers), timedOut: false, body };
    if (redirected === true) return { status: isStatus ? FOUND : 0, statusText: null, ...answer };
    const text = typeof statusText === 'string' ? statusText : null;
    return { status: isStatus ? status : 0, statusText: text, ...answer };
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    return {
      status: 0,
      statusText: null,
      headers: {},
      timedOut: name === 'AbortError' || name === 'TimeoutError',
    };
  }
}

/** Clients of analytics-node need `text()` for OAuth only. */
async function textOf(response: HTTPResponse): Promise<string> {
  return typeof response.text === 'function' ? response.text() : '';
}

/** What can't be read is not there: it must not make a failure of an answer. */
function plainHeaders(headers: HTTPResponse['headers']): Record<string, string> {
  try {
    const entries =
      typeof headers?.['entries'] === 'function'
        ? (headers as HTTPHeaders).entries()
        : Object.entries(headers ?? {});
    return Object.fromEntries(Array.from(entries, ([name, value]) => [name.toLowerCase(), String(value)]));
  } catch {
    return {};
  }
}
