/** Imports in CommonJS modules. Compiled, never run. */
import DefaultAnalytics, { Analytics } from '@companion/segment';
// oxlint-disable-next-line typescript/no-require-imports -- it is what is tested
import segment = require('@companion/segment');
// oxlint-disable-next-line typescript/no-require-imports -- it is what is tested
import testing = require('@companion/segment/testing');
import { startFakeSegment } from '@companion/segment/testing';

const client: Analytics = new Analytics({ writeKey: 'key' });
const fromDefault: Analytics = new DefaultAnalytics({ writeKey: 'key' });
const named: Analytics = new segment.Analytics({ writeKey: 'key' });
const byDefault: Analytics = new segment.default({ writeKey: 'key' });
const double: Analytics = new testing.RecordingAnalytics();
const start: typeof testing.startFakeSegment = startFakeSegment;

// @ts-expect-error the namespace is no class
void new segment({ writeKey: 'key' });
// @ts-expect-error event is required
client.track({ userId: 'u1' });

export { client, fromDefault, named, byDefault, double, start };
