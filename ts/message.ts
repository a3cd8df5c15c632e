/**
 * Parameters to messages: what the caller gave, checked and put in the shape that is sent. The texts and their
 * order are those of analytics-node; what that library loses in silence is refused here with an error.
 */
import { isBlank } from './blank.js';
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
  TrackParams,
} from './params.js';
import { momentOf } from './timestamp.js';

/** An event before it is sealed. `context` comes last: the engine adds `library` to it there. */
export interface Message {
  messageId: string | undefined;
  /** What the caller gave, until {@link problemOf} has put the moment in its place. */
  timestamp: unknown;
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
  requireIdentity(userId ?? anonymousId, params, USER_IDS);
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
  requireIdentity(userId ?? anonymousId ?? groupId, params, GROUP_IDS);
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
  requireIdentity(userId ?? anonymousId, params, USER_IDS);
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
  requireIdentity(userId ?? previousId, params, ALIAS_IDS);
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
 * call is refused, but nothing is thrown where nothing was thrown before. A timestamp is understood here, once: the
 * message then says the moment as it is sent. A blank `messageId` is taken out.
 */
export function problemOf(type: SegmentEventType, message: Message): AnalyticsError | undefined {
  const { messageId, timestamp, context } = message;
  if (messageId !== undefined) {
    if (messageId.length > MAX_MESSAGE_ID_LENGTH)
      return new ValidationError('.messageId', `is longer than ${MAX_MESSAGE_ID_LENGTH} characters`);
    // As an empty one: it would be the same id for all events, of which Segment keeps one.
    if (isBlank(messageId)) message.messageId = undefined;
  }
  if (timestamp !== undefined) {
    const moment = momentOf(timestamp);
    if (moment instanceof ValidationError) return moment;
    message.timestamp = moment;
  }
  if (context !== undefined && (typeof context !== 'object' || Array.isArray(context))) {
    return new ValidationError('.context', 'is not an object');
  }
  return problemOfNames(type, message);
}

/** Without these, Segment acknowledges an event and throws it away (HTTP Tracking API, "Common fields"). */
function problemOfNames(type: SegmentEventType, message: Message): ValidationError | undefined {
  const { userId, anonymousId } = message;
  const problem = problemOfKind('userId', userId) ?? problemOfKind('anonymousId', anonymousId);
  if (problem !== undefined) return problem;
  switch (type) {
    case 'alias':
      return problemOfNeeded('userId', userId) ?? problemOfNeeded('previousId', message['previousId']);
    case 'group':
      return problemOfNeeded('groupId', message['groupId']) ?? problemOfUser(userId, anonymousId);
    case 'track':
      return problemOfNeeded('event', message['event']) ?? problemOfUser(userId, anonymousId);
    default:
      return problemOfUser(userId, anonymousId);
  }
}

/** One of the two is enough; the other may be blank. */
function problemOfUser(userId: unknown, anonymousId: unknown): ValidationError | undefined {
  if (isVisible(userId) || isVisible(anonymousId)) return undefined;
  const isNil = (userId ?? anonymousId ?? undefined) === undefined;
  const problem = isNil ? 'are nil' : 'are blank';
  return new ValidationError('.userId/anonymousId', `${problem}: Segment throws such an event away`);
}

function problemOfNeeded(member: string, value: unknown): ValidationError | undefined {
  if (isVisible(value)) return undefined;
  const problem = problemOfKind(member, value);
  if (problem !== undefined) return problem;
  const isNil = value === undefined || value === null;
  return new ValidationError(
    `.${member}`,
    `is ${isNil ? 'nil' : 'blank'}: Segment throws such an event away`,
  );
}

function problemOfKind(member: string, value: unknown): ValidationError | undefined {
  if (typeof value === 'string' || value === undefined || value === null) return undefined;
  return new ValidationError(`.${member}`, `is not a string: it is ${kindOf(value)}`);
}

function isVisible(value: unknown): boolean {
  return typeof value === 'string' && !isBlank(value);
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

function requireParams(method: SegmentEventType, params: unknown): void {
  if (typeof params !== 'object' || params === null) {
    throw new ValidationError(`${method}()`, "takes an object, for example { userId: 'user-1', ... }");
  }
}

const IDENTITY = '.userId/anonymousId/previousId/groupId';
/** What is looked at for an identity, in order. */
const USER_IDS = ['userId', 'anonymousId'] as const;
const GROUP_IDS = [...USER_IDS, 'groupId'] as const;
const ALIAS_IDS = ['userId', 'previousId'] as const;

/** The text begins as analytics-node's, and says which of the ids it is. */
function requireIdentity(id: unknown, params: object, members: readonly string[]): void {
  if (typeof id === 'string') return;
  if (id === undefined || id === null) throw new ValidationError(IDENTITY, 'is nil');
  const given = params as Readonly<Record<string, unknown>>;
  const member = members.find((name) => Object.is(given[name], id)) ?? 'it';
  throw new ValidationError(IDENTITY, `is not a string: ${member} is ${kindOf(id)}`);
}

/** What a value is, never the value itself. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'bigint') return 'a BigInt';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
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
