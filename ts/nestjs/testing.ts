/** `@companion/segment/nestjs/testing`: the module with clients that keep their events in memory. */
import { Module, type DynamicModule, type Provider } from '@nestjs/common';

import { bindMembers } from '../bound.js';
import type { SegmentEvent } from '../params.js';
import { RecordingAnalytics, type WaitOptions } from '../testing/recording-analytics.js';
import { SegmentHealthIndicator } from './health.js';
import { setUpClient, type SegmentModuleExtras, type SegmentModuleOptions } from './options.js';
import { SegmentService } from './service.js';
import { getSegmentToken } from './tokens.js';

/**
 * A `SegmentService` that records instead of sending: checks, context, callbacks and log lines are the real ones. Also
 * for `overrideProvider(SegmentService).useValue(new RecordingSegmentService())`.
 */
export class RecordingSegmentService extends SegmentService {
  readonly #recording: RecordingAnalytics;

  constructor(options: SegmentModuleOptions = {}, name?: string) {
    const recording = new RecordingAnalytics();
    super(setUpClient({ writeKey: 'recording', ...options }, name, () => recording));
    this.#recording = recording;
    bindMembers(this, RecordingSegmentService.prototype);
  }

  /** What was accepted and not made to fail, in order, as it would have been sent. */
  get events(): readonly SegmentEvent[] {
    return this.#recording.events;
  }

  identifies(): SegmentEvent[] {
    return this.#recording.identifies();
  }

  tracks(): SegmentEvent[] {
    return this.#recording.tracks();
  }

  pages(): SegmentEvent[] {
    return this.#recording.pages();
  }

  screens(): SegmentEvent[] {
    return this.#recording.screens();
  }

  groups(): SegmentEvent[] {
    return this.#recording.groups();
  }

  aliases(): SegmentEvent[] {
    return this.#recording.aliases();
  }

  /** The next event's delivery fails with this error's message and code (default `ERR_REJECTED`). */
  failNext(error: Error): void {
    this.#recording.failNext(error);
  }

  /** Resolves once there are at least `count` events. */
  waitFor(count: number, options?: WaitOptions): Promise<readonly SegmentEvent[]> {
    return this.#recording.waitFor(count, options);
  }

  /** Forgets the recorded events; the counters stay. */
  clear(): void {
    this.#recording.clear();
  }
}

/** What the recording client may be told, as of `SegmentModule`. */
export type SegmentTestingOptions = Pick<SegmentModuleOptions, 'contextProvider' | 'logger'> &
  Pick<SegmentModuleExtras, 'name'>;

/**
 * In the place of `SegmentModule`, under the same tokens. `module.get(RecordingSegmentService)` is the recorder.
 */
@Module({})
export class SegmentTestingModule {
  static forRoot({ name, ...options }: SegmentTestingOptions = {}): DynamicModule {
    const recorder: Provider = {
      provide: RecordingSegmentService,
      useFactory: () => new RecordingSegmentService(options, name),
    };
    const client: Provider = { provide: getSegmentToken(name), useExisting: RecordingSegmentService };
    const health: Provider = {
      provide: SegmentHealthIndicator,
      useFactory: (service: SegmentService) => new SegmentHealthIndicator(service),
      inject: [RecordingSegmentService],
    };
    const providers = [recorder, client, health];
    return { module: SegmentTestingModule, global: true, providers, exports: providers };
  }
}
