/**
 * The rules of Segment's HTTP Tracking API, without any networking: which endpoints there are, who may
 * call them, what is too large, and which events are acknowledged and yet thrown away.
 *
 * Source, unless said otherwise: Segment HTTP Tracking API,
 * https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api
 */
import { gunzip } from 'node:zlib';
import { promisify } from 'node:util';

import { isBlank } from '../blank.js';
import type { AuthenticationKind, RecordedEvent, RejectedEvent, SortedEvents } from './recording.js';

/** Largest event, in UTF-8 bytes of its JSON ("a limit of 32KB per event in the batch"). */
export const MAX_EVENT_BYTES = 32 * 1024;
/** Largest request body, in bytes before compression ("a maximum of 500KB per request"). */
export const MAX_REQUEST_BYTES = 500 * 1024;
/** Most events in a batch; more are answered 200 and rejected (segment-docs pull request 7023). */
export const MAX_EVENTS_PER_BATCH = 2_500;
/** Longest `messageId`, in characters. */
export const MAX_MESSAGE_ID_CHARACTERS = 100;
/** Most of one body that is held in memory, compressed or not, in bytes. Anything larger is refused. */
export const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

const EVENT_TYPES = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const;
type EventType = (typeof EVENT_TYPES)[number];

/** What a path stands for. */
export type Endpoint = 'batch' | 'health' | EventType;

const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map<string, Endpoint>([
  ['/', 'health'],
  ['/health', 'health'],
  ['/v1/batch', 'batch'],
  ['/v1/import', 'batch'],
  ...EVENT_TYPES.map((type): [string, Endpoint] => [`/v1/${type}`, type]),
]);

export function endpointAt(path: string): Endpoint | undefined {
  return ENDPOINTS.get(path);
}

/** Why a whole request is refused. The message never quotes the payload. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/** An event before anybody has looked at its fields. */
type UncheckedEvent = Record<string, unknown>;

/** What a request body held. `refusal` is set when it cannot be taken, with whatever could be read beside it. */
export interface Submission {
  readonly bytesRaw: number;
  readonly events: readonly UncheckedEvent[];
  readonly writeKey?: string;
  readonly sentAt?: string;
  readonly refusal?: Refusal;
}

/** A body as it arrived. `undefined` bytes mean that there were more than `MAX_BUFFERED_BYTES`. */
export interface ArrivedBody {
  readonly bytes: Buffer | undefined;
  readonly encoding: string;
}

export async function readSubmission(
  endpoint: Endpoint,
  body: ArrivedBody,
  takesGzip: boolean,
): Promise<Submission> {
  const raw = await decompress(body, takesGzip);
  if (!Buffer.isBuffer(raw)) return { bytesRaw: 0, events: [], refusal: raw };
  const submission = parseSubmission(endpoint, raw);
  if (raw.length <= MAX_REQUEST_BYTES) return submission;
  return { ...submission, refusal: { status: 400, message: 'the request is larger than 500 KB' } };
}

const gunzipInThreadPool = promisify(gunzip);

async function decompress({ bytes, encoding }: ArrivedBody, takesGzip: boolean): Promise<Buffer | Refusal> {
  if (bytes === undefined) return { status: 400, message: 'the request is larger than 500 KB' };
  if (encoding === 'identity') return bytes;
  if (!takesGzip || (encoding !== 'gzip' && encoding !== 'x-gzip')) {
    return { status: 415, message: 'this content encoding is not supported' };
  }
  try {
    return await gunzipInThreadPool(bytes, { maxOutputLength: MAX_BUFFERED_BYTES });
  } catch {
    return { status: 400, message: 'the body is not valid gzip or too large' };
  }
}

function parseSubmission(endpoint: Endpoint, raw: Buffer): Submission {
  const refuse = (message: string): Submission => ({
    bytesRaw: raw.length,
    events: [],
    refusal: { status: 400, message },
  });
  const body = parseJson(raw);
  if (!isJsonObject(body)) return refuse('the body is not a JSON object');
  const envelope = {
    bytesRaw: raw.length,
    ...(typeof body.writeKey === 'string' && { writeKey: body.writeKey }),
    ...(typeof body.sentAt === 'string' && { sentAt: body.sentAt }),
  };
  if (endpoint !== 'batch') {
    const refusal = raw.length > SURELY_FITTING_BYTES ? sizeRefusal(body) : undefined;
    return {
      ...envelope,
      events: [{ ...withoutWriteKey(body), type: endpoint }],
      ...(refusal && { refusal }),
    };
  }
  const { batch } = body;
  if (!Array.isArray(batch)) return { ...refuse('batch is not an array'), ...envelope };
  if (!batch.every(isJsonObject)) return { ...refuse('an event is not a JSON object'), ...envelope };
  const refusal = mayHoldOversizedEvent(raw) ? firstDefined(batch, sizeRefusal) : undefined;
  return { ...envelope, events: batch.map(withoutWriteKey), ...(refusal && { refusal }) };
}

function parseJson(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'));
  } catch {
    return undefined;
  }
}

function isJsonObject(value: unknown): value is UncheckedEvent {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withoutWriteKey(event: UncheckedEvent): UncheckedEvent {
  if (!('writeKey' in event)) return event;
  const { writeKey: _dropped, ...rest } = event;
  return rest;
}

/**
 * Writing JSON again can make it longer, though never more than sixfold: `1e20` becomes 21 digits, one
 * byte of broken UTF-8 becomes the three of U+FFFD. What arrived in fewer bytes than this cannot be oversized.
 */
const SURELY_FITTING_BYTES = Math.floor(MAX_EVENT_BYTES / 6);

function sizeRefusal(event: UncheckedEvent): Refusal | undefined {
  try {
    if (Buffer.byteLength(JSON.stringify(event)) <= MAX_EVENT_BYTES) return undefined;
    return { status: 400, message: 'an event is larger than 32 KB' };
  } catch {
    // JSON.parse reads any depth, JSON.stringify runs out of stack at some thousand levels.
    return { status: 400, message: 'an event is nested too deeply' };
  }
}

function firstDefined<In, Out>(values: readonly In[], map: (value: In) => Out | undefined): Out | undefined {
  for (const value of values) {
    const mapped = map(value);
    if (mapped !== undefined) return mapped;
  }
  return undefined;
}

/**
 * Whether a batch needs its events measured one by one. A pass over the bytes costs a third of serialising
 * every event again, and nearly always shows that all of them are small.
 */
function mayHoldOversizedEvent(json: Buffer): boolean {
  return json.length > SURELY_FITTING_BYTES && longestSpanAtDepthTwo(json) > SURELY_FITTING_BYTES;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/** Bytes of the longest element of any array or object directly inside the outermost object of valid JSON. */
export function longestSpanAtDepthTwo(json: Buffer): number {
  let depth = 0;
  let elementStart = 0;
  let longest = 0;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === QUOTE) {
      at = closingQuote(json, at);
    } else if (byte === 0x7b /* { */ || byte === 0x5b /* [ */) {
      depth += 1;
      if (depth === 2) elementStart = at + 1;
    } else if (byte === 0x7d /* } */ || byte === 0x5d /* ] */) {
      if (depth === 2) longest = Math.max(longest, at - elementStart);
      depth -= 1;
    } else if (byte === COMMA && depth === 2) {
      longest = Math.max(longest, at - elementStart);
      elementStart = at + 1;
    }
  }
  return longest;
}

function closingQuote(json: Buffer, openingQuote: number): number {
  let at = openingQuote + 1;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

/** Who sent a request, without the key that proved it. */
export interface Authentication {
  readonly auth: AuthenticationKind;
  readonly authorized: boolean;
}

/**
 * The three ways in: the write key as Basic user name, an OAuth Bearer token with the key in the body, or
 * only the key in the body. A Basic header decides alone.
 */
export function authenticate(
  authorization: string | undefined,
  bodyKey: string | undefined,
  knownKeys: ReadonlySet<string> | undefined,
): Authentication {
  const isGood = (key: string) => (knownKeys === undefined ? key !== '' : knownKeys.has(key));
  const [, scheme = '', credentials = ''] = /^(basic|bearer)\s+(\S+)\s*$/i.exec(authorization ?? '') ?? [];
  if (scheme.toLowerCase() === 'basic')
    return { auth: 'basic', authorized: isGood(basicUserName(credentials)) };
  const authorized = bodyKey !== undefined && isGood(bodyKey);
  if (scheme !== '') return { auth: 'bearer', authorized };
  return { auth: bodyKey === undefined ? 'none' : 'body', authorized };
}

/** Segment still takes a Basic value without the colon. */
function basicUserName(credentials: string): string {
  return Buffer.from(credentials, 'base64').toString('utf8').split(':', 1)[0] ?? '';
}

/** Decides over a whole request: refused, or acknowledged with its events sorted. */
export function judge(
  submission: Submission,
  { auth, authorized }: Authentication,
  poison: ((event: RecordedEvent) => boolean) | undefined,
): SortedEvents | Refusal {
  const unauthorized = !authorized && { status: 401, message: 'the write key is missing or unknown' };
  if (unauthorized && auth === 'basic') return unauthorized;
  // Any other key is in the body: without a readable body there is nothing to say about it.
  const unreadable = submission.refusal !== undefined && submission.events.length === 0;
  if (unauthorized && !unreadable) return unauthorized;
  if (submission.refusal) return submission.refusal;
  const isPoisonous = (event: UncheckedEvent) => isWellTyped(event) && poison?.(event);
  if (poison && submission.events.some(isPoisonous)) return { status: 400, message: 'an event is invalid' };
  return sortEvents(submission.events);
}

function sortEvents(events: readonly UncheckedEvent[]): SortedEvents {
  const accepted: RecordedEvent[] = [];
  const rejected: RejectedEvent[] = [];
  const tooMany = events.length > MAX_EVENTS_PER_BATCH && 'more than 2500 events in the batch';
  for (const event of events) {
    const reason = tooMany || rejectionReason(event);
    if (reason === undefined && isWellTyped(event)) accepted.push(event);
    else rejected.push({ event, reason: reason ?? 'type is missing' });
  }
  return { accepted, rejected };
}

function isWellTyped(event: UncheckedEvent): event is RecordedEvent {
  const { type, messageId } = event;
  return typeof type === 'string' && (messageId === undefined || typeof messageId === 'string');
}

/** "Common reasons events are not accepted by Segment": no identifier, no event name, no valid type. */
function rejectionReason(event: UncheckedEvent): string | undefined {
  const { type, messageId } = event;
  if (messageId !== undefined && typeof messageId !== 'string') return 'messageId is not a string';
  if (messageId !== undefined && messageId.length > MAX_MESSAGE_ID_CHARACTERS) {
    return 'messageId is longer than 100 characters';
  }
  if (type === undefined) return 'type is missing';
  if (!isEventType(type)) return 'type is unknown';
  if (type === 'alias' && !isPresent(event.userId)) return 'userId is missing';
  if (type === 'alias' && !isPresent(event.previousId)) return 'previousId is missing';
  if (type === 'group' && !isPresent(event.groupId)) return 'groupId is missing';
  if (type === 'track' && !isPresent(event.event)) return 'event name is missing';
  return isPresent(event.userId) || isPresent(event.anonymousId)
    ? undefined
    : 'userId and anonymousId are missing';
}

function isEventType(type: unknown): type is EventType {
  return EVENT_TYPES.some((known) => known === type);
}

function isPresent(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && !isBlank(value));
}
