// What Commercetools sends when a customer signs up: about 2 KB of JSON, and the same work on it in TypeScript's way.

/** @returns {string} a raw `CustomerCreated` in the Platform format */
export function buildNotification(/** @type {number} */ sequence) {
  const id = `00000000-0000-4000-8000-${String(sequence).padStart(12, '0')}`;
  const address = (/** @type {number} */ number) => ({
    id: `address-${number}`,
    key: `key-${number}`,
    title: 'Dr.',
    firstName: 'Jane',
    lastName: 'Doe',
    streetName: number === 2 ? `sequence=${sequence}` : 'Main Street',
    streetNumber: String(number),
    additionalStreetInfo: 'Backyard',
    postalCode: '78701',
    city: 'Austin',
    region: 'TX',
    country: 'US',
    phone: '+1 555 0100',
    mobile: '+1 555 0101',
  });
  return JSON.stringify({
    notificationType: 'Message',
    projectKey: 'bench',
    id: `message-${id}`,
    version: 1,
    sequenceNumber: 1,
    resource: { typeId: 'customer', id },
    resourceVersion: 1,
    resourceUserProvidedIdentifiers: { customerNumber: `C-${sequence}`, externalId: `crm-${sequence}` },
    type: 'CustomerCreated',
    customer: {
      id,
      version: 1,
      createdAt: '2026-01-01T00:00:00.000Z',
      lastModifiedAt: '2026-01-01T00:00:00.000Z',
      email: `customer-${sequence}@shop.example`,
      firstName: 'Jane',
      middleName: 'Ann',
      lastName: 'Doe',
      password: '****aGg=',
      addresses: [address(1), address(2), address(3)],
      defaultShippingAddressId: 'address-2',
      shippingAddressIds: ['address-1', 'address-2'],
      defaultBillingAddressId: 'address-3',
      billingAddressIds: ['address-3'],
      isEmailVerified: false,
      customerNumber: `C-${sequence}`,
      externalId: `crm-${sequence}`,
      customerGroupAssignments: [],
      custom: { type: { typeId: 'type', id: 'type-1' }, fields: { newsletter: true, shoeSize: 38 } },
      stores: [{ typeId: 'store', key: 'us' }],
      authenticationMode: 'Password',
      locale: 'en-US',
    },
    createdAt: '2026-01-01T00:00:00.000Z',
    lastModifiedAt: '2026-01-01T00:00:00.000Z',
    createdBy: { isPlatformClient: false, clientId: 'client-1' },
  });
}

/** The same message, user and traits by hand. */
export function identifyByHand(/** @type {string} */ raw) {
  const { type, customer, projectKey, id, createdAt } = JSON.parse(raw);
  if (type !== 'CustomerCreated') throw new Error(`unexpected ${type}`);
  const { email, firstName, middleName, lastName, addresses } = customer;
  const withId = (/** @type {string} */ wanted) =>
    addresses.find((/** @type {{ id: string }} */ address) => address.id === wanted);
  const address =
    withId(customer.defaultShippingAddressId) ?? withId(customer.defaultBillingAddressId) ?? addresses[0];
  return {
    messageId: `ct:${projectKey}:${id}`,
    timestamp: createdAt,
    userId: email.trim(),
    traits: {
      email: email.trim(),
      firstName,
      lastName,
      name: customer.fullName ?? [firstName, middleName, lastName].filter(Boolean).join(' '),
      address: address && {
        street: [address.streetName, address.streetNumber].filter(Boolean).join(' '),
        city: address.city,
        state: address.state ?? address.region,
        postalCode: address.postalCode,
        country: address.country,
      },
    },
  };
}
