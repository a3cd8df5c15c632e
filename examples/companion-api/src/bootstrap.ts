import { Logger, ValidationPipe, type LoggerService } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { WINSTON_MODULE_NEST_PROVIDER } from 'nest-winston';

import { AppModule } from './app.module.js';
import type { Environment } from './config/environment.js';
import type { SnsTrust } from './webhook/webhook.module.js';

/** Resolves when the application listens. `trust` is for tests; the environment says everything else. */
export async function bootstrap(trust?: SnsTrust): Promise<void> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(trust), {
    bufferLogs: true,
    // Callers keep their connections and go on sending. Only this answer, which closes them, lets the server end.
    return503OnClosing: true,
  });
  // Everything logs through winston from here on, Segment's client too.
  app.useLogger(app.get<LoggerService>(WINSTON_MODULE_NEST_PROVIDER));
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, transform: true }));
  // A proxy on the same machine says where requests come from.
  app.set('trust proxy', 'loopback');
  // On SIGTERM: no new requests, answers to those in hand, then Segment gets what it does not have yet.
  app.enableShutdownHooks();

  const documentation = new DocumentBuilder().setTitle('Companion API').addBearerAuth().build();
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, documentation));

  const config = app.get<ConfigService<Environment, true>>(ConfigService);
  await app.listen(config.get('PORT', { infer: true }));
  new Logger('CompanionApi').log(`Listening on ${await app.getUrl()}`);
}
