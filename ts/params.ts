/**
 * What callers give to the six methods, and what an event is. Names and shapes are those of
 * `@segment/analytics-node` 3.1 and of Segment's spec.
 */

/** A moment: a `Date`, or ISO 8601 text. */
export type Timestamp = Date | string;

/**
 * A member that only the caller knows. Code for analytics-node reads and writes such members without a cast, and interfaces
 * without an index signature have to fit: `unknown` allows neither.
 */
// oxlint-disable-next-line typescript/no-explicit-any
type Anything = any;

/** Properties of what happened. Any object that `JSON.stringify` writes as an object. */
export type EventProperties = Record<string, Anything>;

/** The ones Segment reserves, and any others. */
type WithOthers<Reserved> = Reserved & Record<string, Anything>;

/** Which destinations Segment forwards the event to. */
export type IntegrationsOptions = {
  All?: boolean | undefined;
  [integration: string]: boolean | object | undefined;
};

/** Facts about the call that Segment's spec reserves ("Common fields"). */
interface ReservedContext {
  /** False: update traits without counting the user as active. */
  active?: boolean | undefined;
  ip?: string | undefined;
  /** For example `en-US`. */
  locale?: string | undefined;
  location?:
    | {
        city?: string | undefined;
        country?: string | undefined;
        latitude?: string | undefined;
        longitude?: string | undefined;
        region?: string | undefined;
        speed?: number | undefined;
      }
    | undefined;
  page?:
    | {
        path?: string | undefined;
        referrer?: string | undefined;
        search?: string | undefined;
        title?: string | undefined;
        url?: string | undefined;
      }
    | undefined;
  userAgent?: string | undefined;
  /** Traits of the user, for events that should carry them. */
  traits?: object | undefined;
  campaign?: object | undefined;
  /** For example `America/New_York`. */
  timezone?: string | undefined;
}

/** Further facts about the call: the ones Segment reserves, and any others. */
export type ExtraContext = WithOthers<ReservedContext>;

/** The context of an event, for those who read it. */
export type EventContext = WithOthers<ReservedContext>;

/** An address as Segment's spec has it. */
export interface Address {
  city?: string | null | undefined;
  country?: string | null | undefined;
  postalCode?: string | null | undefined;
  state?: string | null | undefined;
  street?: string | null | undefined;
}

/** Traits of a user: the ones Segment reserves, and any others. */
export type UserTraits = WithOthers<{
  address?: Address | null | undefined;
  age?: number | null | undefined;
  avatar?: string | null | undefined;
  birthday?: Timestamp | null | undefined;
  company?: object | null | undefined;
  createdAt?: Timestamp | null | undefined;
  description?: string | null | undefined;
  email?: string | null | undefined;
  firstName?: string | null | undefined;
  gender?: string | null | undefined;
  id?: string | number | null | undefined;
  lastName?: string | null | undefined;
  name?: string | null | undefined;
  phone?: string | number | null | undefined;
  title?: string | null | undefined;
  username?: string | null | undefined;
  website?: string | null | undefined;
}>;

/** Traits of a group: the ones Segment reserves, and any others. */
export type GroupTraits = WithOthers<{
  address?: Address | null | undefined;
  avatar?: string | null | undefined;
  createdAt?: Timestamp | null | undefined;
  description?: string | null | undefined;
  email?: string | null | undefined;
  employees?: string | number | null | undefined;
  id?: string | number | null | undefined;
  industry?: string | null | undefined;
  name?: string | null | undefined;
  phone?: string | number | null | undefined;
  plan?: string | null | undefined;
  website?: string | null | undefined;
}>;

/** Who it was. One of the two is required; both may be given. */
export type Identity =
  { userId: string; anonymousId?: string | undefined } | { userId?: string | undefined; anonymousId: string };

/** What every method takes. */
export interface CommonParams {
  context?: ExtraContext | undefined;
  /** When it happened; sent as ISO 8601 with milliseconds, in UTC. Without an offset, text is read as by `new Date()`. Default: now. */
  timestamp?: Timestamp | undefined;
  integrations?: IntegrationsOptions | undefined;
  /** At most 100 characters. Default: a random UUID. Segment drops repeats of an id for about 24 hours. */
  messageId?: string | undefined;
}

export type TrackParams = CommonParams &
  Identity & { event: string; properties?: EventProperties | undefined };
export type IdentifyParams = CommonParams & Identity & { traits?: UserTraits | undefined };
export type GroupParams = CommonParams & Identity & { groupId: string; traits?: GroupTraits | undefined };
export type PageParams = CommonParams &
  Identity & {
    category?: string | undefined;
    name?: string | undefined;
    properties?: EventProperties | undefined;
  };
export type ScreenParams = PageParams;
export type AliasParams = CommonParams & { userId: string; previousId: string };

/** The calls of Segment's spec. */
export type SegmentEventType = 'identify' | 'track' | 'page' | 'screen' | 'group' | 'alias';

/** The parameters of each method. */
export interface MethodParams {
  identify: IdentifyParams;
  track: TrackParams;
  page: PageParams;
  screen: ScreenParams;
  group: GroupParams;
  alias: AliasParams;
}

/** An event as it is sent. */
export interface SegmentEvent {
  type: SegmentEventType;
  messageId?: string | undefined;
  timestamp?: Timestamp | undefined;
  userId?: string | null | undefined;
  anonymousId?: string | null | undefined;
  groupId?: string | null | undefined;
  previousId?: string | null | undefined;
  event?: string | undefined;
  category?: string | undefined;
  name?: string | undefined;
  properties?: EventProperties | undefined;
  traits?: Record<string, Anything> | undefined;
  context?: EventContext | undefined;
  integrations?: IntegrationsOptions | undefined;
  _metadata?: Record<string, unknown> | undefined;
}
