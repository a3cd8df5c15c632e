/** What code that subclasses or mocks a client has to return. Compiled, never run. */
import { Analytics, type Callback, type TrackParams } from '@companion/segment';
import { RecordingAnalytics } from '@companion/segment/testing';

export class Silent extends Analytics {
  // @ts-expect-error -- MIGRATING: it has to return a boolean
  override track(params: TrackParams, callback?: Callback): void {
    super.track(params, callback);
  }
}

export class Tagged extends Analytics {
  override track(params: TrackParams, callback?: Callback): boolean {
    return super.track({ ...params, event: `My ${params.event}` }, callback);
  }
}

/** As jest and vitest declare it. */
declare function spyOn<Spied, Name extends keyof Spied>(
  object: Spied,
  name: Name,
): {
  mockReturnValue(value: Spied[Name] extends (...args: never[]) => infer Result ? Result : never): void;
};

declare const analytics: Analytics;
spyOn(analytics, 'track').mockReturnValue(true);
spyOn(new RecordingAnalytics(), 'identify').mockReturnValue(false);
// @ts-expect-error -- MIGRATING: a call returns a boolean
spyOn(analytics, 'track').mockReturnValue(undefined);
// @ts-expect-error -- MIGRATING: a call returns a boolean
spyOn(new RecordingAnalytics(), 'identify').mockReturnValue(undefined);
