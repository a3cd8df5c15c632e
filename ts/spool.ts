/** Settings of the spool. Its bounds are the engine's. */
import { invalidOption } from './errors.js';

/** 32 random bytes, as they are or as base64 or hex text. */
export type EncryptionKey = Uint8Array | string;

/** Where and how events are kept on disk until they are delivered. */
export interface SpoolSettings {
  /** A local directory, made where missing. Any number of processes and worker threads may share one. */
  directory: string;
  /**
   * What an accepted event survives. `'process'`: any end of the process, `kill -9` included. `'power'`: a power loss
   * too, once `deliver.*(...).persisted` has resolved. @default 'process'
   */
  durability?: 'process' | 'power' | undefined;
  /** Bytes on disk. What then gives way is ruled by `overflow`. @default 268435456 (256 MiB) */
  maxBytes?: number | undefined;
  /**
   * Encrypts what is on disk (XChaCha20-Poly1305). To rotate, give several: the first encrypts, all of them decrypt.
   * Files whose key is missing are kept. A function is called once, when the client is made. @default none
   */
  encryptionKey?:
    EncryptionKey | readonly EncryptionKey[] | (() => EncryptionKey | readonly EncryptionKey[]) | undefined;
}

const KNOWN: readonly string[] = ['directory', 'durability', 'maxBytes', 'encryptionKey'];
const KEY =
  '32 random bytes: a Uint8Array, base64 or hex text, an array of them, or a function that returns them';

/** The settings as the engine takes them. Holds keys: never kept. */
export function spoolOptions(spool: unknown): object | undefined {
  if (spool === undefined) return undefined;
  const settings: unknown = typeof spool === 'string' ? { directory: spool } : spool;
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw invalidOption('spool', 'a directory, or { directory, durability, maxBytes, encryptionKey }');
  }
  for (const name of Object.keys(settings)) {
    if (!KNOWN.includes(name)) throw invalidOption(`spool.${name}`, `one of ${KNOWN.join(', ')}`);
  }
  const { directory, durability, maxBytes, encryptionKey } = settings as Partial<SpoolSettings>;
  if (typeof directory !== 'string') throw invalidOption('spool.directory', 'the path of a local directory');
  if (durability !== undefined && durability !== 'process' && durability !== 'power') {
    throw invalidOption('spool.durability', "'process' or 'power'");
  }
  if (maxBytes !== undefined && !Number.isFinite(maxBytes))
    throw invalidOption('spool.maxBytes', 'a finite number');
  return { directory, durability, maxBytes, encryptionKeys: encryptionKeysOf(encryptionKey) };
}

/** Keys in base64, the encrypting one first. */
export function encryptionKeysOf(setting: SpoolSettings['encryptionKey']): string[] {
  if (setting === undefined || setting === null) return [];
  const given = typeof setting === 'function' ? setting() : setting;
  const keys = Array.isArray(given) ? (given as readonly EncryptionKey[]) : [given as EncryptionKey];
  // Whoever asks for encryption must never get none.
  if (keys.length === 0) throw invalidOption('spool.encryptionKey', KEY);
  return keys.map((key) => {
    const bytes = typeof key === 'string' ? decoded(key) : key;
    if (!(bytes instanceof Uint8Array) || bytes.length !== 32)
      throw invalidOption('spool.encryptionKey', KEY);
    return Buffer.from(bytes).toString('base64');
  });
}

function decoded(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  // Node reads anything as base64; a short passphrase must not become a key by accident.
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}
