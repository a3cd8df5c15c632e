import { Injectable } from '@nestjs/common';
import { InjectSegment, SegmentService, Track } from '@companion/segment/nestjs';

export interface NewOrder {
  userId: string;
  email: string;
  total: number;
}

export interface Receipt {
  id: string;
}

@Injectable()
export class OrdersService {
  private taken = 0;

  constructor(@InjectSegment('marketing') private readonly marketing: SegmentService) {}

  @Track('Order Completed', {
    userId: ([order]: [NewOrder]) => order.userId,
    properties: ([order]: [NewOrder], receipt: Receipt) => ({ total: order.total, receipt: receipt.id }),
  })
  async complete(order: NewOrder): Promise<Receipt> {
    this.taken += 1;
    await Promise.resolve();
    this.marketing.track({
      userId: order.userId,
      event: 'Campaign Converted',
      properties: { total: order.total },
    });
    return { id: `receipt-${this.taken}` };
  }
}
