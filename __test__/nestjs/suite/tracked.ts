/** An application with a client of its own, and what of its calls arrives at Segment. */
import type { ModuleMetadata, Type } from '@nestjs/common';
import { SegmentModule, SegmentService, type SegmentModuleSyncOptions } from '@companion/segment/nestjs';
import type { FakeSegment, RecordedEvent } from '@companion/segment/testing';

import {
  CapturingLogger,
  startApplication,
  startSegment,
  WRITE_KEY,
  type ApplicationOptions,
  type RunningApplication,
  type Scope,
} from './support.js';

/** An event without what every event has: its id, its time, the library. */
export interface Tracked {
  type: string;
  event?: string;
  userId?: string;
  anonymousId?: string;
  properties?: Record<string, unknown>;
  context?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface TrackedApplication extends RunningApplication {
  readonly segment: FakeSegment;
  readonly logger: CapturingLogger;
  readonly client: SegmentService;
  /** All that was tracked so far. */
  readonly events: () => Promise<Tracked[]>;
}

/** Starts an application with `SegmentModule` and what else it is made of. */
export async function startTracked(
  scope: Scope,
  options: SegmentModuleSyncOptions,
  { imports = [], ...parts }: ModuleMetadata,
  more: Partial<ApplicationOptions> = {},
): Promise<TrackedApplication> {
  const segment = await startSegment(scope);
  const logger = new CapturingLogger();
  const module = SegmentModule.forRoot({ writeKey: WRITE_KEY, host: segment.url, ...options });
  const root = { imports: [module, ...imports], ...parts };
  const running = await startApplication(scope, { logger, ...more, root });
  const client = running.app.get(SegmentService);
  const events = async () => {
    await client.flush();
    return segment.events.map(trackedOf);
  };
  return { ...running, segment, logger, client, events };
}

export function trackedOf(recorded: RecordedEvent): Tracked {
  const { messageId: _id, timestamp: _time, integrations: _where, _metadata, context, ...told } = recorded;
  const { library: _ours, ...known } = context as Record<string, unknown>;
  return { ...told, ...(Object.keys(known).length > 0 && { context: known }) };
}

/** An application with this provider, and the provider. */
export async function startWith<Instance>(
  scope: Scope,
  provider: Type<Instance>,
): Promise<TrackedApplication & { subject: Instance; told: () => Promise<unknown[]> }> {
  const started = await startTracked(scope, {}, { providers: [provider] });
  const told = async () => (await started.events()).map(({ event, properties }) => [event, properties]);
  return { ...started, subject: started.app.get(provider), told };
}
