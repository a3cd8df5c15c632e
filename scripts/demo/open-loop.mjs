/** Load that does not wait: so many per second, however long the answers take. */
const TICK_MS = 10;
/**
 * Of what is due, as much is sent at a time. On a machine that can't keep up the rest is left out: Segment lives in this
 * process too, and has to have its turns.
 */
const MAX_TICKS_AT_ONCE = 2;

/**
 * @param {number} perSecond
 * @param {(number: number) => Promise<unknown>} send
 * @returns {{ stop: () => Promise<void> }} `stop` resolves when all that were sent have come to their end
 */
export function openLoop(perSecond, send) {
  const perTick = (perSecond * TICK_MS) / 1_000;
  const open = new Set();
  let sent = 0;
  let due = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const ticks = Math.min((now - last) / TICK_MS, MAX_TICKS_AT_ONCE);
    last = now;
    due += ticks * perTick;
    for (; sent < due; sent += 1) {
      const request = send(sent).finally(() => open.delete(request));
      open.add(request);
    }
  }, TICK_MS);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
}
