/** Whether a certificate was issued by an authority that is trusted. */
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';

import { invalidOption } from '../errors.js';

/** Gets what is behind a URL; rejects unless the answer is a success. */
export type FetchBytes = (url: string) => Promise<Buffer | Uint8Array | string>;

/** From the certificate to its root; Amazon's have two or three steps. */
const MAX_STEPS = 5;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Where Amazon publishes the authorities between its roots and its certificates. They are signed: http is enough. */
const AMAZON_AUTHORITIES = /^https?:\/\/[a-z0-9.-]+\.amazontrust\.com\//;

/**
 * The authorities to trust.
 *
 * @throws AnalyticsError `ERR_OPTION_INVALID` for a text without a certificate
 */
export function authoritiesOf(pems: readonly string[] = rootCertificates): readonly X509Certificate[] {
  const authorities = Array.isArray(pems) ? pems.map((pem) => certificatesIn(String(pem))) : [];
  if (authorities.length === 0 || authorities.some(({ length }) => length === 0)) {
    throw invalidOption('certificateAuthorities', 'a list of certificates as PEM');
  }
  return authorities.flat();
}

/**
 * The first certificate of a PEM text, if a chain of valid authorities leads from it to a trusted one. Authorities
 * that are not in the text are fetched from where the certificate says (RFC 5280, 4.2.2.1), if that is Amazon's.
 * Rejects as the fetch does.
 */
export async function issuedByTrusted(
  pem: Buffer | Uint8Array | string,
  trusted: readonly X509Certificate[],
  fetchBytes: FetchBytes,
  time: number,
): Promise<X509Certificate | undefined> {
  const [first, ...others] = certificatesIn(Buffer.from(pem as Buffer).toString());
  let certificate = first;
  for (let step = 0; step < MAX_STEPS && certificate !== undefined; step += 1) {
    const issued = certificate;
    const isIssuerOf = (authority: X509Certificate) => isIssuer(authority, issued, time);
    if (trusted.some(isIssuerOf)) return first;
    const issuer = others.find(isIssuerOf) ?? (await published(issued, fetchBytes));
    certificate = issuer !== undefined && isIssuerOf(issuer) ? issuer : undefined;
  }
  return undefined;
}

/** Both ends of its time are part of it. */
export function isValidAt(certificate: X509Certificate, time: number): boolean {
  return Date.parse(certificate.validFrom) <= time && time <= Date.parse(certificate.validTo);
}

function isIssuer(authority: X509Certificate, certificate: X509Certificate, time: number): boolean {
  const mayIssue = authority.ca && isValidAt(authority, time);
  return mayIssue && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

async function published(
  certificate: X509Certificate,
  fetchBytes: FetchBytes,
): Promise<X509Certificate | undefined> {
  const url = /CA Issuers - URI:(\S+)/.exec(certificate.infoAccess ?? '')?.[1];
  if (url === undefined || !AMAZON_AUTHORITIES.test(url)) return undefined;
  return read(await fetchBytes(url));
}

/** Those that can be read. */
function certificatesIn(text: string): X509Certificate[] {
  const certificates = text.match(PEM)?.map(read) ?? [];
  return certificates.filter((certificate) => certificate !== undefined);
}

function read(bytes: Buffer | Uint8Array | string): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}
