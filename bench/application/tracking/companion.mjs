// SegmentModule with the request's context; one call of the service, and one of `@Track`.
import { Injectable } from '@nestjs/common';
import { SegmentModule, SegmentService, Track } from '@companion/segment/nestjs';
import { COMPLETED, completedProperties, decorateMethod, Orders, receivedEvent } from '../orders.mjs';

class TrackedOrders extends Orders {
  constructor(/** @type {SegmentService} */ segment) {
    super();
    this.segment = segment;
  }

  async place(order, customer) {
    this.segment.track(receivedEvent(order));
    return super.place(order, customer);
  }
}
Reflect.defineMetadata('design:paramtypes', [SegmentService], TrackedOrders);
decorateMethod(
  TrackedOrders,
  'place',
  Track(COMPLETED, { properties: ([order], receipt) => completedProperties(order, receipt) }),
);
Injectable()(TrackedOrders);

export function setUp(/** @type {string} */ host) {
  const requestContext = { userId: (request) => request.headers['x-user-id'] };
  const module = SegmentModule.forRoot({ host, writeKey: 'bench', requestContext });
  return { imports: [module], ordersClass: TrackedOrders, clientIn: (app) => app.get(SegmentService) };
}
