/** An application in a process of its own, for lifecycle.test.ts: `node lifecycle.program.js <start> <Segment's URL>`. */
import { Controller, Module, Post, type LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SegmentModule, SegmentService } from '@companion/segment/nestjs';

import { currentAdapter } from './support.js';

const [, , start = '', host = ''] = process.argv;

const say = (line: unknown) => void process.stdout.write(`${String(line)}\n`);
const logger: LoggerService = { log: say, warn: say, error: say };

@Controller()
class OrdersController {
  constructor(private readonly segment: SegmentService) {}

  @Post('orders')
  create(): void {
    this.segment.track({ userId: 'u1', event: 'Ordered' });
  }

  @Post('exit')
  exit(): void {
    this.segment.track({ userId: 'u1', event: 'Ordered' });
    process.exit(3);
  }

  @Post('crash')
  crash(): void {
    this.segment.track({ userId: 'u1', event: 'Ordered' });
    setImmediate(() => {
      throw new Error('crashed');
    });
  }
}

// Nothing leaves before the end by itself, and the end takes as long as it has to.
const never = 1_000_000;
const patient = { flushInterval: never, shutdownTimeout: never, exitTimeout: never };

@Module({
  imports: [SegmentModule.forRoot({ writeKey: 'any', host, ...patient })],
  controllers: [OrdersController],
})
class AppModule {}

/** Serves until a signal comes. */
async function serve({ withHooks }: { withHooks: boolean }): Promise<void> {
  const adapter = currentAdapter() === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
  const app = await NestFactory.create(AppModule, adapter, { logger });
  if (withHooks) app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  say(`listening on ${await app.getUrl()}`);
}

/** A script without a server. */
async function script({ isClosed }: { isClosed: boolean }): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger });
  const segment = app.get(SegmentService);
  for (let number = 0; number < 3; number += 1) segment.track({ userId: 'u1', event: 'Ordered' });
  if (isClosed) await app.close();
}

const starts: Record<string, () => Promise<void>> = {
  server: () => serve({ withHooks: false }),
  'server-with-hooks': () => serve({ withHooks: true }),
  script: () => script({ isClosed: true }),
  'script-left-open': () => script({ isClosed: false }),
};

void starts[start]?.();
