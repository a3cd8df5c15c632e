/** From a customer to the parameters of an identify call. */
import { AnalyticsError } from '../errors.js';
import { optionNames, requireKnown } from '../known-options.js';
import { identifyCustomer } from '../native.js';
import type { UserTraits } from '../params.js';
import { textOf } from './notification.js';
import type {
  CommercetoolsCustomer,
  NotificationFacts,
  SegmentIdentifyPayload,
  TransformOptions,
  UserIdStrategy,
} from './types.js';

/** The fields that may be the user's id, in the order of their numbers at the border. */
const FIELDS = ['email', 'customerId', 'customerNumber', 'externalId'] as const;

const OPTIONS = optionNames<TransformOptions>({ userId: true, mapTraits: true });

/**
 * The user's id and the traits `email`, `firstName`, `lastName`, `name` and `address` (default shipping, default billing
 * or first). Blank ones are left out.
 *
 * @throws AnalyticsError `ERR_VALIDATION` when the customer has no such id: `userId cannot be empty`; `ERR_OPTION_INVALID`
 */
export function transformCustomerToSegment(
  customer: CommercetoolsCustomer,
  options?: TransformOptions,
  about: NotificationFacts = {},
): SegmentIdentifyPayload {
  requireKnown(options, OPTIONS);
  const { userId: strategy = 'email', mapTraits } = options ?? {};
  const chosen = typeof strategy === 'function' ? withChosenId(customer, strategy) : customer;
  const number = fieldNumber(typeof strategy === 'function' ? 'externalId' : strategy);
  const text = identifyCustomer(textOf(chosen) ?? '', JSON.stringify(about), number);
  if (text === '') throw emptyUserId();
  const payload = JSON.parse(text) as SegmentIdentifyPayload;
  if (mapTraits === undefined) return payload;
  return { ...payload, traits: mapTraits(payload.traits, customer) };
}

/** The number of a field at the border. */
export function fieldNumber(field: (typeof FIELDS)[number]): number {
  const number = FIELDS.indexOf(field);
  if (number >= 0) return number;
  const limit = `${FIELDS.map((name) => `'${name}'`).join(', ')} or a function`;
  throw new AnalyticsError('ERR_OPTION_INVALID', `The option userId must be ${limit}.`, {
    field: 'userId',
    limit,
  });
}

/** The error for a customer who can't be told from others. */
export function emptyUserId(): AnalyticsError {
  return new AnalyticsError('ERR_VALIDATION', 'userId cannot be empty', { field: 'userId' });
}

/** The id that the function chose, in the place of one that is not needed then. */
function withChosenId(
  customer: CommercetoolsCustomer,
  choose: Exclude<UserIdStrategy, string>,
): CommercetoolsCustomer {
  return { ...customer, externalId: choose(customer) ?? null };
}

export type { UserTraits };
