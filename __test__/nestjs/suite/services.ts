/** The service of an application that is nothing but this package's module, and what it says in the log. */
import type { DynamicModule, INestApplicationContext } from '@nestjs/common';
import {
  getSegmentToken,
  SegmentModule,
  SegmentService,
  type SegmentModuleSyncOptions,
} from '@companion/segment/nestjs';

import { CapturingLogger, startApplication, type LogLine, type Scope } from './support.js';

/** As long as it takes: no test passes or fails by its speed. */
export const PATIENT = { flushInterval: 1_000_000, shutdownTimeout: 1_000_000, exitTimeout: 1_000_000 };

export interface RunningService {
  readonly app: INestApplicationContext;
  readonly service: SegmentService;
  readonly logger: CapturingLogger;
  readonly close: () => Promise<void>;
}

/** Starts an application with one client, or with what another module brings. */
export async function startService(
  scope: Scope,
  module: SegmentModuleSyncOptions | DynamicModule,
): Promise<RunningService> {
  const logger = new CapturingLogger();
  const imports = ['module' in module ? module : SegmentModule.forRoot(module)];
  const { app, close } = await startApplication(scope, { root: { imports }, logger });
  return { app, service: app.get(SegmentService), logger, close };
}

/** The client of this name, or the one without. */
export function clientOf(app: INestApplicationContext, name?: string): SegmentService {
  return app.get<SegmentService>(getSegmentToken(name));
}

/** A line as it is in the log: its level, its text, and the fields behind it. */
export interface OurLine {
  level: LogLine['level'];
  text: string;
  fields: Record<string, unknown>;
}

/** Our lines, taken apart. */
export function linesOf(logger: CapturingLogger): OurLine[] {
  return logger.of('Segment').map(({ level, message }) => {
    const [, text = message, fields = '{}'] = /^(.*) (\{"client":.*\})$/s.exec(message) ?? [];
    return { level, text, fields: JSON.parse(fields) as Record<string, unknown> };
  });
}

/** What is said of each client at its end; how long that took is left out. */
export function closingLines(logger: CapturingLogger): OurLine[] {
  return linesOf(logger)
    .filter(({ text }) => text.startsWith('closed'))
    .map(({ fields: { durationMs: _duration, ...fields }, ...line }) => ({ ...line, fields }));
}
