/**
 * A certificate authority for tests: X.509 v3 certificates, made when they are needed and of nothing but what Node has,
 * so that no key lies anywhere. Keys are P-256 unless a certificate is given another one.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const DAY_MS = 86_400_000;

/** Object identifiers as DER, RFC 5280 and RFC 5758. */
const COMMON_NAME = oid('550403');
const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'));
const BASIC_CONSTRAINTS = oid('551d13');
const ALTERNATIVE_NAMES = oid('551d11');
const INFORMATION_ACCESS = oid('2b06010505070101');
const CA_ISSUERS = oid('2b06010505073002');
const TRUE = tlv(0x01, Buffer.from([0xff]));

/**
 * @typedef {object} Certificate
 * @property {string} name
 * @property {string} pem
 * @property {Buffer} der
 * @property {import('node:crypto').KeyObject} privateKey
 */

/**
 * Issues a certificate.
 *
 * @param {string} name its common name
 * @param {object} [options]
 * @param {Certificate} [options.issuer] by default the certificate issues itself
 * @param {boolean} [options.isAuthority] whether it may issue others
 * @param {string[]} [options.hosts] DNS names, for which the common name does not count any more
 * @param {string} [options.issuerUrl] where its issuer is published
 * @param {number} [options.from] milliseconds, like `to`
 * @param {number} [options.to]
 * @param {import('node:crypto').KeyObject} [options.privateKey]
 * @returns {Certificate}
 */
export function issue(name, options = {}) {
  const { issuer, isAuthority = false, hosts = [], issuerUrl } = options;
  const { from = Date.now() - DAY_MS, to = Date.now() + DAY_MS, privateKey = newKey() } = options;
  const extensions = [
    ...(isAuthority ? [criticalExtension(BASIC_CONSTRAINTS, sequence(TRUE))] : []),
    ...(hosts.length > 0 ? [extension(ALTERNATIVE_NAMES, sequence(...hosts.map(dnsName)))] : []),
    ...(issuerUrl ? [extension(INFORMATION_ACCESS, sequence(sequence(CA_ISSUERS, uri(issuerUrl))))] : []),
  ];
  const toBeSigned = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_WITH_SHA256,
    nameOf(issuer?.name ?? name),
    sequence(time(from), time(to)),
    nameOf(name),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [tlv(0xa3, sequence(...extensions))] : []),
  );
  const signature = sign('sha256', toBeSigned, issuer?.privateKey ?? privateKey);
  const der = sequence(toBeSigned, ECDSA_WITH_SHA256, bits(signature));
  return { name, pem: pemOf(der), der, privateKey };
}

/** A key that SNS could sign with. */
export const newRsaKey = () => generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** Tag, length and value of DER. */
function tlv(tag, ...contents) {
  const value = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag, ...sizeOf(value)]), value]);
}

function sizeOf({ length }) {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function sequence(...contents) {
  return tlv(0x30, ...contents);
}

function oid(hex) {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

function integer(bytes) {
  return tlv(0x02, bytes);
}

function bits(bytes) {
  return tlv(0x03, Buffer.from([0]), bytes);
}

function nameOf(text) {
  return sequence(tlv(0x31, sequence(COMMON_NAME, tlv(0x0c, Buffer.from(text)))));
}

/** Seconds only. */
function time(milliseconds) {
  const digits = new Date(milliseconds).toISOString().replace(/\.\d+Z$|\D/g, '');
  return tlv(0x18, Buffer.from(`${digits}Z`));
}

function extension(id, value) {
  return sequence(id, tlv(0x04, value));
}

function criticalExtension(id, value) {
  return sequence(id, TRUE, tlv(0x04, value));
}

const dnsName = (name) => tlv(0x82, Buffer.from(name));
const uri = (text) => tlv(0x86, Buffer.from(text));

function pemOf(der) {
  const lines = der.toString('base64').match(/.{1,64}/g);
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
