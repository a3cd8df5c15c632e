/** From a request to Segment: an injected service, a real server, and what is left at the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Body, Controller, Post } from '@nestjs/common';
import { SegmentModule, SegmentService } from '@companion/segment/nestjs';

import { CapturingLogger, startApplication, startSegment, WRITE_KEY } from './support.js';

interface Order {
  userId: string;
  total: number;
}

@Controller('orders')
class OrdersController {
  constructor(private readonly segment: SegmentService) {}

  @Post()
  create(@Body() { userId, total }: Order): { accepted: boolean } {
    const accepted = this.segment.track({ userId, event: 'Order Completed', properties: { total } });
    return { accepted };
  }
}

test('what a controller tracks is delivered when the application closes', async (t) => {
  const segment = await startSegment(t, { writeKeys: [WRITE_KEY] });
  const logger = new CapturingLogger();
  const imports = [SegmentModule.forRoot({ writeKey: WRITE_KEY, host: segment.url })];
  const { send, close } = await startApplication(t, {
    root: { imports, controllers: [OrdersController] },
    logger,
  });

  for (const total of [1, 2, 3]) {
    const response = await send('POST', '/orders', { userId: 'u1', total });
    assert.equal(response.status, 201);
    assert.deepEqual(await response.json(), { accepted: true });
  }
  await close();

  const arrived = segment.events.map(({ type, userId, event, properties }) => ({
    type,
    userId,
    event,
    properties,
  }));
  const expected = [1, 2, 3].map((total) => ({
    type: 'track',
    userId: 'u1',
    event: 'Order Completed',
    properties: { total },
  }));
  assert.deepEqual(arrived, expected);
  const [line, ...others] = logger.of('Segment');
  assert.deepEqual(others, []);
  assert.equal(line?.level, 'log');
  assert.match(line?.message ?? '', /^closed \{.*"accepted":3,"delivered":3,"dropped":0/);
  assert.ok(!logger.text.includes(WRITE_KEY));
});
