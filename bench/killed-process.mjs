// What a process that is killed leaves in its spool.
import { monotonicMs } from './ipc-calls.mjs';
import { startProcess } from './own-process.mjs';
import { OURS_WITH_SPOOL } from './sdks/adapter.mjs';

/**
 * Tracks all events in a process of its own while the collector answers 503, and kills it.
 *
 * @param {import('./metrics/metric.mjs').Bench} bench `size.events` says how many
 * @param {string} spoolDirectory
 * @param {'order' | 'view'} kind of the events
 */
export async function fillAndKill({ url, size, collector }, spoolDirectory, kind) {
  const { events } = size;
  await collector('answer', 'unavailable');
  const { call, stop } = startProcess('spool-filler.mjs', [OURS_WITH_SPOOL]);
  try {
    const start = monotonicMs();
    const { accepted, delivered, spoolBytes } = await call('fill', { url, events, spoolDirectory, kind });
    const seconds = (monotonicMs() - start) / 1000;
    if (accepted !== events || delivered > 0)
      throw new Error(
        `${accepted} of ${events} events were accepted and ${delivered} delivered in the outage`,
      );
    return { filledPerSecond: events / seconds, diskBytes: spoolBytes / events };
  } finally {
    await stop();
    // What it sent last must be answered as the rest was: or it would count as delivered, and arrive again.
    await collector('untilDisconnected');
    await collector('answer', 'ok');
  }
}
