/** The integration service of story 4: identifies customers in Segment and says what came of it, as a value. */
import { Analytics } from '../analytics.js';
import { deferred } from '../deferred.js';
import { AnalyticsError } from '../errors.js';
import { EngineSegmentClient, getSegmentClientFromEnvironment } from './client.js';
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
  options: TransformOptions = {},
): Promise<void> {
  const payload = transformCustomerToSegment(customer, options);
  await identifyWith(getSegmentClientFromEnvironment(), payload);
}

const engineClients = new WeakMap<Analytics, EngineSegmentClient>();

/** Resolves when the event is delivered. */
export async function identifyWith(
  client: SegmentClient | SegmentClientLike,
  payload: SegmentIdentifyPayload,
): Promise<void> {
  if (client instanceof EngineSegmentClient) return client.deliver(payload);
  if (client instanceof Analytics) {
    const engineClient = engineClients.get(client) ?? new EngineSegmentClient(client);
    engineClients.set(client, engineClient);
    return engineClient.deliver(payload);
  }
  return isEmitter(client) ? identifyWithCallback(client, payload) : identifyAndFlush(client, payload);
}

async function identifyAndFlush(
  client: SegmentClient | SegmentClientLike,
  payload: SegmentIdentifyPayload,
): Promise<void> {
  await client.identify(payload);
  await client.flush?.();
}

/** analytics-node tells of failures in a callback only; its `flush()` resolves whatever happened. */
interface EmitterClient extends SegmentClientLike {
  identify(params: unknown, callback?: (error: unknown) => void): unknown;
  on(event: string, listener: (...args: never[]) => void): unknown;
}

function isEmitter(client: SegmentClient | SegmentClientLike): client is EmitterClient {
  const { on, register } = client as { on?: unknown; register?: unknown };
  return typeof on === 'function' && typeof register === 'function';
}

async function identifyWithCallback(client: EmitterClient, payload: SegmentIdentifyPayload): Promise<void> {
  const { promise, resolve, reject } = deferred();
  client.identify(payload, (error) => {
    if (error === undefined || error === null) resolve();
    else reject(error instanceof Error ? error : new Error(textOf(error)));
  });
  await Promise.all([promise, client.flush?.()]);
}

function requirePayload(payload: unknown): void {
  const { userId, traits } = (payload ?? {}) as Partial<SegmentIdentifyPayload>;
  if (typeof payload !== 'object' || payload === null || typeof traits !== 'object' || traits === null) {
    throw new AnalyticsError('ERR_VALIDATION', 'Invalid payload: it must be { userId, traits }.');
  }
  if (typeof userId !== 'string' || userId.trim() === '') throw emptyUserId();
}

/** Whatever was thrown, as a value. */
export function segmentErrorOf(error: unknown): SegmentError {
  if (!(error instanceof Error)) return { message: textOf(error) };
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? { message: error.message, code } : { message: error.message };
}

function textOf(error: unknown): string {
  try {
    return String((error as { message?: unknown } | null)?.message ?? error);
  } catch {
    return 'Unknown error';
  }
}
