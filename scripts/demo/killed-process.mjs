/** The process that is killed. Tells on standard output how many calls returned true, in the middle of its burst. */
import { writeSync } from 'node:fs';

import { Analytics } from '@companion/segment';

import { trackOne } from './traffic.mjs';

const { settings, burst, killAfter, prefix } = JSON.parse(process.argv[2]);
const analytics = new Analytics(settings);

let accepted = 0;
for (let number = 0; number < burst; number += 1) {
  if (trackOne(analytics, number, `${prefix}${number}`)) accepted += 1;
  if (number + 1 === killAfter) {
    // Told before the kill by a call that returns when it is done; no turn of the event loop is between the two.
    writeSync(1, String(accepted));
    process.kill(process.pid, 'SIGKILL');
  }
}
