/**
 * A real application on a real port, the Segment that it sends to, and what it logs.
 *
 * The suite is compiled as CommonJS and as ES modules: no `import.meta`, no `__dirname`, no `await` outside of functions,
 * and `.js` at the end of relative imports.
 */
import type { INestApplication, LoggerService, ModuleMetadata, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { startFakeSegment, type FakeSegment, type FakeSegmentOptions } from '@companion/segment/testing';

export const WRITE_KEY = 'write-key-canary';

export const ADAPTERS = ['express', 'fastify'] as const;
export type Adapter = (typeof ADAPTERS)[number];

/** A test, or `{ after }` of `node:test` in a `before` hook. */
export interface Scope {
  after: (close: () => Promise<void>) => void;
}

export interface ApplicationOptions {
  /** The root module: a class or, for a small application, what it is made of. */
  root: Type<unknown> | ModuleMetadata;
  /** @default that of this run, `NEST_ADAPTER` */
  adapter?: Adapter;
  /** Whether the adapter believes `X-Forwarded-For`. @default false */
  trustProxy?: boolean;
  /** What `NestFactory.create` is told. @default a `CapturingLogger` */
  logger?: LoggerService | false;
  bufferLogs?: boolean;
  /** Whether signals close the application. @default false */
  enableShutdownHooks?: boolean;
  /** What a `main.ts` does before it listens: pipes, interceptors, a prefix. */
  prepare?: (app: INestApplication) => void | Promise<void>;
}

export interface RunningApplication {
  readonly app: INestApplication;
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Closes it, once however often it is called. Happens by itself at the end of the scope. */
  close: () => Promise<void>;
  /** A request with a JSON body, or without one. */
  send: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Response>;
}

/** Starts an application that is closed with the scope. Rejects with what Nest throws when it does not start. */
export async function startApplication(
  scope: Scope,
  options: ApplicationOptions,
): Promise<RunningApplication> {
  const { root, adapter = currentAdapter(), logger = new CapturingLogger(), bufferLogs = false } = options;
  // By default Nest ends the process when an application does not start.
  const settings = { logger, bufferLogs, abortOnError: false };
  const app = await NestFactory.create(moduleOf(root), adapterOf(adapter, options.trustProxy), settings);
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= app.close());
  closeAtEnd(scope, close);
  if (options.enableShutdownHooks === true) app.enableShutdownHooks();
  await options.prepare?.(app);
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const send = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => {
    const all = new Headers(headers);
    if (body !== undefined) all.set('content-type', 'application/json');
    return fetch(url + path, { method, headers: all, body: JSON.stringify(body) });
  };
  return { app, url, close, send };
}

/** A fake Segment that is closed with the scope, after the applications that were started later. */
export async function startSegment(scope: Scope, options?: FakeSegmentOptions): Promise<FakeSegment> {
  const segment = await startFakeSegment(options);
  closeAtEnd(scope, () => segment.close());
  return segment;
}

/** The adapter that this run of the suite is about. */
export function currentAdapter(): Adapter {
  const wanted = process.env['NEST_ADAPTER'];
  const adapter = ADAPTERS.find((name) => name === wanted);
  if (adapter === undefined) throw new Error(`NEST_ADAPTER has to be one of ${ADAPTERS.join(', ')}.`);
  return adapter;
}

export interface LogLine {
  level: 'log' | 'error' | 'warn' | 'debug' | 'verbose' | 'fatal';
  message: string;
  /** What Nest calls the context, by its convention the last argument. */
  context: string | undefined;
  /** Everything that came after the message. */
  rest: readonly unknown[];
}

/** A logger of Nest that remembers. */
export class CapturingLogger implements LoggerService {
  readonly lines: LogLine[] = [];
  readonly log = this.#taking('log');
  readonly error = this.#taking('error');
  readonly warn = this.#taking('warn');
  readonly debug = this.#taking('debug');
  readonly verbose = this.#taking('verbose');
  readonly fatal = this.#taking('fatal');

  /** The lines of one context. Ours is `Segment`. */
  of(context: string): LogLine[] {
    return this.lines.filter((line) => line.context === context);
  }

  /** Everything that was logged, as one text. */
  get text(): string {
    return this.lines.map(({ level, message, rest }) => [level, message, ...rest].join(' ')).join('\n');
  }

  #taking(level: LogLine['level']) {
    return (message: unknown, ...rest: unknown[]): void => {
      const last = rest.at(-1);
      const context = typeof last === 'string' ? last : undefined;
      this.lines.push({ level, message: String(message), context, rest });
    };
  }
}

function moduleOf(root: ApplicationOptions['root']) {
  if (typeof root === 'function') return root;
  class RootModule {}
  return { module: RootModule, ...root };
}

function adapterOf(adapter: Adapter, trustProxy = false): ExpressAdapter | FastifyAdapter {
  if (adapter === 'fastify') return new FastifyAdapter({ trustProxy });
  const express = new ExpressAdapter();
  express.set('trust proxy', trustProxy);
  return express;
}

/** What was started in a scope, the last first: an application has to deliver before its Segment is gone. */
const opened = new WeakMap<Scope, (() => Promise<void>)[]>();

function closeAtEnd(scope: Scope, close: () => Promise<void>): void {
  const earlier = opened.get(scope);
  if (earlier !== undefined) {
    earlier.unshift(close);
    return;
  }
  const closers = [close];
  opened.set(scope, closers);
  scope.after(async () => {
    for (const closeOne of closers) await closeOne();
  });
}
