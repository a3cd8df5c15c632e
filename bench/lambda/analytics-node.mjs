// The same function as a team writes it with analytics-node: one client for all invocations, flushed in each.
import { Analytics } from '@segment/analytics-node';

import { identifyByHand } from '../notifications.mjs';

const { SEGMENT_WRITE_KEY: writeKey, SEGMENT_HOST: host } = process.env;
const analytics = new Analytics({ writeKey, host });
/** @type {Error | undefined} */
let problem;
analytics.on('error', ({ reason }) => (problem = new Error('not delivered', { cause: reason })));

export async function handler(event) {
  for (const { Sns } of event.Records) analytics.identify(identifyByHand(Sns.Message));
  await analytics.flush();
  if (problem !== undefined) throw problem;
}
