import { Body, Controller, Post } from '@nestjs/common';
import { SegmentService } from '@companion/segment/nestjs';

import { type NewOrder, OrdersService, type Receipt } from './orders.service.js';

@Controller('orders')
export class OrdersController {
  constructor(
    private readonly orders: OrdersService,
    private readonly segment: SegmentService,
  ) {}

  @Post()
  create(@Body() order: NewOrder): Promise<Receipt> {
    this.segment.identify({ userId: order.userId, traits: { email: order.email } });
    return this.orders.complete(order);
  }
}
