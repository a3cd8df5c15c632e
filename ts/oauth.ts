/** The `oauthSettings` option: OAuth 2.0 instead of the write key alone (Segment docs, "OAuth 2.0"). */
import { trimmed } from './blank.js';
import { invalidOption } from './errors.js';
import { clientOf, type HTTPClient, type HTTPFetchFn } from './http-client.js';
import { optionNames, requireKnown } from './known-options.js';

/** Settings of OAuth. */
export interface OAuthSettings {
  /** Segment's id of the OAuth application. */
  clientId: string;
  /** The application's private RSA key, PEM. */
  clientKey: string | Buffer;
  /** Segment's id of the key. */
  keyId: string;
  /** The authorization server. @default that of `region`: `https://oauth2.segment.io` or `https://oauth2.eu1.segmentapis.com` */
  authServer?: string | undefined;
  /** @default 'tracking_api:write' */
  scope?: string | undefined;
  /** Failed token requests after the first before the events that wait are told. @default `maxRetries`, or else 3 */
  maxRetries?: number | undefined;
  /** Sends the token requests. @default the `httpClient` of the client */
  httpClient?: HTTPFetchFn | HTTPClient | undefined;
}

/** The option, taken apart. */
export interface ResolvedOAuth {
  /** For the engine. Holds the private key: never kept. */
  options: Omit<OAuthSettings, 'httpClient'> | undefined;
  httpClient: HTTPClient | undefined;
}

const OPTIONS = optionNames<OAuthSettings>({
  clientId: true,
  clientKey: true,
  keyId: true,
  authServer: true,
  scope: true,
  maxRetries: true,
  httpClient: true,
});

/** Checks types; the engine knows the bounds. */
export function resolveOAuth(given: unknown): ResolvedOAuth {
  if (given === undefined) return { options: undefined, httpClient: undefined };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalidOption('oauthSettings', 'an object with clientId, clientKey and keyId');
  }
  const entries = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  const { clientKey, httpClient, maxRetries, ...texts } = Object.fromEntries(entries) as Record<
    string,
    unknown
  >;
  requireKnown(given, OPTIONS, { path: 'oauthSettings' });
  for (const name of ['clientId', 'keyId']) {
    if (texts[name] === undefined) throw invalidOption(`oauthSettings.${name}`, 'a text that is not blank');
  }
  for (const [name, value] of Object.entries(texts)) {
    if (typeof value !== 'string') throw invalidOption(`oauthSettings.${name}`, 'a string');
    // As the write key: what comes out of a file ends with a line break.
    texts[name] = trimmed(value);
  }
  if (maxRetries !== undefined && typeof maxRetries !== 'number') {
    throw invalidOption('oauthSettings.maxRetries', 'a number');
  }
  const key = Buffer.isBuffer(clientKey) ? clientKey.toString() : clientKey;
  if (typeof key !== 'string') {
    throw invalidOption('oauthSettings.clientKey', 'an RSA private key as PEM (BEGIN PRIVATE KEY)');
  }
  const options = { ...texts, clientKey: key, ...(maxRetries !== undefined && { maxRetries }) };
  return {
    options: options as unknown as ResolvedOAuth['options'],
    httpClient: clientOf('oauthSettings.httpClient', httpClient),
  };
}
