/** `@companion/segment`: sends events to Segment without blocking, and accounts for every one of them. */
import { Analytics } from './analytics.js';
import type { Plugin as PluginOf } from './plugins.js';

/** Something that sees events on their way. `Instance` is what it is registered with. */
export type Plugin<Instance = Analytics> = PluginOf<Instance>;

export { Analytics };
export { Analytics as default };
export { Context, ContextCancelation } from './context.js';
export { AnalyticsError, ValidationError } from './errors.js';
export { FetchHTTPClient } from './http-client.js';

export type {
  AnalyticsEvents,
  Callback,
  CloseAndFlushParams,
  Deliver,
  Delivery,
  DeliveryFailure,
  FlushParams,
  HttpRequestEvent,
  HttpResponseEvent,
  Receipt,
} from './api.js';
export type {
  CancelationOptions,
  ContextLogger,
  ContextStats,
  FailedDelivery,
  LogLevel,
  LogMessage,
} from './context.js';
export type { ErrorCode, ErrorDetails } from './errors.js';
export type { FlushSignal } from './exit.js';
export type {
  HTTPClient,
  HTTPClientRequest,
  HTTPFetchFn,
  HTTPFetchRequest,
  HTTPHeaders,
  HTTPResponse,
} from './http-client.js';
export type { LoggerLike, LogThreshold } from './logger.js';
export type { OAuthSettings } from './oauth.js';
export type { AnalyticsSettings } from './options.js';
export type { EncryptionKey, SpoolSettings } from './spool.js';
export type {
  Address,
  AliasParams,
  CommonParams,
  EventContext,
  EventProperties,
  ExtraContext,
  GroupParams,
  GroupTraits,
  IdentifyParams,
  Identity,
  IntegrationsOptions,
  MethodParams,
  PageParams,
  ScreenParams,
  SegmentEvent,
  SegmentEventType,
  Timestamp,
  TrackParams,
  UserTraits,
} from './params.js';
export type { PluginType } from './plugins.js';
export type { Redact } from './redact.js';
export type { DeliveryReport, DropReason, RefusalReason, SpoolState, Stats } from './report.js';
