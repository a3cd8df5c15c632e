/** A day's notifications: customers, and what else comes along. */
import { PROJECT, change, cloudEvent, fullCustomer, message, subscriptionTest } from './notifications.mjs';

/** Over Segment's limit for an event, and under SNS's for a message. */
const TOO_LARGE = 'x'.repeat(40_000);
/** Of so many notifications one is invalid and one is ignored. */
const PERIOD = 20;
const IGNORED_PLACE = 10;

export const emailOf = (number) => `customer-${number}@example.com`;

const customerOf = (number, members) =>
  fullCustomer({ id: `customer-${number}`, email: emailOf(number), ...members });

/** A message of Commercetools' about a customer of its own. */
const creation = (number, members) =>
  message('CustomerCreated', {
    id: `message-${number}`,
    resource: { typeId: 'customer', id: `customer-${number}` },
    customer: customerOf(number),
    ...members,
  });

const INVALID = [
  (number) => JSON.stringify(creation(number)).slice(0, -2),
  (number) => JSON.stringify([creation(number)]),
  (number) => JSON.stringify({ hello: emailOf(number) }),
  (number) => JSON.stringify(creation(number, { customer: customerOf(number, { email: undefined }) })),
  (number) => JSON.stringify(creation(number, { customer: customerOf(number, { firstName: TOO_LARGE }) })),
];

const order = { typeId: 'order', id: 'order-1' };
const IGNORED = [
  () => subscriptionTest(),
  () => change('ResourceUpdated'),
  () => message('CustomerDeleted'),
  () => message('CustomerPasswordTokenCreated'),
  () => change('ResourceCreated', { resource: order }),
];

/**
 * So many notifications, as texts: of 20 there are 18 customers, one that is ignored, and one that never will be a
 * customer in Segment.
 */
export function notifications(count) {
  const all = Array.from({ length: count }, (_, number) => notification(number));
  const textsOf = (wanted) => all.filter(({ kind }) => kind === wanted).map(({ text }) => text);
  return {
    texts: all.map(({ text }) => text),
    invalid: textsOf('invalid'),
    ignored: textsOf('ignored'),
    /** What each customer's event has to have as its `messageId`. */
    messageIds: all.filter(({ kind }) => kind === 'customer').map(({ messageId }) => messageId),
  };
}

function notification(number) {
  const round = Math.floor(number / PERIOD);
  const place = number % PERIOD;
  if (place === 0) return { kind: 'invalid', text: INVALID[round % INVALID.length](number) };
  if (place === IGNORED_PLACE) {
    return { kind: 'ignored', text: JSON.stringify(IGNORED[round % IGNORED.length]()) };
  }
  const whole = creation(number);
  const text = JSON.stringify(number % 2 === 0 ? whole : cloudEvent(whole));
  return { kind: 'customer', text, messageId: `ct:${PROJECT}:message-${number}` };
}
