/** The types of the stories, and what lies under them. */
import type { IdentifyParams, UserTraits } from '../params.js';

/** An address of a customer. `null`, blank and missing are the same. */
export interface CommercetoolsAddress {
  readonly id?: string | null;
  readonly streetName?: string | null;
  readonly streetNumber?: string | null;
  readonly city?: string | null;
  readonly region?: string | null;
  readonly state?: string | null;
  readonly postalCode?: string | null;
  readonly country?: string | null;
}

/**
 * What is read of a customer: nothing else is ever kept. `Customer` of `@commercetools/platform-sdk` is assignable;
 * `fullName` is of the simplified payload.
 */
export interface CommercetoolsCustomer {
  readonly id?: string | null;
  readonly email?: string | null;
  readonly firstName?: string | null;
  readonly middleName?: string | null;
  readonly lastName?: string | null;
  readonly fullName?: string | null;
  readonly companyName?: string | null;
  readonly dateOfBirth?: string | null;
  readonly locale?: string | null;
  readonly customerNumber?: string | null;
  readonly externalId?: string | null;
  readonly version?: number | null;
  readonly createdAt?: string | null;
  readonly lastModifiedAt?: string | null;
  readonly addresses?: ReadonlyArray<CommercetoolsAddress> | null;
  readonly defaultShippingAddressId?: string | null;
  readonly defaultBillingAddressId?: string | null;
}

/** Facts about a notification that are safe to log. */
export interface NotificationFacts {
  /** For example `CustomerCreated` or `ResourceUpdated`. */
  readonly type?: string;
  /** The id of the message. */
  readonly id?: string;
  readonly projectKey?: string;
  readonly customerId?: string;
  /** The customer's version after the change. */
  readonly version?: number;
  /** ISO 8601. */
  readonly occurredAt?: string;
}

/** Why there is nothing to do. */
export type IgnoreReason =
  /** Commercetools tries a new subscription out. */
  | 'subscription-test'
  | 'other-resource'
  /** It says nothing that Segment is told. */
  | 'unsupported-type'
  | 'deleted'
  /** It holds a live token: neither kept nor logged. */
  | 'token';

/** Why the customer is not in the notification. */
export type FetchReason = 'payload-not-included' | 'resource-changed' | 'partial-message';

/** Why it is no notification. */
export type InvalidReason =
  | 'empty'
  | 'not-json'
  | 'not-an-object'
  | 'too-large'
  | 'too-many-envelopes'
  | 'not-a-notification'
  | 'missing-customer'
  | 'missing-customer-id'
  | 'missing-user-id';

/** What a notification is. */
export type ParsedNotification =
  | { readonly kind: 'identify'; readonly customer: CommercetoolsCustomer; readonly about: NotificationFacts }
  | { readonly kind: 'ignore'; readonly reason: IgnoreReason; readonly about: NotificationFacts }
  | { readonly kind: 'needs-fetch'; readonly reason: FetchReason; readonly about: NotificationFacts }
  | { readonly kind: 'invalid'; readonly reason: InvalidReason };

/** Which field of a customer is the user's id, or a function that says it. */
export type UserIdStrategy =
  | 'email'
  | 'customerId'
  | 'customerNumber'
  | 'externalId'
  | ((customer: CommercetoolsCustomer) => string | null | undefined);

/** Options of the transformation. */
export interface TransformOptions {
  /**
   * Segment recommends an id that never changes (`customerId`); the e-mail address is what the stories ask for.
   * @default 'email'
   */
  readonly userId?: UserIdStrategy | undefined;
  /** Changes or adds traits. Gets those that are sent without it. */
  readonly mapTraits?: ((traits: UserTraits, customer: CommercetoolsCustomer) => UserTraits) | undefined;
}

/** The parameters of an identify call. */
export interface SegmentIdentifyPayload {
  readonly userId: string;
  readonly traits: UserTraits;
  /** The same for every delivery of a notification, so that Segment drops the repeats. */
  readonly messageId?: string;
  /** ISO 8601. */
  readonly timestamp?: string;
}

/** What went wrong. `code` is one of the stable codes of this package, where there is one. */
export interface SegmentError {
  readonly message: string;
  readonly code?: string;
}

/** What a call came to. */
export type SegmentIntegrationResult =
  { readonly success: true } | { readonly success: false; readonly error: SegmentError };

/** Whatever can identify: a client of this package, one of analytics-node, or a double of a test. */
export interface SegmentClient {
  identify(params: { userId: string; traits: UserTraits }): Promise<void>;
  flush(): Promise<void>;
  closeAndFlush(): Promise<void>;
}

/** A client that is only called for what it can do, whatever it returns. */
export interface SegmentClientLike {
  identify(params: IdentifyParams): unknown;
  flush?(): unknown;
}

/** What became of a notification. */
export type NotificationOutcome =
  | { readonly outcome: 'identified'; readonly messageId: string | undefined }
  /** In the client's queue: the answer of `accept()`. */
  | { readonly outcome: 'accepted'; readonly messageId: string | undefined }
  | {
      readonly outcome: 'ignored';
      readonly reason: IgnoreReason | 'not-fetched' | 'not-found';
      readonly about: NotificationFacts;
    }
  | { readonly outcome: 'invalid'; readonly reason: InvalidReason }
  /** `isRetryable`: the same notification may succeed later. */
  | { readonly outcome: 'failed'; readonly error: SegmentError; readonly isRetryable: boolean };
