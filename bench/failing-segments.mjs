// Segment as it fails: it hangs, refuses connections, or answers 500. All of that at once, in one process.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { answerCalls } from './ipc-calls.mjs';

const requests = { hangs: 0, refuses: 0, answers500: 0 };

const hanging = createServer((request) => {
  requests.hangs += 1;
  request.resume();
});

const answering = createServer((request, response) => {
  requests.answers500 += 1;
  request.resume().once('end', () => response.writeHead(500, { 'content-length': 0 }).end());
});

async function listen(/** @type {import('node:http').Server} */ server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${/** @type {any} */ (server.address()).port}`;
}

/** Of a server that is no more. */
async function closedPort() {
  const server = createServer();
  const url = await listen(server);
  server.close();
  await once(server, 'close');
  return url;
}

answerCalls(process, {
  listen: async () => {
    const [hangs, answers500] = [await listen(hanging), await listen(answering)];
    return { hangs, answers500, refuses: await closedPort() };
  },
  requests: () => requests,
});
process.once('disconnect', () => process.exit(0));
