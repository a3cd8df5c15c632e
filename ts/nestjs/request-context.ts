/** From an HTTP request to what its calls have in common. */
import type { IncomingHttpHeaders } from 'node:http';

import { invalidOption } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import type { ExtraContext } from '../params.js';
import { contextOf, idOf, type AmbientContext, type Scope } from './ambient-context.js';

/** What Express's and Fastify's requests, and Node's own, have in common. Annotate the parameter to use more. */
export interface HttpRequest {
  readonly headers: IncomingHttpHeaders;
  readonly url?: string | undefined;
}

/** What is read off each request. */
export const REQUEST_FACTS = ['ip', 'userAgent', 'page', 'locale', 'traceId'] as const;
export type RequestFact = (typeof REQUEST_FACTS)[number];

/**
 * Options of `requestContext`. The functions are called at each call of a tracking method, because who the user is
 * may become known late. What they throw, and what is no text, counts as not known.
 */
export interface RequestContextOptions {
  /** For example `(request: RequestWithUser) => request.user?.id`. */
  userId?(request: HttpRequest): unknown;
  /** For example `(request) => request.headers['x-anonymous-id']`. */
  anonymousId?(request: HttpRequest): unknown;
  /** More context; it wins over what is read off the request. */
  context?(request: HttpRequest): ExtraContext | undefined;
  /** Facts to leave out, for example `['ip']`. @default [] */
  exclude?: readonly RequestFact[] | undefined;
}

const OPTIONS = optionNames<RequestContextOptions>({
  userId: true,
  anonymousId: true,
  context: true,
  exclude: true,
});
const PATH = 'requestContext';

/** @throws AnalyticsError `ERR_OPTION_INVALID`: what is not left out by mistake may be what nobody may know */
export function checkRequestContext(options: unknown): void {
  if (typeof options !== 'object') throw invalidOption(PATH, 'true, false or an object');
  requireKnown(options, OPTIONS, { path: PATH });
  const { exclude, ...resolvers } = Object(options) as Readonly<Record<string, unknown>>;
  for (const [name, resolver] of Object.entries(resolvers)) {
    if (resolver !== undefined && resolver !== null && typeof resolver !== 'function')
      throw invalidOption(`${PATH}.${name}`, 'a function of the request');
  }
  const facts: readonly unknown[] = REQUEST_FACTS;
  const isList = Array.isArray(exclude) && exclude.every((fact) => facts.includes(fact));
  if (exclude !== undefined && exclude !== null && !isList)
    throw invalidOption(`${PATH}.exclude`, `a list of some of ${REQUEST_FACTS.join(', ')}`);
}

/** What the adapters add. */
interface AdapterRequest extends HttpRequest {
  /** With respect to the adapter's trust in proxies. */
  readonly ip?: string | undefined;
  readonly originalUrl?: string | undefined;
  readonly socket?: { readonly remoteAddress?: string | undefined } | undefined;
}

/** The scope of one request. */
export class RequestScope implements Scope {
  readonly #options: RequestContextOptions;
  readonly #request: HttpRequest;
  #facts: ExtraContext | undefined;

  constructor(request: HttpRequest, options: RequestContextOptions) {
    this.#request = request;
    this.#options = options;
  }

  read(): AmbientContext {
    this.#facts ??= factsOf(this.#request, this.#options.exclude ?? []);
    const context = contextOf(this.#ask('context'));
    return {
      userId: idOf(this.#ask('userId')),
      anonymousId: idOf(this.#ask('anonymousId')),
      context: { ...this.#facts, ...context },
    };
  }

  #ask(resolver: 'userId' | 'anonymousId' | 'context'): unknown {
    try {
      return this.#options[resolver]?.(this.#request);
    } catch {
      return undefined;
    }
  }
}

function factsOf(request: AdapterRequest, exclude: readonly RequestFact[]): ExtraContext {
  const { headers } = request;
  const path = (request.originalUrl ?? request.url)?.split('?', 1)[0];
  const facts: Record<RequestFact, unknown> = {
    ip: ipOf(request.ip ?? request.socket?.remoteAddress),
    userAgent: headers['user-agent'],
    // Without the query, which may hold anything.
    page: path === undefined ? undefined : { path },
    locale: localeOf(headers['accept-language']),
    traceId: traceIdOf(headers['traceparent']),
  };
  return Object.fromEntries(
    REQUEST_FACTS.filter((name) => facts[name] !== undefined && !exclude.includes(name)).map((name) => [
      name,
      facts[name],
    ]),
  );
}

/** An IPv4 address as such, even on a socket that takes both kinds (RFC 4291, 2.5.5.2). */
function ipOf(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** The language that is preferred most (RFC 9110, 12.5.4). */
function localeOf(acceptLanguage: string | undefined): string | undefined {
  const preferences = (acceptLanguage ?? '').split(',').map((range) => {
    const [tag = '', ...parameters] = range.split(';').map((part) => part.trim());
    const weight = parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2);
    return { tag, weight: Number(weight ?? 1) };
  });
  const known = preferences.filter(({ tag, weight }) => tag !== '' && tag !== '*' && weight > 0);
  return known.sort((one, other) => other.weight - one.weight)[0]?.tag;
}

const TRACEPARENT =
  /^(?<version>(?!ff)[0-9a-f]{2})-(?<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?<more>-.*)?$/;

/** The trace that the request belongs to (W3C Trace Context, 3.2). Only versions to come may say more. */
function traceIdOf(traceparent: string | string[] | undefined): string | undefined {
  const { version, trace, more } = TRACEPARENT.exec(String(traceparent))?.groups ?? {};
  return version === '00' && more !== undefined ? undefined : trace;
}
