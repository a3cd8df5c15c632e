/**
 * The main job on this machine alone: a Segment on loopback, the application of examples/companion-api, real HTTP
 * requests, messages that an SNS of the demo signs, trouble on the way, a SIGTERM under load, a process that is killed, and an account of every event. Exits 0
 * only if the account is right.
 */
import { startFakeSegment } from '@companion/segment/testing';

import { startSns, TOPIC_ARN } from '../__test__/support/sns.mjs';
import { closingLine, metricsOf, startCompanionApi } from './demo/companion-api.mjs';
import { spendTheDay } from './demo/day.mjs';
import { killAndRecover } from './demo/kill-and-recovery.mjs';
import { shutDownUnderLoad } from './demo/shutdown.mjs';
import { compare, Visitors } from './demo/visitors.mjs';

const SHUTDOWN_TIMEOUT_MS = 10_000;
const LOAD = { perSecond: 500, forMs: 3_000, patienceMs: 2 * SHUTDOWN_TIMEOUT_MS };
const SLOW_MS = 300;

const started = performance.now();
const segment = await startFakeSegment();
const sns = await startSns();
const environment = {
  SEGMENT_WRITE_KEY: 'demo-write-key',
  SEGMENT_MARKETING_WRITE_KEY: 'demo-marketing-key',
  SEGMENT_HOST: segment.url,
  SEGMENT_SHUTDOWN_TIMEOUT: String(SHUTDOWN_TIMEOUT_MS),
  WEBHOOK_TOPIC_ARNS: TOPIC_ARN,
};
const api = await startCompanionApi(environment, sns);
if (api.url === undefined) throw new Error(`The application did not start:\n${api.output.join('\n')}`);
const visitors = new Visitors(api.url);
process.once('exit', () => api.kill('SIGKILL'));

console.log(`A Segment listens on ${segment.url}, the application on ${api.url}. A day, in a few seconds:\n`);
const progress = showProgress();
const { sessions, wrong, untrusted } = await spendTheDay(visitors, segment, sns.topic, say, sayMetrics);
await sns.close();

segment.addFaults({ delayMs: SLOW_MS, times: Infinity });
say(`Segment takes ${SLOW_MS} ms for an answer; ${LOAD.perSecond} requests per second, then SIGTERM`);
const shutdown = await shutDownUnderLoad(api, visitors, sessions, { ...LOAD, beforeSignal: sayMetrics });
const status = shutdown.signal ?? `status ${shutdown.code}`;
say(`the application has ended (${status}) ${shown(shutdown.tookMs)} ms after the signal`);
clearInterval(progress);
clearLine();
const events = [...segment.events];
const duplicates = segment.duplicates().size;

const recovery = await killAndRecover(segment.clearFaults(), say);
await segment.close();
account();

function say(text) {
  clearLine();
  console.log(`  ${((performance.now() - started) / 1_000).toFixed(1).padStart(4)} s  ${text}`);
}

async function sayMetrics() {
  const metrics = await metricsOf(api);
  const figures = {
    accepted: 'segment_events_accepted_total',
    delivered: 'segment_events_delivered_total',
    pending: 'segment_events_pending',
    retries: 'segment_request_retries_total',
  };
  const texts = Object.entries(figures).map(([text, name]) => `${text} ${shown(metrics.get(name))}`);
  say(`/metrics: ${texts.join(', ')}`);
}

function showProgress() {
  if (!process.stdout.isTTY) return undefined;
  return setInterval(() => {
    const { sent, answered } = visitors;
    clearLine();
    process.stdout.write(
      `  ${sent} requests  ${answered} answered 2xx  ${segment.eventCount} events arrived`,
    );
  }, 100);
}

function clearLine() {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[2K');
}

function shown(number) {
  return Math.round(number).toLocaleString('en-US');
}

/** Prints the table and sets the exit code. */
function account() {
  const { sent, answered, refused, unanswered, expected } = visitors;
  const { missing, surplus } = compare(expected, events);
  const closed = [closingLine(api), closingLine(api, 'marketing')];
  const total = (name) => closed.reduce((sum, line) => sum + (line?.[name] ?? NaN), 0);
  const checks = {
    'every request answered with a 2xx has all its events at Segment': missing.length === 0,
    'each exactly once, by messageId':
      duplicates === 0 && new Set(events.map(({ messageId }) => messageId)).size === events.length,
    'nothing else arrived, but for requests whose answer was cut off': surplus.length <= unanswered,
    'wrong input was refused with a 4xx': wrong.every(([, code]) => code >= 400 && code <= 499),
    'SNS had its subscription confirmed; forged, replayed, expired and foreign messages were refused with a 403':
      sns.confirmations.length === 1 && untrusted.length === 4 && untrusted.every(([, code]) => code === 403),
    "the log's closing lines say the same":
      total('delivered') === events.length && total('accepted') === events.length && total('refused') === 0,
    'SIGTERM came under load, and the application ended in time':
      shutdown.answeredBefore > 0 && shutdown.signal === 'SIGTERM' && shutdown.tookMs <= SHUTDOWN_TIMEOUT_MS,
    'every event of the killed process arrived, exactly once':
      recovery.wasKilled &&
      recovery.accepted > 0 &&
      recovery.recovered === recovery.accepted &&
      recovery.isComplete &&
      recovery.left === 0,
  };
  console.log(`
  requests          ${shown(sent)} sent: ${shown(answered)} answered 2xx, ${shown(refused)} refused, ${shown(unanswered)} without an answer
  events            ${shown(expected.length)} expected, ${shown(events.length)} arrived, ${duplicates} twice
  closing lines     ${shown(total('accepted'))} accepted, ${shown(total('delivered'))} delivered, ${total('dropped')} dropped
  SIGTERM to exit   ${shown(shutdown.tookMs)} ms of ${shown(SHUTDOWN_TIMEOUT_MS)} (shutdownTimeout)
  killed process    ${shown(recovery.accepted)} accepted, ${shown(recovery.recovered)} recovered, ${shown(recovery.arrived.length)} arrived
  time              ${((performance.now() - started) / 1_000).toFixed(1)} s
`);
  for (const [what, code] of [...untrusted, ...wrong]) console.log(`  refused: ${what}, ${code}`);
  for (const key of missing.slice(0, 10)) console.log(`  missing: ${key}`);
  console.log();
  for (const [text, holds] of Object.entries(checks)) console.log(`  ${holds ? 'yes' : 'NO '}  ${text}`);
  process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1;
}
