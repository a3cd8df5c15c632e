/** Those who use the application: real HTTP requests, and books on what has to arrive at Segment for each answer. */
import { customerCreated } from './shop.mjs';

const PASSWORD = 'correct horse battery';
const MINUTE_MS = 60_000;

export class Visitors {
  #url;
  /** Appointments are a minute apart, so that no two are at the same time. */
  #nextStart = Date.now() + MINUTE_MS;
  sent = 0;
  /** With a 2xx. */
  answered = 0;
  /** With anything else. */
  refused = 0;
  /** Not at all: the connection was refused or cut. */
  unanswered = 0;
  /** A key for each event that the answers so far promise. */
  expected = [];

  constructor(url) {
    this.#url = url;
  }

  onboard(email) {
    const body = { email, password: PASSWORD, firstName: 'Mira', lastName: 'Okafor' };
    return this.request('POST', '/onboarding', { body }, ({ memberId }) => [
      `identify ${memberId} basic`,
      `track Onboarding Completed ${memberId} basic`,
    ]);
  }

  signIn(email) {
    const body = { email, password: PASSWORD };
    return this.request('POST', '/login', { body }, ({ memberId }) => [`track Signed In ${memberId} basic`]);
  }

  /** Refused, and known to Segment as an attempt of this browser. */
  async signInWrongly(email, anonymousId) {
    const headers = { 'x-anonymous-id': anonymousId };
    const body = { email, password: 'not the password' };
    const answer = await this.request('POST', '/login', { headers, body });
    if (answer?.status === 401) this.expected.push(`track Sign In Failed ${anonymousId}`);
    return answer;
  }

  book(session) {
    this.#nextStart += MINUTE_MS;
    return this.bookAt(session, new Date(this.#nextStart));
  }

  bookAt({ memberId, token }, startsAt) {
    const body = { kind: 'video', startsAt, reason: 'A knee that hurts' };
    return this.request('POST', '/appointments', { token, body }, ({ appointmentId }) => [
      `track Appointment Booked ${memberId} ${appointmentId}`,
    ]);
  }

  changePlan({ memberId, token }, plan) {
    return this.request('PATCH', '/plan', { token, body: { plan } }, ({ changeId, to }) => [
      `identify ${memberId} ${to}`,
      `track Plan Changed ${memberId} ${changeId}`,
      // To the marketing team.
      `track Plan Chosen ${memberId} ${to}`,
    ]);
  }

  /**
   * As SNS posts what the shop says; resolves with the message.
   *
   * @param {import('../../__test__/support/sns.mjs').SnsTopic} topic
   */
  async createCustomer(topic, email) {
    const message = topic.notification(customerCreated(email));
    await this.deliver(message, [`identify ${email}`]);
    return message;
  }

  /** A message of SNS, and the events it should come to. */
  deliver(message, events = []) {
    const headers = {
      'content-type': 'text/plain; charset=UTF-8',
      'user-agent': 'Amazon Simple Notification Service Agent',
      'x-amz-sns-message-type': message.Type,
    };
    return this.request('POST', '/api/webhook', { headers, body: message }, () => events);
  }

  /** Resolves with the status, and what a 2xx answers; with undefined when there is no answer. */
  async request(method, path, { headers, token, body }, eventsOf = () => []) {
    this.sent += 1;
    try {
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(this.#url + path, {
        method,
        headers: { 'content-type': 'application/json', ...authorization, ...headers },
        body: JSON.stringify(body),
      });
      const { ok, status } = response;
      const text = await response.text();
      if (!ok) {
        this.refused += 1;
        return { status };
      }
      const answer = JSON.parse(text);
      this.answered += 1;
      this.expected.push(...eventsOf(answer));
      return { ...answer, status };
    } catch {
      this.unanswered += 1;
      return undefined;
    }
  }
}

/**
 * What is expected and did not arrive, and what arrived and was not expected.
 *
 * @param {string[]} expected keys
 * @param {readonly import('@companion/segment/testing').RecordedEvent[]} events
 * @returns {{ missing: string[], surplus: string[] }}
 */
export function compare(expected, events) {
  const open = new Map();
  for (const key of expected) open.set(key, (open.get(key) ?? 0) + 1);
  const surplus = events.map(keyOf).filter((key) => {
    const count = open.get(key) ?? 0;
    open.set(key, count - 1);
    return count <= 0;
  });
  const missing = [...open].filter(([, count]) => count > 0).map(([key]) => key);
  return { missing, surplus };
}

/** One text for each event: what it is, whose it is, and the id of what happened. */
function keyOf({ type, event, userId, anonymousId, properties, traits }) {
  const { appointmentId, changeId, plan } = { ...traits, ...properties };
  const parts = [type, event, userId ?? anonymousId, appointmentId ?? changeId ?? plan];
  return parts.filter((part) => part !== undefined).join(' ');
}
