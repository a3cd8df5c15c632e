/**
 * The webhook reads its own bodies: Express leaves `text/plain` and CloudEvents unread and stops at 100 KB, Fastify
 * refuses CloudEvents.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { HttpAdapterHost } from '@nestjs/core';

const MEDIA_TYPES = /^(?:application\/json|text\/plain|application\/cloudevents\+json)\s*(?:;|$)/i;
/** For Fastify, which finds its parsers by type. */
const OWN_TYPE = 'application/x.companion-segment-webhook';

/** What is used of Express's request. */
interface BodyRequest extends IncomingMessage {
  body?: unknown;
  originalUrl?: string;
  /** Tells body parsers that there is nothing left to read. The name is theirs. */
  _body?: boolean;
}

/** What is used of Fastify. */
interface FastifyInstance {
  addHook(
    name: 'onRequest',
    hook: (request: { raw: IncomingMessage }, reply: FastifyReply, done: () => void) => void,
  ): unknown;
  hasContentTypeParser(type: string): boolean;
  addContentTypeParser(
    type: string,
    options: { parseAs: 'buffer'; bodyLimit: number },
    parse: (request: unknown, body: Buffer, done: (error: null, body: Buffer) => void) => void,
  ): unknown;
}

interface FastifyReply {
  code(status: number): { send(body: object): unknown };
}

/** Has the bodies that are posted to the path come as bytes. False for an adapter that is neither of the two. */
export function readBodies(
  adapter: HttpAdapterHost['httpAdapter'] | undefined,
  path: string,
  maxBytes: number,
): boolean {
  const isOurs = (request: IncomingMessage, url = request.url) =>
    request.method === 'POST' && pathOf(url).endsWith(`/${path}`);
  switch (adapter?.getType()) {
    case 'express':
      adapter.use((request: BodyRequest, response: ServerResponse, next: () => void) => {
        if (isOurs(request, request.originalUrl) && request._body !== true)
          readBody(request, response, next, maxBytes);
        else next();
      });
      return true;
    case 'fastify':
      readBodiesOfFastify(adapter.getInstance<FastifyInstance>(), isOurs, maxBytes);
      return true;
    default:
      return false;
  }
}

function readBodiesOfFastify(
  instance: FastifyInstance,
  isOurs: (request: IncomingMessage) => boolean,
  maxBytes: number,
): void {
  instance.addHook('onRequest', ({ raw }, reply, done) => {
    if (!isOurs(raw)) return done();
    if (!isReadable(raw.headers)) return void reply.code(415).send(bodyOf('Unsupported Media Type'));
    raw.headers['content-type'] = OWN_TYPE;
    return done();
  });
  // There may be two webhooks in one application.
  if (instance.hasContentTypeParser(OWN_TYPE)) return;
  const options = { parseAs: 'buffer', bodyLimit: maxBytes } as const;
  instance.addContentTypeParser(OWN_TYPE, options, (_request, body, done) => done(null, body));
}

function readBody(request: BodyRequest, response: ServerResponse, next: () => void, maxBytes: number): void {
  if (!isReadable(request.headers)) return end(response, 415, 'Unsupported Media Type');
  // A parser of the application's was before us.
  if (request.readableEnded) return next();
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
  });
  request.on('end', () => {
    if (size > maxBytes) return end(response, 413, 'Payload Too Large');
    request.body = Buffer.concat(chunks);
    request._body = true;
    return next();
  });
}

function isReadable(headers: IncomingMessage['headers']): boolean {
  return MEDIA_TYPES.test(headers['content-type'] ?? '') && headers['content-encoding'] === undefined;
}

function end(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(bodyOf(message)));
}

function bodyOf(message: string): object {
  return { success: false, error: { message } };
}

function pathOf(url: string | undefined): string {
  return (url ?? '').split('?', 1)[0]?.replace(/\/$/, '') ?? '';
}
