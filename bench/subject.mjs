// The process of one SDK for one measurement: nothing of another SDK, and nothing of an earlier run, is in it.
import { answerCalls, callsOver } from './ipc-calls.mjs';
import { loadMetric } from './metrics/metric.mjs';
import { loadAdapter } from './sdks/adapter.mjs';

const [metricName, sdkName] = process.argv.slice(2);
const metric = await loadMetric(metricName);
const adapter = await loadAdapter(sdkName);
const collector = callsOver(process, 'the runner');

answerCalls(process, {
  measure: ({ url, size }) => metric.measure({ adapter, url, size, collector }),
});
// Timers and sockets of an SDK must not keep the process once its measurement is told.
process.once('disconnect', () => process.exit(0));
// An interrupted bench leaves no temporary files behind either: they are removed on exit.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.once(signal, () => process.exit(1));
