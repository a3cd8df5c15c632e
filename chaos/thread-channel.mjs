// Lets calls and replies go over the port of a thread as they go over the channel of a process.

/**
 * @param {import('node:worker_threads').Worker | import('node:worker_threads').MessagePort} port
 * @returns {any}
 */
export function channelOf(port) {
  return {
    connected: true,
    on: (/** @type {string} */ name, /** @type {(value: any) => void} */ listener) => port.on(name, listener),
    // A thread has no `disconnect`: its port closes, or it ends.
    once: (/** @type {string} */ _name, /** @type {(value: any) => void} */ listener) => {
      port.once('exit', listener);
      port.once('close', listener);
    },
    send: (/** @type {unknown} */ message) => port.postMessage(message),
  };
}
