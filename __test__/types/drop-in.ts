/** Code and types written for `@segment/analytics-node` fit. Compiled, never run. */
import type * as peer from '@segment/analytics-node';

import type {
  Analytics,
  AnalyticsSettings,
  AliasParams,
  GroupParams,
  GroupTraits,
  HTTPClient,
  HTTPClientRequest,
  HTTPFetchFn,
  HTTPFetchRequest,
  HTTPResponse,
  IdentifyParams,
  OAuthSettings,
  PageParams,
  Plugin,
  TrackParams,
  UserTraits,
} from '@companion/segment';

declare const analytics: Analytics;
declare const track: peer.TrackParams;
declare const identify: peer.IdentifyParams;
declare const page: peer.PageParams;
declare const group: peer.GroupParams;
declare const alias: peer.AliasParams;
analytics.track(track);
analytics.identify(identify);
analytics.page(page);
analytics.screen(page);
analytics.group(group);
analytics.alias(alias);

declare const userTraits: peer.UserTraits;
declare const groupTraits: peer.GroupTraits;
const ownUserTraits: UserTraits = userTraits;
const ownGroupTraits: GroupTraits = groupTraits;

declare const httpClient: peer.HTTPClient;
declare const fetchFn: peer.HTTPFetchFn;
declare const oauthSettings: peer.OAuthSettings;
declare const peerSettings: peer.AnalyticsSettings;
const settings: Omit<AnalyticsSettings, 'writeKey'>[] = [
  { httpClient },
  { httpClient: fetchFn },
  { oauthSettings },
  peerSettings,
];

analytics.on('error', ({ code, reason, ctx }) => [code, reason, ctx?.event]);

export { ownUserTraits, ownGroupTraits, settings };
export type {
  AliasParams,
  GroupParams,
  HTTPClient,
  HTTPClientRequest,
  HTTPFetchFn,
  HTTPFetchRequest,
  HTTPResponse,
  IdentifyParams,
  OAuthSettings,
  PageParams,
  Plugin,
  TrackParams,
};
