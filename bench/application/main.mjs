// The process of one application: Nest on Express, with the tracking that it is started with.
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { answerCalls } from '../ipc-calls.mjs';
import { Orders, OrdersController } from './orders.mjs';

// Longer than any pause of the bench: a keep-alive socket must never be closed under the load's next request.
const KEEP_ALIVE_MS = 120_000;

const [tracking] = process.argv.slice(2);
const { setUp } = await import(`./tracking/${tracking}.mjs`);
let client;

async function listen(/** @type {string} */ host) {
  const { imports, ordersClass, clientIn } = setUp(host);
  class ApplicationModule {}
  Module({
    imports,
    controllers: [OrdersController],
    providers: [{ provide: Orders, useClass: ordersClass }],
  })(ApplicationModule);

  const app = await NestFactory.create(ApplicationModule);
  await app.listen(0, '127.0.0.1');
  client = clientIn?.(app);
  const server = app.getHttpServer();
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return server.address().port;
}

answerCalls(process, {
  listen,
  flush: async () => {
    await client.flush();
  },
  /** How many events the client took, for one that counts. */
  accepted: () => client.stats?.().accepted,
  cpuMicros: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
});
process.once('disconnect', () => process.exit(0));
