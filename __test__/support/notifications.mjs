/**
 * Notifications as Commercetools sends them, with every field of its API reference. What must never be kept says so:
 * it holds `FORBIDDEN`.
 */

export const PROJECT = 'companion-shop';
export const CUSTOMER_ID = '0a4d2b6e-9f1c-4c55-8f0e-2f4b1d6c7a11';
export const MESSAGE_ID = '5f3c8c1e-7d54-4a6b-9b60-1c2d3e4f5a6b';
export const CREATED_AT = '2026-02-03T04:05:06.789Z';
export const RESOURCE_VERSION = 4;
/** In every text that is on no list of fields. */
export const FORBIDDEN = 'canary-8d1f';
/** Of the live tokens that `*TokenCreated` messages hold. */
export const TOKEN = `${FORBIDDEN}-token-u5f0v3bQ`;

const forbidden = (what) => `${FORBIDDEN}-${what}`;
const reference = (typeId, id = `${typeId}-1`) => ({ typeId, id });
const client = { isPlatformClient: false, clientId: forbidden('client'), user: reference('user') };
const custom = {
  type: reference('type', forbidden('type')),
  fields: { loyalty: forbidden('field'), points: 5 },
};

/** An address with all fields. */
export function fullAddress(members = {}) {
  return {
    id: 'addr-1',
    key: forbidden('address-key'),
    country: 'DE',
    title: forbidden('address-title'),
    salutation: forbidden('address-salutation'),
    firstName: forbidden('address-first-name'),
    lastName: forbidden('address-last-name'),
    streetName: 'Lange Straße',
    streetNumber: '12a',
    additionalStreetInfo: forbidden('street-info'),
    postalCode: '10115',
    city: 'Berlin',
    region: 'Mitte',
    state: 'BE',
    company: forbidden('company'),
    department: forbidden('department'),
    building: forbidden('building'),
    apartment: forbidden('apartment'),
    pOBox: forbidden('box'),
    phone: forbidden('phone'),
    mobile: forbidden('mobile'),
    email: forbidden('address-email'),
    fax: forbidden('fax'),
    additionalAddressInfo: forbidden('address-info'),
    externalId: forbidden('address-external-id'),
    custom,
    ...members,
  };
}

/** A customer with all fields. */
export function fullCustomer(members = {}) {
  return {
    id: CUSTOMER_ID,
    version: 1,
    versionModifiedAt: '2026-02-03T04:05:06.700Z',
    key: forbidden('key'),
    customerNumber: 'C-1001',
    externalId: 'crm-77',
    createdAt: '2026-02-03T04:05:06.700Z',
    lastModifiedAt: '2026-02-03T04:05:06.701Z',
    lastModifiedBy: client,
    createdBy: client,
    email: 'ann.lee@example.com',
    password: forbidden('password'),
    firstName: 'Ann',
    lastName: 'Lee',
    middleName: 'B.',
    title: forbidden('title'),
    salutation: forbidden('salutation'),
    dateOfBirth: '1990-05-06',
    companyName: 'Lee & Daughters',
    vatId: forbidden('vat-id'),
    addresses: [fullAddress(), fullAddress({ id: 'addr-2', city: 'Potsdam', streetNumber: '7' })],
    defaultShippingAddressId: 'addr-2',
    shippingAddressIds: ['addr-1', 'addr-2'],
    defaultBillingAddressId: 'addr-1',
    billingAddressIds: ['addr-1'],
    isEmailVerified: false,
    customerGroup: reference('customer-group', forbidden('group')),
    customerGroupAssignments: [{ customerGroup: reference('customer-group', forbidden('group')) }],
    custom,
    locale: 'de-DE',
    stores: [{ typeId: 'store', key: forbidden('store') }],
    authenticationMode: 'Password',
    ...members,
  };
}

/** What may be kept of `fullCustomer()`. */
export const KEPT_CUSTOMER = {
  id: CUSTOMER_ID,
  email: 'ann.lee@example.com',
  firstName: 'Ann',
  middleName: 'B.',
  lastName: 'Lee',
  companyName: 'Lee & Daughters',
  dateOfBirth: '1990-05-06',
  locale: 'de-DE',
  customerNumber: 'C-1001',
  externalId: 'crm-77',
  version: 1,
  createdAt: '2026-02-03T04:05:06.700Z',
  lastModifiedAt: '2026-02-03T04:05:06.701Z',
  addresses: [
    {
      id: 'addr-1',
      streetName: 'Lange Straße',
      streetNumber: '12a',
      city: 'Berlin',
      region: 'Mitte',
      state: 'BE',
      postalCode: '10115',
      country: 'DE',
    },
    {
      id: 'addr-2',
      streetName: 'Lange Straße',
      streetNumber: '7',
      city: 'Potsdam',
      region: 'Mitte',
      state: 'BE',
      postalCode: '10115',
      country: 'DE',
    },
  ],
  defaultShippingAddressId: 'addr-2',
  defaultBillingAddressId: 'addr-1',
};

const address = fullAddress();
const field = { name: forbidden('name'), value: forbidden('value') };
const addressField = { ...field, addressId: 'addr-1' };
const assignment = { customerGroup: reference('customer-group', forbidden('group')) };
const stores = [{ typeId: 'store', key: forbidden('store') }];
const token = {
  customerId: CUSTOMER_ID,
  expiresAt: '2026-02-03T05:05:06.789Z',
  value: TOKEN,
  invalidateOlderTokens: true,
};
const group = { resource: reference('customer-group', 'group-1') };

/** What each message has beside what all have. Its resource is the customer, unless it says otherwise. */
const FIELDS = {
  CustomerAddressAdded: { address },
  CustomerAddressChanged: { address, addressRoles: ['Shipping'] },
  CustomerAddressCustomFieldAdded: addressField,
  CustomerAddressCustomFieldChanged: { ...addressField, previousValue: forbidden('previous') },
  CustomerAddressCustomFieldRemoved: { name: forbidden('name'), addressId: 'addr-1' },
  CustomerAddressCustomTypeRemoved: { previousTypeId: forbidden('type'), addressId: 'addr-1' },
  CustomerAddressCustomTypeSet: { customFields: custom, addressId: 'addr-1' },
  CustomerAddressRemoved: { address, addressRoles: ['Billing', 'Shipping'] },
  CustomerBillingAddressAdded: { address },
  CustomerBillingAddressRemoved: { address },
  CustomerCompanyNameSet: { companyName: forbidden('company') },
  CustomerCreated: { customer: fullCustomer() },
  CustomerCustomFieldAdded: field,
  CustomerCustomFieldChanged: { ...field, previousValue: forbidden('previous') },
  CustomerCustomFieldRemoved: { name: forbidden('name') },
  CustomerCustomTypeRemoved: { previousTypeId: forbidden('type') },
  CustomerCustomTypeSet: { customFields: custom },
  CustomerDateOfBirthSet: { dateOfBirth: forbidden('birth') },
  CustomerDefaultBillingAddressSet: { address },
  CustomerDefaultShippingAddressSet: { address },
  CustomerDeleted: { email: forbidden('email') },
  CustomerEmailChanged: { email: forbidden('email'), oldEmail: forbidden('old-email') },
  CustomerEmailTokenCreated: { ...token, resource: reference('customer-email-token') },
  CustomerEmailVerified: {},
  CustomerExternalIdSet: { externalId: forbidden('external-id') },
  CustomerFirstNameSet: { firstName: forbidden('first-name') },
  CustomerGroupAssignmentAdded: { customerGroupAssignment: assignment },
  CustomerGroupAssignmentRemoved: { customerGroupAssignment: assignment },
  CustomerGroupAssignmentsSet: {
    customerGroupAssignments: [assignment],
    oldCustomerGroupAssignments: [],
  },
  CustomerGroupCustomFieldAdded: { ...field, ...group },
  CustomerGroupCustomFieldChanged: { ...field, oldValue: forbidden('old'), ...group },
  CustomerGroupCustomFieldRemoved: { name: forbidden('name'), ...group },
  CustomerGroupCustomTypeRemoved: { oldTypeId: forbidden('type'), ...group },
  CustomerGroupCustomTypeSet: { customFields: custom, ...group },
  CustomerGroupSet: { customerGroup: assignment.customerGroup },
  CustomerLastNameSet: { lastName: forbidden('last-name') },
  CustomerPasswordTokenCreated: { ...token, resource: reference('customer-password-token') },
  CustomerPasswordUpdated: { reset: true },
  CustomerShippingAddressAdded: { address },
  CustomerShippingAddressRemoved: { address },
  CustomerStoresSet: { stores, oldStores: [] },
  CustomerTitleSet: { title: forbidden('title') },
};

/** The types that there are builders for. */
export const MESSAGE_TYPES = Object.keys(FIELDS);

/** A message in Commercetools' own format. */
export function message(type, members = {}) {
  return {
    notificationType: 'Message',
    projectKey: PROJECT,
    id: MESSAGE_ID,
    version: 1,
    sequenceNumber: 3,
    resource: reference('customer', CUSTOMER_ID),
    resourceVersion: RESOURCE_VERSION,
    resourceUserProvidedIdentifiers: {
      key: forbidden('key'),
      externalId: forbidden('external-id'),
      customerNumber: forbidden('number'),
    },
    type,
    ...FIELDS[type],
    createdAt: CREATED_AT,
    lastModifiedAt: CREATED_AT,
    createdBy: client,
    lastModifiedBy: client,
    ...members,
  };
}

/** The same when it was too large: only what all messages have, and what it would have been. */
export function leftOut(payloadType, type = payloadType) {
  const whole = message(payloadType);
  for (const name of Object.keys(FIELDS[payloadType]))
    if (name !== 'resource') Reflect.deleteProperty(whole, name);
  const reason = 'The payload is larger than the limit of the destination.';
  return { ...whole, type, payloadNotIncluded: { reason, payloadType } };
}

/** `ResourceCreated`, `ResourceUpdated` or `ResourceDeleted`: it says that, and holds no customer. */
export function change(notificationType, members = {}) {
  return {
    notificationType,
    projectKey: PROJECT,
    resource: reference('customer', CUSTOMER_ID),
    resourceUserProvidedIdentifiers: { key: forbidden('key') },
    version: 5,
    ...(notificationType === 'ResourceUpdated' && { oldVersion: 4 }),
    ...(notificationType === 'ResourceDeleted' && { dataErasure: true }),
    modifiedAt: CREATED_AT,
    ...members,
  };
}

/** With this Commercetools tries a new subscription out. */
export const subscriptionTest = () =>
  change('ResourceCreated', { resource: reference('subscription'), version: 1 });

/** The same notification as CloudEvents 1.0. */
export function cloudEvent(notification, members = {}) {
  const { notificationType, type, resource, projectKey } = notification;
  const isMessage = notificationType === 'Message';
  const name = isMessage ? `message.${type}` : `change.${notificationType}`;
  return {
    specversion: '1.0',
    id: isMessage ? MESSAGE_ID : '9d1b7c1e-6c1f-4b7e-8f3a-0a1b2c3d4e5f',
    type: `com.commercetools.${resource.typeId}.${name}`,
    source: `/${projectKey}/${resource.typeId}s`,
    subject: resource.id,
    time: '2026-02-03T04:05:07.000Z',
    ...(isMessage && {
      sequence: '3',
      sequencetype: 'Integer',
      dataref: `/${projectKey}/messages/${MESSAGE_ID}`,
    }),
    data: notification,
    ...members,
  };
}

/** What SNS puts around a text on its way over HTTP. */
export function snsEnvelope(text, members = {}) {
  return {
    Type: 'Notification',
    MessageId: 'e3a0c1c8-5c3e-5f0a-9d57-97f3a2b5c1d0',
    TopicArn: 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-test',
    Message: text,
    Timestamp: '2026-02-03T04:05:08.000Z',
    SignatureVersion: '2',
    Signature: 'c2lnbmF0dXJl',
    SigningCertURL: 'https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem',
    UnsubscribeURL: 'https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe',
    ...members,
  };
}

/** The payload of story 19. */
export function simplified(type = 'CustomerUpdated', customer = {}) {
  return {
    notificationType: 'Message',
    type,
    customer: {
      email: 'ann.lee@example.com',
      firstName: 'Ann',
      lastName: 'Lee',
      fullName: 'Ann B. Lee',
      addresses: [
        {
          streetName: 'Lange Straße',
          streetNumber: '12a',
          city: 'Berlin',
          postalCode: '10115',
          country: 'DE',
        },
      ],
      ...customer,
    },
  };
}
