// Calls and replies over a Node IPC channel. The bench runs in three processes (the runner, the collector and
// the SDK under test); this is the only way they talk, so that no bench traffic mixes with the measured HTTP.

/**
 * @typedef {import('node:child_process').ChildProcess | NodeJS.Process} Channel
 * @typedef {(command: string, argument?: unknown) => Promise<any>} Call
 */

/**
 * @param {Channel} channel
 * @param {string} who names the other side in errors
 * @returns {Call}
 */
export function callsOver(channel, who) {
  /** @type {Map<number, { resolve: (value: any) => void, reject: (reason: Error) => void }>} */
  const waiting = new Map();
  let lastCall = 0;

  channel.on('message', (/** @type {any} */ message) => {
    const caller = waiting.get(message.reply);
    if (!caller) return;
    waiting.delete(message.reply);
    if (message.error === undefined) caller.resolve(message.result);
    else caller.reject(new Error(message.error));
  });
  channel.once('disconnect', () => {
    for (const caller of waiting.values()) caller.reject(new Error(`${who} ended before it answered`));
    waiting.clear();
  });

  return (command, argument) =>
    new Promise((resolve, reject) => {
      const call = ++lastCall;
      waiting.set(call, { resolve, reject });
      channel.send({ call, command, argument }, (error) => {
        if (error && waiting.delete(call)) reject(error);
      });
    });
}

/**
 * @param {Channel} channel
 * @param {Record<string, (argument: any) => unknown>} handlers
 */
export function answerCalls(channel, handlers) {
  const respond = async (/** @type {any} */ message) => {
    let answer;
    try {
      answer = { reply: message.call, result: await handlers[message.command](message.argument) };
    } catch (error) {
      answer = { reply: message.call, error: error instanceof Error ? error.message : String(error) };
    }
    if (channel.connected) channel.send(answer);
  };
  channel.on('message', (/** @type {any} */ message) => {
    if (message.call !== undefined) void respond(message);
  });
}

/** Milliseconds of the machine's monotonic clock: the same clock in every process, so times can be compared. */
export function monotonicMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}
