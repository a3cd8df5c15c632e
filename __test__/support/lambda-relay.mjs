/** The network between a function and Segment: it cuts connections, swallows what goes over them, and holds answers. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Starts a relay to a server on the loopback interface. */
export async function startRelay(port) {
  const pairs = new Set();
  let isHeld = false;
  let swallowedBytes = 0;
  let connectionCount = 0;
  const server = createServer((near) => {
    connectionCount += 1;
    const far = connect(port, '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(pair);
        other.destroy();
      });
    }
    near.pipe(far);
    if (!isHeld) far.pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Connections opened so far. */
    get connectionCount() {
      return connectionCount;
    },
    /** Connections open at this moment. */
    get openConnections() {
      return pairs.size;
    },
    /** What went into black holes. */
    get swallowedBytes() {
      return swallowedBytes;
    },
    /** Hangs up on all connections; resolves when that is done. New ones work. */
    async cut() {
      const closed = [...pairs].map(({ near }) => once(near, 'close'));
      for (const { near } of pairs) near.destroy();
      await Promise.all(closed);
    },
    /** Whatever goes over the connections there are is lost from now on, and nobody is told. New ones work. */
    swallow() {
      for (const { near, far } of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.on('data', (bytes) => (swallowedBytes += bytes.length)).resume();
        far.resume();
      }
    },
    /** Answers wait until `release()`. */
    hold() {
      isHeld = true;
      for (const { near, far } of pairs) far.unpipe(near);
    },
    release() {
      isHeld = false;
      for (const { near, far } of pairs) far.pipe(near);
    },
    async close() {
      server.close();
      await this.cut();
    },
  };
}
