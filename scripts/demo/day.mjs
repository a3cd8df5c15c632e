/** A day at the application, in a few seconds: members come, Segment has its troubles, and some input is wrong. */
import { untrustworthy } from './shop.mjs';

const MEMBERS = 40;
const APPOINTMENTS = 2_000;
const PLAN_CHANGES = 200;
/** Requests at a time: each member waits for an answer before the next. */
const AT_ONCE = MEMBERS;

/**
 * @param {import('./visitors.mjs').Visitors} visitors
 * @param {import('@companion/segment/testing').FakeSegment} segment
 * @param {import('../../__test__/support/sns.mjs').SnsTopic} topic
 * @param {(text: string) => void} say
 * @param {() => Promise<void>} sayMetrics
 * @returns {Promise<{ sessions: { memberId: string, token: string }[], wrong: Refused[], untrusted: Refused[] }>}
 *
 * @typedef {[what: string, status: number]} Refused
 */
export async function spendTheDay(visitors, segment, topic, say, sayMetrics) {
  const emails = Array.from({ length: MEMBERS }, (_, number) => `member-${number}@example.com`);
  await many(MEMBERS, (number) => visitors.onboard(emails[number]));
  const sessions = await many(MEMBERS, (number) => visitors.signIn(emails[number]));
  say(`${MEMBERS} members came and signed in`);

  await visitors.deliver(topic.confirmation());
  const [message] = await many(MEMBERS, (number) => visitors.createCustomer(topic, emails[number]));
  say(`${MEMBERS} customers from the shop, signed by SNS, each answered when Segment had it`);
  const untrusted = await giveUntrusted(visitors, untrustworthy(topic, message, 'a-stranger@example.com'));
  for (const [what, status] of untrusted) say(`the webhook answers ${what} with ${status}`);

  await many(APPOINTMENTS / 2, (number) => visitors.book(sessions[number % MEMBERS]));
  await sayMetrics();

  segment.addFaults({ status: 429, retryAfter: 1 }, { status: 503, times: 2 });
  say('Segment now answers 429 (Retry-After: 1), then 503 twice; the application does not notice');
  await many(APPOINTMENTS / 2, (number) => visitors.book(sessions[number % MEMBERS]));
  await many(PLAN_CHANGES, (number) => visitors.changePlan(sessions[number % MEMBERS], planOf(number)));
  say(`${shown(APPOINTMENTS)} appointments and ${PLAN_CHANGES} changes of plan are answered`);
  await sayMetrics();

  const wrong = await giveWrongInput(visitors, emails[0], sessions[0]);
  say(`${wrong.length} requests with wrong input are refused`);
  return { sessions, wrong, untrusted };
}

/** What no sender may be believed, and the answers, which should all be 403. */
async function giveUntrusted(visitors, messages) {
  const refused = [];
  for (const [what, message] of Object.entries(messages)) {
    const answer = await visitors.deliver(message);
    refused.push([what, answer?.status ?? 0]);
  }
  return refused;
}

/** Another one than the time before. */
function planOf(number) {
  return Math.floor(number / MEMBERS) % 2 === 0 ? 'plus' : 'family';
}

/** What was wrong, and what the answers say that should all be 4xx. */
async function giveWrongInput(visitors, email, session) {
  const { token } = session;
  const tomorrow = new Date(Date.now() + 86_400_000);
  await visitors.bookAt(session, tomorrow);
  const answers = {
    'an e-mail that is taken': await visitors.onboard(email),
    'a member without a name': await visitors.request('POST', '/onboarding', { body: { email } }),
    'a wrong password': await visitors.signInWrongly(email, 'a-browser'),
    'a token that is none': await visitors.bookAt({ token: 'guessed' }, tomorrow),
    'an appointment in the past': await visitors.bookAt(session, new Date(0)),
    'two appointments at once': await visitors.bookAt(session, tomorrow),
    'a plan that is none': await visitors.request('PATCH', '/plan', { token, body: { plan: 'free' } }),
    'a webhook without a signature': await visitors.request('POST', '/api/webhook', { body: {} }),
  };
  return Object.entries(answers).map(([what, answer]) => [what, answer?.status ?? 0]);
}

/** Calls `send` with 0, 1, 2 and so on, some at a time. */
async function many(count, send) {
  const results = [];
  for (let start = 0; start < count; start += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, count - start) }, (_, index) => start + index);
    results.push(...(await Promise.all(numbers.map(send))));
  }
  return results;
}

function shown(number) {
  return number.toLocaleString('en-US');
}
