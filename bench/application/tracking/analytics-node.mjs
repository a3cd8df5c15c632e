// The same two calls as applications without a module make them: of one client, with the user's id.
import { Injectable } from '@nestjs/common';
import { create } from '../../sdks/analytics-node.mjs';
import { COMPLETED, completedProperties, Orders, receivedEvent } from '../orders.mjs';

export function setUp(/** @type {string} */ host) {
  const analytics = create(host, {});

  class TrackedOrders extends Orders {
    async place(order, userId) {
      analytics.track({ userId, ...receivedEvent(order) });
      const receipt = await super.place(order, userId);
      analytics.track({ userId, event: COMPLETED, properties: completedProperties(order, receipt) });
      return receipt;
    }
  }
  Injectable()(TrackedOrders);

  return { imports: [], ordersClass: TrackedOrders, clientIn: () => analytics };
}
