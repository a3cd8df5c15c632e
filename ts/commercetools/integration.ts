/** The integration service of story 4: identifies customers in Segment and says what came of it, as a value. */
import { Analytics } from '../analytics.js';
import { isBlank } from '../blank.js';
import { setImmediate } from '../clock.js';
import { deferred, type Deferred } from '../deferred.js';
import { AnalyticsError, invalidOption } from '../errors.js';
import { EngineSegmentClient, getSegmentClientFromEnvironment, inTime } from './client.js';
import { emptyUserId, transformCustomerToSegment } from './transformation.js';
import type {
  CommercetoolsCustomer,
  SegmentClient,
  SegmentClientLike,
  SegmentError,
  SegmentIdentifyPayload,
  SegmentIntegrationResult,
  TransformOptions,
} from './types.js';

/** Sends with the environment's client. Never throws or rejects. */
export async function sendCustomerToSegment(
  payload: SegmentIdentifyPayload,
): Promise<SegmentIntegrationResult> {
  try {
    // What is wrong with the call itself is said first.
    requirePayload(payload);
    return await sendCustomerToSegmentWithClient(getSegmentClientFromEnvironment(), payload);
  } catch (error) {
    return { success: false, error: segmentErrorOf(error) };
  }
}

/**
 * Sends with a client of this package, with `Analytics` of this package or of analytics-node, or with a double.
 * Resolves when the event is delivered or given up. Never throws or rejects.
 */
export async function sendCustomerToSegmentWithClient(
  client: SegmentClient | SegmentClientLike,
  payload: SegmentIdentifyPayload,
): Promise<SegmentIntegrationResult> {
  try {
    requirePayload(payload);
    await identifyWith(client, payload);
    return { success: true };
  } catch (error) {
    return { success: false, error: segmentErrorOf(error) };
  }
}

/**
 * Transforms and sends a customer with the environment's client.
 *
 * @throws AnalyticsError with the cause's text and code: the story's signature has no other way to tell of it
 */
export async function identifyCustomer(
  customer: CommercetoolsCustomer,
  options?: TransformOptions,
): Promise<void> {
  const payload = transformCustomerToSegment(customer, options);
  await identifyWith(getSegmentClientFromEnvironment(), payload);
}

/** By `deliver`, which is the same one behind whatever stands for the client. */
const engineClients = new WeakMap<object, EngineSegmentClient>();

/** Resolves when the event is delivered. */
export async function identifyWith(
  client: SegmentClient | SegmentClientLike,
  payload: SegmentIdentifyPayload,
): Promise<void> {
  const engineClient = engineClientOf(client);
  if (engineClient !== undefined) return engineClient.deliver(payload);
  return inTime(isEmitter(client) ? identifyInRounds(client, payload) : identifyAndFlush(client, payload));
}

/** The client on the engine behind a client; undefined for one of another make. */
export function engineClientOf(client: SegmentClient | SegmentClientLike): EngineSegmentClient | undefined {
  if (typeof (client as Partial<SegmentClientLike> | null | undefined)?.identify !== 'function') {
    throw invalidOption('client', 'an object with identify()');
  }
  if (client instanceof EngineSegmentClient) return client;
  const analytics = analyticsOf(client);
  if (analytics === undefined) return undefined;
  const key = analytics.deliver;
  const engineClient = engineClients.get(key) ?? new EngineSegmentClient(analytics);
  engineClients.set(key, engineClient);
  return engineClient;
}

/** Ours, or the one in a service for NestJS: `flush()` of both resolves whatever happened. */
function analyticsOf(client: SegmentClient | SegmentClientLike): Analytics | undefined {
  if (client instanceof Analytics) return client;
  const { client: inner } = client as { client?: unknown };
  return inner instanceof Analytics ? inner : undefined;
}

async function identifyAndFlush(
  client: SegmentClient | SegmentClientLike,
  payload: SegmentIdentifyPayload,
): Promise<void> {
  await client.identify(payload);
  await flush(client);
}

/** analytics-node tells of failures in a callback only; its `flush()` resolves whatever happened. */
interface EmitterClient extends SegmentClientLike {
  readonly VERSION: string;
  identify(params: unknown, callback?: (error: unknown) => void): unknown;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
}

/** By its version too: some doubles answer to any method. */
function isEmitter(client: SegmentClient | SegmentClientLike): client is EmitterClient {
  const { VERSION, on, off } = client as Partial<EmitterClient>;
  return typeof VERSION === 'string' && typeof on === 'function' && typeof off === 'function';
}

/** A call that waits for the next flush of its client. */
interface WaitingCall extends Deferred<void> {
  readonly payload: SegmentIdentifyPayload;
}

const waitingCalls = new WeakMap<EmitterClient, WaitingCall[]>();

/**
 * analytics-node can't flush while it flushes, and what is tracked meanwhile waits for its interval: all such calls go
 * together, once that flush is over.
 */
async function identifyInRounds(client: EmitterClient, payload: SegmentIdentifyPayload): Promise<void> {
  const call = { ...deferred(), payload };
  const waiting = waitingCalls.get(client);
  if (waiting === undefined) void runRounds(client, [call]);
  else waiting.push(call);
  return call.promise;
}

/** Never rejects. */
async function runRounds(client: EmitterClient, waiting: WaitingCall[]): Promise<void> {
  waitingCalls.set(client, waiting);
  // Calls of one turn of the event loop share a flush.
  await Promise.resolve();
  while (waiting.length > 0) {
    const round = waiting.splice(0);
    for (const { payload, resolve, reject } of round)
      identifyWithCallback(client, payload).then(resolve, reject);
    const flushed = flush(client).catch((error: unknown) => {
      for (const { reject } of round) reject(error);
    });
    // A flush goes on as long as the application tracks other things.
    await Promise.race([flushed, Promise.allSettled(round.map(({ promise }) => promise))]);
  }
  waitingCalls.delete(client);
}

async function flush(client: SegmentClientLike): Promise<void> {
  await client.flush?.();
}

async function identifyWithCallback(client: EmitterClient, payload: SegmentIdentifyPayload): Promise<void> {
  const { promise, resolve, reject } = deferred();
  // A closed client says so in an event, during the call, and never calls back.
  const refuse = () => reject(new AnalyticsError('ERR_CLOSED', 'The client was closed.'));
  client.on('call_after_close', refuse);
  try {
    client.identify(payload, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  } finally {
    client.off('call_after_close', refuse);
  }
  try {
    await promise;
  } finally {
    // Its flush ends a moment after the callback; until then it would not hear of a close.
    await new Promise((over) => void setImmediate(over));
  }
}

function requirePayload(payload: unknown): void {
  const { userId, traits } = (payload ?? {}) as { userId?: unknown; traits?: unknown };
  const hasTraits = typeof traits === 'object' && traits !== null && !Array.isArray(traits);
  const hasOddId = userId !== undefined && userId !== null && typeof userId !== 'string';
  if (!hasTraits || hasOddId) {
    throw new AnalyticsError('ERR_VALIDATION', 'Invalid payload: it must be { userId, traits }.');
  }
  if (typeof userId !== 'string' || isBlank(userId)) throw emptyUserId();
}

const UNKNOWN = 'Unknown error';

/** Whatever was thrown, as a value. Never throws. */
export function segmentErrorOf(error: unknown): SegmentError {
  try {
    const { message, code } = Object(error) as { message?: unknown; code?: unknown };
    const text = String(message ?? error) || String(error) || UNKNOWN;
    return typeof code === 'string' ? { message: text, code } : { message: text };
  } catch {
    return { message: UNKNOWN };
  }
}
