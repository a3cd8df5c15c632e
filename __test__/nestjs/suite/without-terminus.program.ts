/** Asks how the client is, before and after it is closed, where Terminus is not installed. */
import { register } from 'node:module';

import { NestFactory } from '@nestjs/core';
import { SegmentHealthIndicator, SegmentModule } from '@companion/segment/nestjs';

const HOOKS = `
  import { writeSync } from 'node:fs';

  export async function resolve(specifier, context, next) {
    if (specifier !== '@nestjs/terminus') return next(specifier, context);
    writeSync(1, 'Terminus is looked for\\n');
    throw new Error('There is none.');
  }
`;

class RootModule {}

async function main(): Promise<void> {
  register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
  const root = { module: RootModule, imports: [SegmentModule.forRoot({ enabled: false })] };
  const app = await NestFactory.createApplicationContext(root, { logger: false });
  const indicator = app.get(SegmentHealthIndicator);
  const before = await indicator.isHealthy();
  await app.close();
  const after = await indicator.isHealthy();
  process.stdout.write(
    `${JSON.stringify([before.segment.status, after.segment.status, after.segment.reasons])}\n`,
  );
}

void main();
