/**
 * Parameters to messages: what the caller gave, checked and put in the shape that is sent. The texts and their
 * order are those of analytics-node; what that library loses in silence is refused here with an error.
 */
import { type AnalyticsError, ValidationError } from './errors.js';
import { EVENT_TYPES } from './native.js';
import type {
  AliasParams,
  ExtraContext,
  GroupParams,
  IdentifyParams,
  MethodParams,
  PageParams,
  SegmentEvent,
  SegmentEventType,
  Timestamp,
  TrackParams,
} from './params.js';

/** An event before it is sealed. `context` comes last: the engine adds `library` to it there. */
export interface Message {
  messageId: string | undefined;
  timestamp: Timestamp | undefined;
  integrations: object | undefined;
  context: object | undefined;
  [member: string]: unknown;
}

/** Segment takes ids of up to 100 characters. */
const MAX_MESSAGE_ID_LENGTH = 100;

/** Makes a message of each type, or throws a {@link ValidationError}. */
export const messageOf: { [Type in SegmentEventType]: (params: MethodParams[Type]) => Message } = {
  identify: (params) => traitsMessage('identify', params),
  track: trackMessage,
  page: (params) => viewMessage('page', params),
  screen: (params) => viewMessage('screen', params),
  group: (params) => traitsMessage('group', params),
  alias: aliasMessage,
};

function trackMessage(params: TrackParams): Message {
  requireParams('track', params);
  const { userId, anonymousId, messageId, event, properties } = params;
  requireIdentity(userId ?? anonymousId);
  requireText('.messageId', messageId || '');
  requireText('.event', event);
  const given = properties ?? {};
  if (!isPlainObject(given)) throw new ValidationError('.properties', 'is not an object');
  return {
    messageId: messageId || undefined,
    timestamp: params.timestamp ?? undefined,
    event,
    userId,
    anonymousId,
    properties: given,
    integrations: params.integrations ?? undefined,
    context: contextOf(params.context),
  };
}

function traitsMessage(type: 'identify' | 'group', params: IdentifyParams | GroupParams): Message {
  requireParams(type, params);
  const { userId, anonymousId, messageId } = params;
  const groupId = type === 'group' ? (params as GroupParams).groupId : undefined;
  requireIdentity(userId ?? anonymousId ?? groupId);
  requireText('.messageId', messageId || '');
  const traits = params.traits ?? {};
  if (!isPlainObject(traits)) throw new ValidationError('.traits', 'is not an object');
  return {
    messageId: messageId || undefined,
    timestamp: params.timestamp ?? undefined,
    groupId,
    userId,
    anonymousId,
    traits,
    integrations: params.integrations ?? undefined,
    context: contextOf(params.context),
  };
}

function viewMessage(type: 'page' | 'screen', params: PageParams): Message {
  requireParams(type, params);
  const { userId, anonymousId, messageId } = params;
  requireIdentity(userId ?? anonymousId);
  requireText('.messageId', messageId || '');
  const category = params.category ?? undefined;
  const properties = { ...params.properties, ...(type === 'page' && category !== undefined && { category }) };
  return {
    messageId: messageId || undefined,
    timestamp: params.timestamp ?? undefined,
    category,
    name: params.name ?? undefined,
    userId,
    anonymousId,
    properties,
    integrations: params.integrations ?? undefined,
    context: contextOf(params.context),
  };
}

function aliasMessage(params: AliasParams): Message {
  requireParams('alias', params);
  const { userId, previousId, messageId } = params;
  requireIdentity(userId ?? previousId);
  requireText('.messageId', messageId || '');
  return {
    messageId: messageId || undefined,
    timestamp: params.timestamp ?? undefined,
    userId,
    previousId,
    integrations: params.integrations ?? undefined,
    context: contextOf(params.context),
  };
}

/**
 * What is wrong with a message that analytics-node would have taken and Segment would have thrown away. The
 * call is refused, but nothing is thrown where nothing was thrown before.
 */
export function problemOf(message: Message): AnalyticsError | undefined {
  const { messageId, timestamp, context } = message;
  if (messageId !== undefined && messageId.length > MAX_MESSAGE_ID_LENGTH) {
    return new ValidationError('.messageId', `is longer than ${MAX_MESSAGE_ID_LENGTH} characters`);
  }
  if (timestamp !== undefined && !isMoment(timestamp)) {
    return new ValidationError('.timestamp', 'is not a valid date');
  }
  if (context !== undefined && (typeof context !== 'object' || Array.isArray(context))) {
    return new ValidationError('.context', 'is not an object');
  }
  return undefined;
}

/**
 * The message of an event as plugins and `redact` left it, who may have made anything of it.
 *
 * @throws ValidationError when it is no event any more
 */
export function messageFrom(event: SegmentEvent): Message {
  if (typeof event !== 'object' || event === null) throw new ValidationError('The event', 'is not an object');
  const { type, context, messageId, timestamp, ...rest } = event;
  if (!EVENT_TYPES.includes(type))
    throw new ValidationError('.type', `is not one of ${EVENT_TYPES.join(', ')}`);
  requireText('.messageId', messageId || '');
  return {
    integrations: undefined,
    ...rest,
    messageId: messageId || undefined,
    timestamp: timestamp ?? undefined,
    context: contextOf(context),
  };
}

/** The caller's context without `library`, which is ours to say. Never the caller's own object changed. */
function contextOf(given: ExtraContext | null | undefined): object | undefined {
  const context = given as Record<string, unknown> | null | undefined;
  if (context === undefined || context === null) return undefined;
  if (typeof context !== 'object') return context;
  const { toJSON } = context;
  const plain = typeof toJSON === 'function' ? (toJSON.call(context) as Record<string, unknown>) : context;
  if (typeof plain !== 'object' || plain === null || Array.isArray(plain)) return plain;
  // JSON.stringify asks for toJSON() only once.
  if (!('library' in plain) && typeof plain['toJSON'] !== 'function') return plain;
  const { library: _ours, toJSON: _asked, ...rest } = plain;
  return rest;
}

/** A moment, or something that `JSON.stringify` writes as one (moment, Luxon, Temporal). */
function isMoment(value: unknown): boolean {
  if (value instanceof Date) return !Number.isNaN(value.getTime());
  try {
    const written: unknown = typeof value === 'object' ? (value as Partial<Date>).toJSON?.() : value;
    if (typeof written !== 'string' && typeof written !== 'number') return false;
    return !Number.isNaN(new Date(written).getTime());
  } catch {
    return false;
  }
}

function requireParams(method: SegmentEventType, params: unknown): void {
  if (typeof params !== 'object' || params === null) {
    throw new ValidationError(`${method}()`, "takes an object, for example { userId: 'user-1', ... }");
  }
}

function requireIdentity(id: unknown): void {
  if (id === undefined || id === null) {
    throw new ValidationError('.userId/anonymousId/previousId/groupId', 'is nil');
  }
  requireText('.userId/anonymousId/previousId/groupId', id);
}

function requireText(field: string, value: unknown): void {
  if (typeof value !== 'string') throw new ValidationError(field, 'is not a string');
}

function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return (
    Object.getPrototypeOf(value) === Object.prototype ||
    Object.prototype.toString.call(value) === '[object Object]'
  );
}
