/** What a team writes for analytics-node. Compiled as it is, and with this package's name in the imports; never run. */
// oxlint-disable no-console -- as teams do
import DefaultAnalytics, {
  Analytics,
  Context,
  FetchHTTPClient,
  type AliasParams,
  type AnalyticsSettings,
  type GroupParams,
  type GroupTraits,
  type HTTPClient,
  type HTTPClientRequest,
  type HTTPFetchFn,
  type HTTPFetchRequest,
  type HTTPResponse,
  type IdentifyParams,
  type OAuthSettings,
  type PageParams,
  type Plugin,
  type TrackParams,
  type UserTraits,
} from '@segment/analytics-node';
import * as everything from '@segment/analytics-node';

// Settings

const oauthSettings: OAuthSettings = {
  clientId: 'client-1',
  clientKey: '-----BEGIN PRIVATE KEY-----',
  keyId: 'key-1',
  authServer: 'https://oauth2.eu1.segmentapis.com',
  scope: 'tracking_api:write',
  maxRetries: 3,
  httpClient: new FetchHTTPClient(),
};
const settings: AnalyticsSettings = {
  writeKey: 'key',
  host: 'https://api.segment.io',
  path: '/v1/batch',
  maxRetries: 10,
  flushAt: 15,
  flushInterval: 10_000,
  httpRequestTimeout: 10_000,
  disable: false,
  httpClient: new FetchHTTPClient(),
  oauthSettings,
  maxTotalBackoffDuration: 43_200,
  maxRateLimitDuration: 43_200,
};
// oxlint-disable-next-line typescript/no-deprecated -- many still have it
export const deprecated: AnalyticsSettings = { writeKey: 'key', maxEventsInBatch: 15 };
const analytics = new Analytics(settings);
export const byDefault: Analytics = new DefaultAnalytics({ writeKey: process.env['WRITE_KEY'] ?? 'none' });
export const byNamespace: Analytics = new everything.Analytics({ ...settings, writeKey: 'other' });
export const { track, identify } = analytics;
export const version: string = analytics.VERSION;

class TeamAnalytics extends Analytics {
  constructor(private readonly team: string) {
    super(settings);
  }

  ordered(userId: string): void {
    this.track({ userId, event: 'Ordered', properties: { team: this.team } });
  }
}
new TeamAnalytics('checkout').ordered('u1');

/** A wrapper reads what it was given. */
export const momentOf = ({ timestamp }: TrackParams): Date => new Date(timestamp ?? Date.now());

// The six methods

const when = new Date();
const shared = {
  timestamp: when,
  messageId: 'm1',
  integrations: { All: true, Mixpanel: false, 'Google Analytics': { clientId: '1' } },
  context: {
    active: true,
    ip: '192.0.2.1',
    locale: 'en-US',
    location: { city: 'Lima', country: 'Peru', latitude: '-12', longitude: '-77', region: 'Lima', speed: 0 },
    page: { path: '/p', referrer: 'r', search: 's', title: 't', url: 'https://shop.example/p' },
    userAgent: 'browser',
    userAgentData: { brands: [{ brand: 'b', version: '1' }], mobile: false, platform: 'Linux' },
    traits: { email: 'mira@example.com' },
    campaign: { name: 'n', source: 's', medium: 'm', term: 't' },
    referrer: { type: 'ad', id: '1' },
    amp: { id: '1' },
    timezone: 'America/Lima',
    tenant: { id: 7 },
  },
};
const userTraits: UserTraits = {
  id: 7,
  address: { city: 'Lima', country: 'Peru', postalCode: '1', state: 's', street: '1 Main St' },
  age: 40,
  avatar: 'https://shop.example/a.png',
  birthday: when,
  company: { name: 'c', id: 1, industry: 'i', employee_count: 5, plan: 'pro' },
  createdAt: '2020-01-01T00:00:00Z',
  description: null,
  email: 'mira@example.com',
  firstName: 'Mira',
  lastName: 'Okafor',
  gender: 'female',
  industry: 'i',
  name: 'Mira Okafor',
  phone: 5,
  plan: 'pro',
  title: 't',
  username: 'mira',
  website: 'https://mira.example',
  loyalty: { points: 3 },
};
const groupTraits: GroupTraits = {
  id: 'g1',
  address: userTraits.address,
  avatar: 'a',
  createdAt: when,
  description: 'd',
  email: 'hello@shop.example',
  employees: 20,
  industry: 'retail',
  name: 'Shop',
  phone: '1',
  plan: 'pro',
  website: 'https://shop.example',
  region: ['south'],
};
const tracked: TrackParams = {
  ...shared,
  userId: 'u1',
  anonymousId: 'a1',
  event: 'Ordered',
  properties: { total: 5 },
};
const identified: IdentifyParams = { ...shared, anonymousId: 'a1', traits: userTraits };
const paged: PageParams = { ...shared, userId: 'u1', category: 'c', name: 'n', properties: { path: '/p' } };
const grouped: GroupParams = { ...shared, userId: 'u1', groupId: 'g1', traits: groupTraits };
const aliased: AliasParams = { ...shared, userId: 'u1', previousId: 'a1' };
analytics.track(tracked);
analytics.identify(identified);
analytics.page(paged);
analytics.screen(paged);
analytics.group(grouped);
analytics.alias(aliased);
analytics.track({ userId: 'u1', event: 'e' });
analytics.track({
  anonymousId: 'a1',
  event: 'e',
  timestamp: '2020-01-01',
  properties: { list: [1, 'two', null] },
});
analytics.identify({ userId: 'u1', traits: { email: 'mira@example.com', anything: new Map() } });
analytics.page({ userId: 'u1' });
analytics.screen({ anonymousId: 'a1', name: undefined, properties: undefined, context: undefined });
analytics.group({ anonymousId: 'a1', groupId: 'g1', traits: undefined });
analytics.alias({ userId: 'u1', previousId: 'a1', messageId: undefined, timestamp: undefined });

// Callbacks

const told = (error?: unknown, context?: Context) => {
  if (error instanceof Error) console.error(error.message);
  if (context) console.log(context.id, context.attempts, context.event.type, context.event.messageId);
};
analytics.track(tracked, told);
analytics.identify(identified, (error) => {
  if (error) throw error;
});
// oxlint-disable-next-line typescript/no-misused-promises -- analytics-node waits for it
analytics.page(paged, async () => {});
analytics.screen(paged, (error, context) =>
  console.log(error, context?.failedDelivery()?.reason, context?.logs()),
);
analytics.group(grouped, () => {});
analytics.alias(aliased, told);
export const asPromise = (params: TrackParams) =>
  new Promise<Context | undefined>((resolve, reject) => {
    analytics.track(params, (error, context) => (error instanceof Error ? reject(error) : resolve(context)));
  });

// Events

analytics
  .on('error', (failure) => console.error(failure.code, failure.reason, failure.ctx?.event.event))
  .on('http_request', ({ url, method, headers, body }) =>
    console.log(url, method, headers['User-Agent'], body.length),
  )
  .on('http_response', ({ status, statusText, url, body, headers }) =>
    console.log(status, statusText, url, body.length, headers['content-type']),
  )
  .on('drained', () => {})
  .on('initialize', (given) => console.log(given.flushAt))
  .on('register', (names) => console.log(names.join()))
  .on('deregister', (names) => console.log(names.join()))
  .on('call_after_close', (event) => console.log(event.type, event.userId, event.messageId))
  .once('track', (context) => console.log(context.event.event, context.event.timestamp));
for (const type of ['track', 'identify', 'page', 'screen', 'group', 'alias'] as const) {
  analytics.on(type, (context: Context) => console.log(context.toJSON().event));
}
const onDrained = () => {};
analytics.once('drained', onDrained).off('drained', onDrained);

// Plugins

const enrich: Plugin = {
  name: 'Enrich',
  type: 'enrichment',
  version: '1.0.0',
  isLoaded: () => true,
  load: () => Promise.resolve(),
  track: (context) => {
    context.updateEvent('properties.total', 5);
    context.event.properties = { ...context.event.properties, seen: true };
    context.event.context = { ...context.event.context, tenant: 7 };
    context.log('info', 'enriched', { by: 'team' });
    return context;
  },
  identify: async (context) => new Context({ ...context.event, traits: { email: 'hidden' } }),
  ready: () => Promise.resolve(),
  unload: () => {},
};
export const listening: Plugin = {
  name: 'Listening',
  type: 'utility',
  isLoaded: () => true,
  load: async (_context, instance) => {
    instance.on('error', ({ reason }) => console.error(reason));
    await instance.flush();
  },
};
class Destination implements Plugin {
  name = 'Destination';
  type = 'destination' as const;
  alternativeNames = ['Destination (Actions)'];
  loaded = false;
  isLoaded = () => this.loaded;

  async load(_context: Context, instance: Analytics): Promise<void> {
    this.loaded = instance.VERSION !== '';
  }

  async track(context: Context): Promise<Context> {
    if (context.event.userId === undefined) context.cancel(new Error('Nobody'));
    return context;
  }

  page = (context: Context) => context;
  screen = (context: Context) => context;
  group = (context: Context) => context;
  alias = (context: Context) => context;
}
export const registered: Promise<void> = analytics.register(enrich, listening, new Destination());
export const deregistered: Promise<void> = analytics.deregister('Enrich', 'Destination');
export const system: Context = Context.system();

// HTTP clients

const fetchFn: HTTPFetchFn = async (url, init) => fetch(url, init);
const own: HTTPFetchFn = async (url: string, init: HTTPFetchRequest): Promise<HTTPResponse> => {
  const { headers, body, method } = init;
  return fetch(url, { headers, body, method, signal: init.signal as AbortSignal });
};
class OwnClient implements HTTPClient {
  async makeRequest(request: HTTPClientRequest): Promise<HTTPResponse> {
    const { url, method, headers, body, httpRequestTimeout } = request;
    console.log(url, method, headers['Authorization'] !== undefined, body.length, httpRequestTimeout);
    return { status: 200, statusText: 'OK', headers: { 'retry-after': '1' }, text: async () => '' };
  }
}
class Logged extends FetchHTTPClient {
  override async makeRequest(request: HTTPClientRequest): Promise<HTTPResponse> {
    const response = await super.makeRequest(request);
    console.log(response.status, response.statusText, await response.text?.());
    return response;
  }
}
export const clients = [fetchFn, own, fetch, new OwnClient(), new Logged(own), new FetchHTTPClient()].map(
  (httpClient) => new Analytics({ writeKey: 'key', httpClient }),
);

// The end

export async function close(): Promise<void> {
  await analytics.ready;
  await analytics.flush();
  await analytics.flush({ timeout: 1_000, close: false });
  await analytics.closeAndFlush();
  await analytics.closeAndFlush({ timeout: 1_000 });
}
process.once('SIGTERM', () => void analytics.closeAndFlush().then(() => process.exit()));

/** Members that only the caller knows are read without a cast. */
export function plan({ properties }: TrackParams): string {
  // oxlint-disable-next-line typescript/no-unsafe-return
  return properties?.['plan'];
}
