// The process whose spool is drained: tracks events while the server is down, says so, and waits to be killed.
import { buildEvent } from './events.mjs';
import { answerCalls } from './ipc-calls.mjs';
import { nextTurn, trackOrFail } from './metrics/metric.mjs';
import { loadAdapter } from './sdks/adapter.mjs';
import { buildView } from './small-events.mjs';

// Events between two turns of the event loop, as in the throughput run.
const CHUNK = 250;
const BUILDERS = { order: buildEvent, view: buildView };

const [sdkName] = process.argv.slice(2);
const adapter = await loadAdapter(sdkName);

answerCalls(process, {
  fill: async ({ url, events, spoolDirectory, kind }) => {
    const build = BUILDERS[kind];
    const client = adapter.create(url, { waitingEvents: events, outage: true, spoolDirectory });
    for (let sequence = 0; sequence < events; sequence++) {
      trackOrFail(client, adapter.toMessage(build(sequence)));
      if (sequence % CHUNK === 0) await nextTurn();
    }
    return client.stats();
  },
});
process.once('disconnect', () => process.exit(0));
