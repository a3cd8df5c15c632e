// What the application of the request latency does without tracking: one endpoint, as Nest applications have them.
// Without a compiler: decorators are called as functions, and say which classes a constructor takes.
import { Body, Controller, Headers, Injectable, Post } from '@nestjs/common';

/** As of a query. */
const DATABASE_MS = 5;
const TAX_RATE = 0.19;

function cents(/** @type {number} */ amount) {
  return Math.round(amount * 100) / 100;
}

function lineOf({ sku, name, price, quantity }) {
  const net = cents(price * quantity);
  const tax = cents(net * TAX_RATE);
  return {
    sku,
    name,
    unit: { amount: price, currency: 'EUR' },
    quantity,
    totals: { net, tax, gross: cents(net + tax) },
    shipping: { method: 'parcel', earliestDays: 2, latestDays: 4, returnableDays: 30 },
    links: { product: `/products/${sku}`, image: `/images/${sku}-320.webp` },
  };
}

/** Some KB as JSON. */
function receiptOf(order, customer) {
  const lines = order.items.map(lineOf);
  const gross = lines.reduce((sum, { totals }) => sum + totals.gross, 0);
  return { id: `ord_${order.number}`, customer, currency: 'EUR', gross: cents(gross), lines };
}

export class Orders {
  async place(order, customer) {
    await new Promise((resolve) => setTimeout(resolve, DATABASE_MS));
    return receiptOf(order, customer);
  }
}
Injectable()(Orders);

export class OrdersController {
  constructor(/** @type {Orders} */ orders) {
    this.orders = orders;
  }

  create(order, customer) {
    return this.orders.place(order, customer);
  }
}
Reflect.defineMetadata('design:paramtypes', [Orders], OrdersController);
Body()(OrdersController.prototype, 'create', 0);
Headers('x-user-id')(OrdersController.prototype, 'create', 1);
decorateMethod(OrdersController, 'create', Post());
Controller('orders')(OrdersController);

export function decorateMethod(owner, method, /** @type {MethodDecorator} */ decorator) {
  const descriptor = Object.getOwnPropertyDescriptor(owner.prototype, method) ?? {};
  decorator(owner.prototype, method, descriptor);
  Object.defineProperty(owner.prototype, method, descriptor);
}

// The two events of a request. Each has a sequence number of its own, by which the collector counts.

export function receivedEvent({ number, items }) {
  const skus = items.map(({ sku }) => sku);
  return { event: 'Order Received', properties: { sequence: 2 * number, items: items.length, skus } };
}

export const COMPLETED = 'Order Completed';

export function completedProperties({ number, items }, { id, gross, currency }) {
  const products = items.slice(0, 3).map(({ sku, price, quantity }) => ({ sku, price, quantity }));
  return { sequence: 2 * number + 1, orderId: id, total: gross, currency, products };
}
