/**
 * The main job on this machine alone: a Segment on loopback, a realistic day of traffic through the real package,
 * trouble on the way, a process that is killed, and an account of every event. Exits 0 only if the account is right.
 */
import { setTimeout as pause } from 'node:timers/promises';

import { Analytics } from '@companion/segment';
import { startFakeSegment } from '@companion/segment/testing';

import { killAndRecover } from './demo/kill-and-recovery.mjs';
import { numberOf, trackOne } from './demo/traffic.mjs';

const BURST = 20_000;
const TRICKLE = 300;

const started = performance.now();
const segment = await startFakeSegment();
const analytics = new Analytics({ writeKey: 'demo-write-key', host: segment.url, flushInterval: 500 });
const refused = [];
analytics.on('error', ({ reason }) => refused.push(`${reason.code}: ${reason.message}`));

console.log(`A Segment listens on ${segment.url}. A day of traffic, in a few seconds:\n`);
const progress = showProgress();

let sent = 0;
for (; sent < BURST / 2; sent += 1) trackOne(analytics, sent);
say('burst of 10,000 events handed over');
await analytics.flush();

segment.addFaults({ status: 429, retryAfter: 1 }, { status: 503, times: 2 });
say('Segment now answers 429 (Retry-After: 1), then 503 twice');
for (; sent < BURST; sent += 1) trackOne(analytics, sent);

trackUnsendable();
say('one event of 40 KB and one with a BigInt: refused at the call, with a reason');

for (; sent < BURST + TRICKLE; sent += 1) {
  trackOne(analytics, sent);
  await pause(5);
}
say('trickle of 300 events over the rest of the day');

const report = await analytics.closeAndFlush({ timeout: 60_000 });
clearInterval(progress);
const eventsOfTheDay = [...segment.events];
const { connectionCount } = segment;

const recovery = await killAndRecover(segment, say);
await segment.close();
account(report, analytics.stats());

function trackUnsendable() {
  analytics.track({ userId: 'user-1', event: 'Report Uploaded', properties: { text: 'x'.repeat(40_000) } });
  analytics.track({ userId: 'user-1', event: 'Invoice Paid', properties: { cents: 123_456_789n } });
}

function say(text) {
  clearLine();
  console.log(`  ${((performance.now() - started) / 1_000).toFixed(1).padStart(4)} s  ${text}`);
}

function showProgress() {
  if (!process.stdout.isTTY) return undefined;
  return setInterval(() => {
    const { accepted, delivered, pending, retries } = analytics.stats();
    clearLine();
    process.stdout.write(
      `  ${accepted} accepted  ${delivered} delivered  ${pending} pending  ${retries} retries`,
    );
  }, 100);
}

function clearLine() {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[2K');
}

/** Prints the table and sets the exit code. */
function account({ accepted, delivered, dropped, spooled, pending, unflushed }, stats) {
  const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
  const arrived = eventsOfTheDay.map(numberOf);
  const checks = {
    'accepted = delivered + dropped + spooled + pending':
      accepted === delivered + total(dropped) + spooled + pending,
    'every deliverable event arrived': new Set(arrived).size === sent,
    'each exactly once, by messageId':
      segment.duplicates().size === 0 &&
      new Set(eventsOfTheDay.map(({ messageId }) => messageId)).size === sent,
    'nothing was left over': unflushed.length === 0 && pending === 0,
    'the two that can not be sent were refused with a reason':
      total(stats.refused) === 2 && refused.length === 2,
    'every event of the killed process arrived, exactly once':
      recovery.wasKilled &&
      recovery.accepted > 0 &&
      recovery.recovered === recovery.accepted &&
      recovery.isComplete &&
      recovery.left === 0,
  };
  const number = (value) => value.toLocaleString('en-US');
  const reasons = (counts) =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => `  ${reason} ${number(count)}`)
      .join('') || '  none';
  console.log(`
  accepted          ${number(accepted)}
  delivered         ${number(delivered)}
  dropped           ${number(total(dropped))} ${reasons(dropped)}
  refused           ${number(total(stats.refused))} ${reasons(stats.refused)}
  requests          ${number(stats.requests)}
  retries           ${number(stats.retries)}
  connections       ${number(connectionCount)}
  bytes, raw        ${number(stats.bytesRaw)}
  bytes on the wire ${number(stats.bytesSent)}   (${((100 * stats.bytesSent) / stats.bytesRaw).toFixed(1)} %)
  killed process    ${number(recovery.accepted)} accepted, ${number(recovery.recovered)} recovered, ${number(recovery.arrived.length)} arrived
  time              ${((performance.now() - started) / 1_000).toFixed(1)} s
`);
  for (const reason of refused) console.log(`  refused: ${reason}`);
  console.log();
  for (const [text, holds] of Object.entries(checks)) console.log(`  ${holds ? 'yes' : 'NO '}  ${text}`);
  process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1;
}
