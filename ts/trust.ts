/** Whom Node was told to trust beside Mozilla's roots, or instead of them: the engine has TLS of its own. */
import { readFileSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import * as tls from 'node:tls';

import { environmentVariable, isNodeOption } from './node-options.js';

/** Where Node looks on Linux, unless `SSL_CERT_FILE` and `SSL_CERT_DIR` say something else. */
const DEFAULT_FILE = '/etc/ssl/cert.pem';
const DEFAULT_DIRECTORY = '/etc/ssl/certs';

/** Certificates as PEM, and whether they are instead of Mozilla's roots. */
export interface NodeTrust {
  pem: string;
  isInstead: boolean;
}

/**
 * What `NODE_EXTRA_CA_CERTS`, `--use-system-ca` (or `NODE_USE_SYSTEM_CA=1`) and `--use-openssl-ca` ask for; undefined when
 * that is nothing. What can't be read is warned of and left out, as in Node.
 */
export function nodeTrust(): NodeTrust | undefined {
  const isInstead = isNodeOption('use-openssl-ca');
  const parts = [
    ...(isInstead ? openSslCertificates() : []),
    ...(isNodeOption('use-system-ca', 'NODE_USE_SYSTEM_CA') ? systemCertificates() : []),
    ...extraCertificates(),
  ];
  return parts.length > 0 || isInstead ? { pem: parts.join('\n'), isInstead } : undefined;
}

function extraCertificates(): string[] {
  const path = environmentVariable('NODE_EXTRA_CA_CERTS');
  if (path === undefined || path === '') return [];
  const ignored = (reason: string) => {
    process.emitWarning(`Ignoring extra certs from \`${path}\`, load failed: ${reason}`);
    return [];
  };
  try {
    const text = readFileSync(path, 'latin1');
    return text.includes('-----BEGIN ') ? [text] : ignored('there is no PEM certificate in it');
  } catch (error) {
    return ignored((error as NodeJS.ErrnoException).code ?? 'it can not be read');
  }
}

function systemCertificates(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'system') => string[] };
  if (getCACertificates !== undefined) return getCACertificates('system');
  if (process.platform !== 'win32' && process.platform !== 'darwin') return openSslCertificates();
  process.emitWarning("The system's certificates can be read from Node 22.15 on; they are left out.");
  return [];
}

/** Each certificate once: a directory has links, and often all of them in one file too. */
function openSslCertificates(): readonly string[] {
  const file = environmentVariable('SSL_CERT_FILE') ?? DEFAULT_FILE;
  const directories = (environmentVariable('SSL_CERT_DIR') ?? DEFAULT_DIRECTORY).split(delimiter);
  const files = [file, ...directories.flatMap(filesIn)];
  const certificates = files
    .map(textIn)
    .flatMap((text) => text.match(/-----BEGIN [^]+?-----END [^\n]+/g) ?? []);
  return [...new Set(certificates)];
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function textIn(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
