// node bench/closed-clients.mjs [clients] [segment | companion]: clients one after the other, each used and closed, and what
// the process holds meanwhile. Ends with 1 when descriptors or memory grow with the number of clients.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const LOOKS = 20;
// What V8 does not give back at once is no growth; 10,000 clients that each left a kilobyte are.
const MAX_GROWTH_BYTES = 8 * 1024 * 1024;
const MAX_GROWTH_DESCRIPTORS = 4;
const MEBIBYTE = 1024 * 1024;

/** A server in a process of its own: its sockets are not counted. */
function serve() {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => response.end('{"success":true}'));
  });
  server.listen(0, '127.0.0.1', () => process.send?.(server.address().port));
  process.once('disconnect', () => process.exit());
}

const descriptors = () => readdirSync('/proc/self/fd').length;

async function measure(/** @type {number} */ count, /** @type {string} */ name) {
  const server = fork(fileURLToPath(import.meta.url), ['serve']);
  const [port] = await once(server, 'message');
  const { Analytics } = createRequire(import.meta.url)(name);
  setFlagsFromString('--expose-gc');
  /** @type {() => void} */
  const collect = runInNewContext('gc');
  const looks = [];
  let delivered = 0;
  for (let number = 1; number <= count; number += 1) {
    const analytics = new Analytics({ writeKey: `key-${number}`, host: `http://127.0.0.1:${port}` });
    analytics.track(
      { userId: 'user-1', event: 'Closed' },
      (error) => (delivered += error === undefined ? 1 : 0),
    );
    await analytics.closeAndFlush();
    if (number % Math.ceil(count / LOOKS) === 0) {
      // When V8 collects what is small to it is its affair, and no growth.
      collect();
      looks.push({ clients: number, descriptors: descriptors(), rss: process.memoryUsage.rss() });
    }
  }
  server.disconnect();
  return { delivered, looks };
}

async function main() {
  const [count = '10000', library = 'companion'] = process.argv.slice(2);
  const name = library === 'segment' ? '@segment/analytics-node' : '@companion/segment';
  const { delivered, looks } = await measure(Number(count), name);
  console.log(
    `${name}: ${count} clients, one after the other, each used and closed; ${delivered} events delivered`,
  );
  console.table(
    looks.map(({ rss, ...look }) => ({ ...look, 'RSS (MiB)': Math.round((rss / MEBIBYTE) * 10) / 10 })),
  );
  // The first half is for whatever is made once, and for V8 to find its size. What grows raises the least of what is seen;
  // the most depends on when V8 collects.
  const middle = LOOKS / 2 + LOOKS / 4;
  const least = (
    /** @type {number} */ from,
    /** @type {number} */ to,
    /** @type {'descriptors' | 'rss'} */ key,
  ) => Math.min(...looks.slice(from, to).map((look) => look[key]));
  const growth = (/** @type {'descriptors' | 'rss'} */ key) =>
    least(middle, LOOKS, key) - least(LOOKS / 2, middle, key);
  const isFlat = growth('descriptors') <= MAX_GROWTH_DESCRIPTORS && growth('rss') <= MAX_GROWTH_BYTES;
  console.log(
    `last quarter after the third: ${growth('descriptors')} descriptors, ${Math.round(growth('rss') / 1024)} KiB: ${isFlat ? 'flat' : 'GROWS'}`,
  );
  process.exitCode = isFlat && delivered === Number(count) ? 0 : 1;
}

if (process.argv[2] === 'serve') serve();
else await main();
