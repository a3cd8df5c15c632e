/** A day at the application, in a few seconds: members come, Segment has its troubles, and some input is wrong. */

const MEMBERS = 40;
const APPOINTMENTS = 2_000;
const PLAN_CHANGES = 200;
/** Requests at a time: each member waits for an answer before the next. */
const AT_ONCE = MEMBERS;

/**
 * @param {import('./visitors.mjs').Visitors} visitors
 * @param {import('@companion/segment/testing').FakeSegment} segment
 * @param {(text: string) => void} say
 * @param {() => Promise<void>} sayMetrics
 * @returns {Promise<{ sessions: { memberId: string, token: string }[], wrong: [what: string, status: number][] }>}
 */
export async function spendTheDay(visitors, segment, say, sayMetrics) {
  const emails = Array.from({ length: MEMBERS }, (_, number) => `member-${number}@example.com`);
  await many(MEMBERS, (number) => visitors.onboard(emails[number]));
  const sessions = await many(MEMBERS, (number) => visitors.signIn(emails[number]));
  say(`${MEMBERS} members came and signed in`);

  await many(MEMBERS, (number) => visitors.customerChanged(emails[number]));
  say(`${MEMBERS} customers from the shop's webhook, each answered when Segment had it`);

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
  return { sessions, wrong };
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
    'a webhook without a customer': await visitors.request('POST', '/api/webhook', { body: {} }),
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
