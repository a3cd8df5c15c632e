/**
 * What the smoke test runs beside an installed package, on the runtime and platform in question.
 *
 *   node program.cjs segment                    a Segment: prints its address, then a line for each event
 *   node program.cjs <step> <host> [<spool>]    an application, see STEPS
 */
const { Worker, isMainThread, workerData } = require('node:worker_threads');

const { Analytics } = require('@companion/segment');

/** Nobody listens there. */
const NOBODY = 'http://127.0.0.1:9';
/** The events of a process that is killed. */
const KILLED = 5;

const [, , step, host, spool] = isMainThread ? process.argv : [undefined, undefined, ...workerData];

/** A machine that is emulated or busy takes more than the default second for a request. */
const EXIT_TIMEOUT_MS = 60_000;
const client = (options = {}) =>
  new Analytics({ writeKey: 'smoke', host, exitTimeout: EXIT_TIMEOUT_MS, ...options });
const track = (analytics, event) => {
  if (!analytics.track({ userId: 'somebody', event })) throw new Error(`${event} was refused`);
};

const STEPS = {
  /** An event is delivered, and the report says so. */
  async deliver() {
    const analytics = client();
    track(analytics, 'deliver');
    const { delivered } = await analytics.closeAndFlush();
    if (delivered !== 1) throw new Error(`delivered ${delivered}`);
  },
  /** `process.exit()` right after the call. */
  exit() {
    track(client(), 'exit');
    process.exit(7);
  },
  /** The loop runs dry. */
  dry() {
    track(client(), 'dry');
  },
  /** An error that nobody catches. */
  uncaught() {
    track(client(), 'uncaught');
    throw new Error('nobody catches this');
  },
  /** Nothing of this can be sent, and the process is killed. */
  kill() {
    const analytics = client({ host: NOBODY, spool });
    for (let number = 0; number < KILLED; number += 1) track(analytics, 'kill');
    if (analytics.stats().spool !== 'ready') throw new Error(`the spool is ${analytics.stats().spool}`);
    process.kill(process.pid, 'SIGKILL');
  },
  /** The next process delivers it. */
  async recover() {
    const analytics = client({ spool });
    while (analytics.stats().recovered < KILLED) await new Promise((resolve) => setImmediate(resolve));
    await analytics.flush();
    const { spooled, pending } = await analytics.closeAndFlush();
    if (spooled + pending > 0) throw new Error(`left: ${spooled} on disk, ${pending} in memory`);
  },
  /** A worker tracks and ends. */
  async worker() {
    const worker = new Worker(__filename, { workerData: ['dry', host] });
    await new Promise((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    });
  },
  /** What answers for Segment. */
  async segment() {
    const { startFakeSegment } = require('@companion/segment/testing');
    const segment = await startFakeSegment();
    console.log(`listening ${segment.url}`);
    let seen = 0;
    setInterval(() => {
      for (; seen < segment.events.length; seen += 1) console.log(`event ${segment.events[seen].event}`);
    }, 10);
  },
};

const ran = STEPS[step]();
if (ran !== undefined) {
  ran.catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
