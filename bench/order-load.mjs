// Orders at a fixed rate, whether or not the earlier ones are answered: an application that is late stays late.
import { Agent, request } from 'node:http';
import { sleep } from './metrics/metric.mjs';

const ANSWER_DEADLINE_MS = 10_000;
const CREATED = 201;
const LEAST_ANSWER_BYTES = 2000;
const USERS = 500;
const ITEMS = Array.from({ length: 10 }, (_, i) => ({
  sku: `SKU-${4000 + 37 * i}`,
  name: `Article ${i} of the autumn catalogue`,
  price: 4.9 + i,
  quantity: 1 + (i % 3),
}));

/** The customers of one application. */
export class OrderLoad {
  #agent = new Agent({ keepAlive: true });
  #port;
  #failures = 0;
  sent = 0;

  constructor(/** @type {number} */ port) {
    this.#port = port;
  }

  /** @returns {Promise<number>} milliseconds from when the order was due until its receipt was complete */
  async order(/** @type {number} */ dueAt) {
    const number = this.sent++;
    const body = JSON.stringify({ number, items: ITEMS });
    const hasReceipt = await this.#post(body, `user-${number % USERS}`);
    if (!hasReceipt) this.#failures += 1;
    return performance.now() - dueAt;
  }

  /** @returns {number} how many orders have failed since the last time this was asked */
  takeFailures() {
    const failures = this.#failures;
    this.#failures = 0;
    return failures;
  }

  /** @returns {Promise<boolean>} whether the order was placed and its receipt arrived */
  #post(/** @type {string} */ body, /** @type {string} */ user) {
    return new Promise((resolve) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0',
        'accept-language': 'de-DE,de;q=0.9,en;q=0.8',
        'x-user-id': user,
      };
      const target = { agent: this.#agent, host: '127.0.0.1', port: this.#port, path: '/orders' };
      const outgoing = request({ ...target, method: 'POST', headers }, (response) => {
        let bytes = 0;
        response.on('data', (chunk) => {
          bytes += chunk.length;
        });
        response.once('end', () => resolve(response.statusCode === CREATED && bytes >= LEAST_ANSWER_BYTES));
        response.once('error', () => resolve(false));
      });
      outgoing.setTimeout(ANSWER_DEADLINE_MS, () => outgoing.destroy());
      outgoing.once('error', () => resolve(false));
      outgoing.end(body);
    });
  }
}

/**
 * To each of the applications in turn, one order after the other: whatever else the machine does hits all alike.
 * @param {OrderLoad[]} loads
 * @param {{ each: number, perSecond: number }} pace how many orders for each application, and how fast
 * @returns {Promise<number[][]>} the latencies of each application
 */
export async function orderInTurn(loads, { each, perSecond }) {
  /** @type {Promise<number>[][]} */
  const latencies = loads.map(() => []);
  const intervalMs = 1000 / perSecond / loads.length;
  const start = performance.now();
  for (let i = 0; i < each * loads.length; i++) {
    const dueAt = start + i * intervalMs;
    const early = dueAt - performance.now();
    if (early > 0) await sleep(early);
    const turn = i % loads.length;
    latencies[turn].push(loads[turn].order(dueAt));
  }
  return Promise.all(latencies.map((ofOne) => Promise.all(ofOne)));
}
