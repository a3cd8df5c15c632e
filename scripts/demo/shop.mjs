/** What the shop tells: messages of Commercetools about its customers, as SNS posts them. And what strangers make of it. */
import { randomUUID } from 'node:crypto';

const TOO_OLD_MS = 2 * 3_600_000;

/** As Commercetools sends it. */
export function customerCreated(email) {
  const createdAt = new Date().toISOString();
  const customerId = randomUUID();
  return {
    notificationType: 'Message',
    projectKey: 'companion-shop',
    id: randomUUID(),
    version: 1,
    sequenceNumber: 1,
    resource: { typeId: 'customer', id: customerId },
    resourceVersion: 1,
    type: 'CustomerCreated',
    customer: {
      id: customerId,
      version: 1,
      createdAt,
      lastModifiedAt: createdAt,
      email,
      firstName: 'Mira',
      lastName: 'Okafor',
      password: '****aGg=',
      addresses: [
        {
          id: 'a-1',
          streetName: 'Elm Street',
          streetNumber: '4',
          postalCode: '12345',
          city: 'Springfield',
          state: 'Oregon',
          country: 'US',
        },
      ],
      defaultShippingAddressId: 'a-1',
      shippingAddressIds: ['a-1'],
      billingAddressIds: [],
      isEmailVerified: false,
      stores: [],
      authenticationMode: 'Password',
    },
    createdAt,
    lastModifiedAt: createdAt,
  };
}

/**
 * What the application must not believe, by what is wrong with it.
 *
 * @param {import('../../__test__/support/sns.mjs').SnsTopic} topic
 * @param {Record<string, string>} message a genuine one that was delivered
 * @param {string} email
 * @returns {Record<string, Record<string, string>>}
 */
export function untrustworthy(topic, message, email) {
  const notification = customerCreated(email);
  return {
    'a forged message': { ...message, Message: JSON.stringify(notification) },
    'a replayed message': message,
    'an expired message': topic.notification(notification, {
      Timestamp: new Date(Date.now() - TOO_OLD_MS).toISOString(),
    }),
    'a message of a foreign topic': topic.notification(notification, {
      TopicArn: `${message.TopicArn}-of-somebody-else`,
    }),
  };
}
