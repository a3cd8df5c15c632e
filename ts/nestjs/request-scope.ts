/** Where a request's scope begins: around all of it, or around a handler. */
import type { CallHandler, ExecutionContext, NestInterceptor, NestMiddleware } from '@nestjs/common';
import { Observable } from 'rxjs';

import { bindMembers } from '../bound.js';
import { runWithin } from './ambient-context.js';
import {
  checkRequestContext,
  RequestScope,
  type HttpRequest,
  type RequestContextOptions,
} from './request-context.js';

/** Calls in guards, pipes, interceptors, handlers and filters get the request's context. */
export class SegmentContextMiddleware implements NestMiddleware {
  readonly #options: RequestContextOptions;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(options: RequestContextOptions = {}) {
    checkRequestContext(options);
    this.#options = options;
    bindMembers(this, SegmentContextMiddleware.prototype);
  }

  use(request: HttpRequest, _response: unknown, next: () => void): void {
    runWithin(new RequestScope(request, this.#options), next);
  }
}

/**
 * Calls in handlers, and in what they start, get the request's context: of HTTP and GraphQL. Others, such as
 * messages, pass through.
 */
export class SegmentContextInterceptor implements NestInterceptor {
  readonly #options: RequestContextOptions;

  /** @throws AnalyticsError `ERR_OPTION_INVALID` */
  constructor(options: RequestContextOptions = {}) {
    checkRequestContext(options);
    this.#options = options;
    bindMembers(this, SegmentContextInterceptor.prototype);
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = requestOf(context);
    if (request === undefined) return next.handle();
    const scope = new RequestScope(request, this.#options);
    // The handler runs when it is subscribed to.
    return new Observable((subscriber) => runWithin(scope, () => next.handle().subscribe(subscriber)));
  }
}

function requestOf(context: ExecutionContext): HttpRequest | undefined {
  switch (context.getType<string>()) {
    case 'http':
      return context.switchToHttp().getRequest<HttpRequest>();
    case 'graphql':
      // The third argument of a resolver is GraphQL's context.
      return context.getArgByIndex<{ req?: HttpRequest } | undefined>(2)?.req;
    default:
      return undefined;
  }
}
