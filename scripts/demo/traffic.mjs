/**
 * The mix of calls of a shop, by number.
 * @param {import('@companion/segment').Analytics} analytics
 * @param {number} number
 * @param {string} [messageId] by default one that the client makes
 */
export function trackOne(analytics, number, messageId) {
  const userId = `user-${number % 997}`;
  const context = {
    ip: '203.0.113.7',
    locale: 'en-US',
    userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5)',
  };
  switch (number % 10) {
    case 0:
      return analytics.identify({
        userId,
        traits: { number, email: `${userId}@shop.example`, plan: 'pro' },
        messageId,
      });
    case 1:
      return analytics.page({
        userId,
        name: 'Checkout',
        category: 'Shop',
        properties: { number, path: '/checkout' },
        messageId,
      });
    case 2:
      return analytics.screen({
        anonymousId: `device-${number}`,
        name: 'Home',
        properties: { number },
        messageId,
      });
    case 3:
      return analytics.group({
        userId,
        groupId: `company-${number % 50}`,
        traits: { number, employees: 42 },
        messageId,
      });
    case 4:
      return analytics.alias({
        userId,
        previousId: `device-${number}`,
        context: { ...context, number },
        messageId,
      });
    default:
      return analytics.track({
        userId,
        event: 'Order Completed',
        context,
        properties: {
          number,
          orderId: `order-${number}`,
          total: 99.95,
          currency: 'USD',
          products: [
            { sku: 'G-32', name: 'Monopoly', price: 19.99, quantity: 1 },
            { sku: 'F-11', name: 'UNO', price: 7.5, quantity: 2 },
          ],
        },
        messageId,
      });
  }
}
