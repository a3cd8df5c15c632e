/** Calls a tracked method that rejects, and handles that if the argument says so. */
import { NestFactory } from '@nestjs/core';
import { SegmentModule, Track } from '@companion/segment/nestjs';

class Orders {
  @Track('Order Failed', { on: 'always', userId: () => 'user-1' })
  async fail(): Promise<never> {
    throw new Error('the order failed');
  }
}

class RootModule {}

async function main(): Promise<void> {
  const imports = [SegmentModule.forRoot({ enabled: false })];
  const root = { module: RootModule, imports, providers: [Orders] };
  const app = await NestFactory.createApplicationContext(root, { logger: false });
  const failing = app.get(Orders).fail();
  if (process.argv[2] === 'handled') failing.catch(() => undefined);
  setImmediate(() => process.stdout.write('still running\n'));
}

void main();
