/** The types of the stories, beside those of the Commercetools SDK. Compiled, never run. */
import {
  type Customer,
  type CustomerCreatedMessagePayload,
  type CustomerPagedQueryResponse,
  type Address,
  type MessageDeliveryPayload,
  type MessagePayload,
  type ResourceUpdatedDeliveryPayload,
} from '@commercetools/platform-sdk';
import { type UserTraits } from '@companion/segment';
import {
  type CommercetoolsAddress,
  type CommercetoolsCustomer,
  type FetchReason,
  type IgnoreReason,
  type InvalidReason,
  type NotificationFacts,
  type ParsedNotification,
  type ReceiverOptions,
  type SegmentIdentifyPayload,
  type TransformOptions,
  NotificationReceiver,
  extractCustomerFromPayload,
  identifyCustomer,
  parseNotification,
  sendCustomerToSegment,
  transformCustomerToSegment,
} from '@companion/segment/commercetools';

declare const customer: Customer;
declare const address: Address;
declare const created: CustomerCreatedMessagePayload;
declare const notification: MessageDeliveryPayload & CustomerCreatedMessagePayload;
declare const updated: ResourceUpdatedDeliveryPayload;
declare const page: CustomerPagedQueryResponse;

// Customers of the SDK are customers here.
const assigned: CommercetoolsCustomer = customer;
const ofMessage: CommercetoolsCustomer = created.customer;
const assignedAddress: CommercetoolsAddress = address;
const payloads: SegmentIdentifyPayload[] = page.results.map((result) => transformCustomerToSegment(result));
void identifyCustomer(customer, { userId: 'customerId' });

// What the SDK calls a field is called so here, and has its type.
type Both = keyof Customer & keyof CommercetoolsCustomer;
type Own = Exclude<keyof CommercetoolsCustomer, keyof Customer>;
const own: Own = 'fullName';
// @ts-expect-error `fullName` is the only field that the SDK does not know
const notOwn: Own = 'email';
type OwnOfAddress = Exclude<keyof CommercetoolsAddress, keyof Address>;
// @ts-expect-error addresses have none
const notOwnOfAddress: OwnOfAddress = 'city';
type WithoutNull<T> = { [Name in keyof T]?: Exclude<T[Name], null> };
declare const fields: Omit<WithoutNull<Required<Pick<CommercetoolsCustomer, Both>>>, 'addresses'>;
const back: Partial<Omit<Pick<Customer, Both>, 'addresses'>> = fields;

// Whatever it is, it may be a notification.
const parsed: ParsedNotification = parseNotification(notification);
for (const raw of [updated, created, Buffer.from(''), '', 5, null, undefined, Symbol('raw')]) {
  const extracted: CommercetoolsCustomer | null = extractCustomerFromPayload(raw);
  void extracted;
}

// The interfaces of the stories.
interface CustomerOfStory {
  readonly email?: string | null;
  readonly firstName?: string | null;
  readonly lastName?: string | null;
  readonly fullName?: string | null;
  readonly addresses?: ReadonlyArray<{
    readonly streetName?: string | null;
    readonly streetNumber?: string | null;
    readonly city?: string | null;
    readonly postalCode?: string | null;
    readonly country?: string | null;
  }> | null;
}
interface PayloadOfStory {
  notificationType: 'Message';
  type: 'CustomerCreated' | 'CustomerUpdated';
  customer: {
    email?: string;
    firstName?: string;
    lastName?: string;
    fullName?: string;
    addresses?: Array<{
      streetName?: string;
      streetNumber?: string;
      city?: string;
      postalCode?: string;
      country?: string;
    }>;
  };
}
interface IdentifyPayloadOfStory {
  readonly userId: string;
  readonly traits: UserTraits;
}
declare const ofStory: CustomerOfStory;
declare const payloadOfStory: PayloadOfStory;
const fromStory: CommercetoolsCustomer = ofStory;
const toStory: CustomerOfStory | null = extractCustomerFromPayload(payloadOfStory);
const fromPayload: CommercetoolsCustomer = payloadOfStory.customer;
const identifyOfStory: IdentifyPayloadOfStory = transformCustomerToSegment(ofStory);
const backFromStory: SegmentIdentifyPayload = identifyOfStory;
void sendCustomerToSegment(identifyOfStory);
void identifyCustomer(ofStory);

// A whole payload is no customer, and a customer no payload.
// @ts-expect-error it is in its member `customer`
transformCustomerToSegment(created);
// @ts-expect-error fields have the types of the API
transformCustomerToSegment({ email: 5 });
// @ts-expect-error addresses are a list
transformCustomerToSegment({ addresses: { city: 'Berlin' } });
// @ts-expect-error what is not read is not asked for
transformCustomerToSegment({ email: 'a@example.com', password: 'secret' });
// @ts-expect-error it has to be transformed
void sendCustomerToSegment(customer);
// @ts-expect-error customers are not changed
assigned.email = 'b@example.com';

// A message of every type that the SDK knows is decided about, and of no other.
type CustomerMessage = Extract<MessagePayload, { type: `Customer${string}` }>['type'];
const decisions: Record<CustomerMessage, ParsedNotification['kind']> = {
  CustomerAddressAdded: 'needs-fetch',
  CustomerAddressChanged: 'needs-fetch',
  CustomerAddressCustomFieldAdded: 'ignore',
  CustomerAddressCustomFieldChanged: 'ignore',
  CustomerAddressCustomFieldRemoved: 'ignore',
  CustomerAddressCustomTypeRemoved: 'ignore',
  CustomerAddressCustomTypeSet: 'ignore',
  CustomerAddressRemoved: 'needs-fetch',
  CustomerBillingAddressAdded: 'needs-fetch',
  CustomerBillingAddressRemoved: 'needs-fetch',
  CustomerCompanyNameSet: 'needs-fetch',
  CustomerCreated: 'identify',
  CustomerCustomFieldAdded: 'ignore',
  CustomerCustomFieldChanged: 'ignore',
  CustomerCustomFieldRemoved: 'ignore',
  CustomerCustomTypeRemoved: 'ignore',
  CustomerCustomTypeSet: 'ignore',
  CustomerDateOfBirthSet: 'needs-fetch',
  CustomerDefaultBillingAddressSet: 'needs-fetch',
  CustomerDefaultShippingAddressSet: 'needs-fetch',
  CustomerDeleted: 'ignore',
  CustomerEmailChanged: 'needs-fetch',
  CustomerEmailTokenCreated: 'ignore',
  CustomerEmailVerified: 'needs-fetch',
  CustomerExternalIdSet: 'needs-fetch',
  CustomerFirstNameSet: 'needs-fetch',
  CustomerGroupAssignmentAdded: 'ignore',
  CustomerGroupAssignmentRemoved: 'ignore',
  CustomerGroupAssignmentsSet: 'ignore',
  CustomerGroupCustomFieldAdded: 'ignore',
  CustomerGroupCustomFieldChanged: 'ignore',
  CustomerGroupCustomFieldRemoved: 'ignore',
  CustomerGroupCustomTypeRemoved: 'ignore',
  CustomerGroupCustomTypeSet: 'ignore',
  CustomerGroupSet: 'ignore',
  CustomerLastNameSet: 'needs-fetch',
  CustomerPasswordTokenCreated: 'ignore',
  CustomerPasswordUpdated: 'ignore',
  CustomerShippingAddressAdded: 'needs-fetch',
  CustomerShippingAddressRemoved: 'needs-fetch',
  CustomerStoresSet: 'ignore',
  CustomerTitleSet: 'needs-fetch',
};

// What a notification is, is told apart by its kind.
function explain(found: ParsedNotification): unknown {
  if (found.kind === 'identify') return [found.customer.email, found.about.customerId];
  if (found.kind === 'ignore') {
    const { reason, about }: { reason: IgnoreReason; about: NotificationFacts } = found;
    return [reason, about.type];
  }
  if (found.kind === 'needs-fetch') {
    const { reason, about }: { reason: FetchReason; about: NotificationFacts } = found;
    // @ts-expect-error there is no customer
    return [reason, about.version?.toFixed(), found.customer];
  }
  const { reason }: { kind: 'invalid'; reason: InvalidReason } = found;
  // @ts-expect-error nothing is known about it
  return [reason, found.about];
}

// Options.
const options: TransformOptions = {
  userId: ({ customerNumber, id }) => customerNumber ?? id,
  mapTraits: (traits, { companyName }) => ({ ...traits, company: { name: companyName ?? '' } }),
};
transformCustomerToSegment(customer, options, {
  projectKey: 'shop',
  id: 'm1',
  occurredAt: '2026-02-03T04:05:06Z',
});
transformCustomerToSegment(customer, { userId: 'externalId', mapTraits: undefined });
// @ts-expect-error no such field
transformCustomerToSegment(customer, { userId: 'key' });
// @ts-expect-error ids are texts
transformCustomerToSegment(customer, { userId: () => 5 });
// @ts-expect-error traits are an object
transformCustomerToSegment(customer, { mapTraits: () => 'gold' });

// Customers may be fetched with the SDK.
declare function fetched(id: string): Promise<Customer | null>;
const receiver: ReceiverOptions = { resolveCustomer: (id, { about }) => fetched(about.customerId ?? id) };
void new NotificationReceiver(receiver);
void new NotificationReceiver({ resolveCustomer: fetched });
// @ts-expect-error a customer is fetched, not its id
void new NotificationReceiver({ resolveCustomer: (id: string) => id });

export {
  ofMessage,
  assignedAddress,
  payloads,
  own,
  notOwn,
  notOwnOfAddress,
  back,
  parsed,
  fromStory,
  toStory,
  fromPayload,
  backFromStory,
  decisions,
  explain,
};
