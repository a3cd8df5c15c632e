/** Whether a certificate was issued by an authority that is trusted. */
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';

/** Gets what is behind a URL; rejects unless the answer is a success. */
export type FetchBytes = (url: string) => Promise<Buffer | Uint8Array | string>;

/** From the certificate to its root; Amazon's have two or three steps. */
const MAX_STEPS = 5;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Where Amazon publishes the authorities between its roots and its certificates. They are signed: http is enough. */
const AMAZON_AUTHORITIES = /^https?:\/\/[a-z0-9.-]+\.amazontrust\.com\//;

/**
 * The first certificate of a PEM text, if a chain of valid authorities leads from it to a trusted one. Authorities
 * that are not in the text are fetched from where the certificate says (RFC 5280, 4.2.2.1), if that is Amazon's.
 */
export async function issuedByTrusted(
  pem: Buffer | Uint8Array | string,
  trusted: readonly string[] = rootCertificates,
  fetchBytes: FetchBytes,
  time: number,
): Promise<X509Certificate | undefined> {
  const [first, ...others] = (
    Buffer.from(pem as Buffer)
      .toString()
      .match(PEM) ?? []
  ).map(read);
  if (first === undefined) return undefined;
  const roots = trusted.map(read);
  let certificate = first;
  for (let step = 0; step < MAX_STEPS; step += 1) {
    if (roots.some((root) => isIssuer(root, certificate, time))) return first;
    const issuer =
      others.find((other) => isIssuer(other, certificate, time)) ??
      (await published(certificate, fetchBytes));
    if (issuer === undefined || !isIssuer(issuer, certificate, time)) return undefined;
    certificate = issuer;
  }
  return undefined;
}

function isIssuer(authority: X509Certificate, certificate: X509Certificate, time: number): boolean {
  const isValid = Date.parse(authority.validFrom) <= time && time <= Date.parse(authority.validTo);
  return (
    authority.ca && isValid && certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
  );
}

async function published(
  certificate: X509Certificate,
  fetchBytes: FetchBytes,
): Promise<X509Certificate | undefined> {
  const url = /CA Issuers - URI:(\S+)/.exec(certificate.infoAccess ?? '')?.[1];
  if (url === undefined || !AMAZON_AUTHORITIES.test(url)) return undefined;
  return read(await fetchBytes(url));
}

function read(bytes: Buffer | Uint8Array | string): X509Certificate {
  return new X509Certificate(bytes);
}
